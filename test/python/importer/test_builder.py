"""The builder's functions that NumPy does not have, against PyTorch in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest

from ix.dialects.ix.reference import evaluate
from ix.dim import Dim
from ix.errors import InputError, ModelImportError
from ix.importer import builder as b
from ix.importer.program import Module

torch = pytest.importorskip("torch")
F = torch.nn.functional
RANDOM = np.random.default_rng(11)


def draw(*shape: int) -> np.ndarray[Any, Any]:
    return RANDOM.standard_normal(shape).astype(np.float32)


def build(function: Callable[..., Any], *arrays: Any) -> list[Any]:
    """The results of a builder function on arguments, by the interpreter."""
    with Module("test") as module:
        values = [
            module.argument(f"x{at}", array.shape, array.dtype)
            for at, array in enumerate(arrays)
        ]
        result = function(*values)
        results = list(result) if isinstance(result, tuple | list) else [result]
        program = module.finish(
            [(f"y{at}", b.as_value(r)) for at, r in enumerate(results)]
        )
    weights = {name: program.weights.array(name) for name in program.weights}
    return evaluate(program.module, list(arrays), weights)


def compare(
    function: Callable[..., Any], expected: Callable[..., Any], *arrays: Any
) -> None:
    """Compares a builder function with one of float64 tensors."""
    tensors = [
        torch.from_numpy(a.astype(np.float64) if a.dtype.kind == "f" else a)
        for a in arrays
    ]
    want = expected(*tensors)
    wanted: Sequence[Any] = want if isinstance(want, tuple | list) else [want]
    found = build(function, *arrays)
    assert len(found) == len(wanted)
    for got, tensor in zip(found, wanted, strict=True):
        assert got.shape == tuple(tensor.shape)
        if tensor.dtype.is_floating_point:
            assert got.dtype == np.float32
            np.testing.assert_allclose(got, tensor.numpy(), rtol=1e-5, atol=1e-5)
        else:
            np.testing.assert_array_equal(got, tensor.numpy())


ACTIVATIONS = {
    "relu": F.relu,
    "relu6": F.relu6,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "selu": F.selu,
    "celu": F.celu,
    "gelu": F.gelu,
    "silu": F.silu,
    "mish": F.mish,
    "sigmoid": torch.sigmoid,
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "hardtanh": F.hardtanh,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "softshrink": F.softshrink,
    "hardshrink": F.hardshrink,
    "tanhshrink": F.tanhshrink,
    "log_sigmoid": F.logsigmoid,
    "glu": F.glu,
    "erf": torch.erf,
    "rsqrt": lambda x: torch.rsqrt(x.abs()),
    "softmax": lambda x: F.softmax(x, -1),
    "log_softmax": lambda x: F.log_softmax(x, -1),
    "logsumexp": lambda x: torch.logsumexp(x, (0, 1)),
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str) -> None:
    function = getattr(b, name)
    if name == "rsqrt":
        compare(lambda x: b.rsqrt(b.abs(x)), ACTIVATIONS[name], draw(5, 8) * 3)
        return
    compare(function, ACTIVATIONS[name], draw(5, 8) * 3)


def test_activations_with_parameters() -> None:
    x, slope = draw(2, 3, 4), draw(3)
    compare(lambda x: b.gelu(x, "tanh"), lambda x: F.gelu(x, approximate="tanh"), x)
    compare(b.prelu, F.prelu, x, slope)
    compare(lambda x: b.elu(x, 0.5), lambda x: F.elu(x, 0.5), x)
    compare(lambda x: b.celu(x, 2.0), lambda x: F.celu(x, 2.0), x)
    compare(lambda x: b.leaky_relu(x, 0.2), lambda x: F.leaky_relu(x, 0.2), x)
    compare(lambda x: b.thresholded_relu(x, 0.5), lambda x: F.threshold(x, 0.5, 0.0), x)
    compare(lambda x: b.softmax(x, 1), lambda x: F.softmax(x, 1), x)


def test_normalizations() -> None:
    x, scale, bias = draw(2, 6, 4), draw(4), draw(4)
    compare(b.layer_norm, lambda x, s, t: F.layer_norm(x, (4,), s, t), x, scale, bias)
    compare(b.layer_norm, lambda x, s: F.layer_norm(x, (4,), s), x, scale)
    compare(b.layer_norm, lambda x: F.layer_norm(x, (4,)), x)
    compare(
        lambda x, t: b.layer_norm(x, None, t),
        lambda x, t: F.layer_norm(x, (4,)) + t,
        x,
        bias,
    )
    compare(b.rms_norm, lambda x, s: F.rms_norm(x, (4,), s, 1e-6), x, scale)
    compare(
        lambda x, s, t: b.group_norm(x, 3, s, t),
        lambda x, s, t: F.group_norm(x, 3, s, t),
        x,
        draw(6),
        draw(6),
    )
    compare(b.instance_norm, lambda x: F.instance_norm(x), x)
    compare(
        b.batch_norm,
        lambda x, s, t, m, v: F.batch_norm(x, m, v, s, t),
        x,
        draw(6),
        draw(6),
        draw(6),
        abs(draw(6)),
    )
    compare(b.lp_normalize, lambda x: F.normalize(x, dim=-1), x)


def test_products() -> None:
    x, weight, bias = draw(2, 3, 4), draw(5, 4), draw(5)
    compare(b.linear, F.linear, x, weight, bias)
    compare(b.linear, F.linear, draw(4), weight)
    compare(
        lambda a, c, d: b.gemm(a, c, d, 0.5, 2.0, transpose_a=True, transpose_b=True),
        lambda a, c, d: 0.5 * a.T @ c.T + 2.0 * d,
        draw(4, 3),
        weight,
        bias,
    )
    compare(b.matmul, torch.matmul, draw(2, 1, 3, 4), draw(5, 4, 2))
    compare(
        lambda q, k: b.einsum("bhqd,bhkd->bhqk", q, k),
        lambda q, k: torch.einsum("bhqd,bhkd->bhqk", q, k),
        draw(2, 3, 4, 5),
        draw(2, 3, 6, 5),
    )
    compare(
        lambda a, c, d: b.einsum("...ij,jk,k->...i", a, c, d),
        lambda a, c, d: torch.einsum("...ij,jk,k->...i", a, c, d),
        draw(2, 3, 4),
        draw(4, 5),
        draw(5),
    )


def test_integer_products_accumulate_in_int32() -> None:
    a = RANDOM.integers(-128, 128, (3, 40)).astype(np.int8)
    c = RANDOM.integers(0, 256, (40, 2)).astype(np.uint8)
    (got,) = build(lambda a, c: b.matmul(a, c, out_dtype=np.int32), a, c)
    np.testing.assert_array_equal(got, a.astype(np.int32) @ c.astype(np.int32))
    (wrapped,) = build(b.matmul, a, a.T.copy())
    np.testing.assert_array_equal(wrapped, a @ a.T)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_convolutions(axes: int) -> None:
    sizes = (7, 8, 6)[:axes]
    x, filter, bias = draw(2, 4, *sizes), draw(6, 2, *(3,) * axes), draw(6)
    conv = (F.conv1d, F.conv2d, F.conv3d)[axes - 1]
    compare(
        lambda x, f, t: b.conv(x, f, t, strides=2, padding_low=1, groups=2),
        lambda x, f, t: conv(x, f, t, stride=2, padding=1, groups=2),
        x,
        filter,
        bias,
    )
    compare(
        lambda x, f: b.conv(x, f, dilations=2, padding_low=2, groups=2),
        lambda x, f: conv(x, f, dilation=2, padding=2, groups=2),
        x,
        filter,
    )
    transposed = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[axes - 1]
    compare(
        lambda x, f, t: b.conv_transpose(x, f, t, 2, 1, None, 1, groups=2),
        lambda x, f, t: transposed(x, f, t, 2, 1, 1, groups=2),
        x,
        draw(4, 3, *(3,) * axes),
        bias,
    )


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_pools(ceil_mode: bool) -> None:
    x = draw(2, 3, 7, 9)
    compare(
        lambda x: b.max_pool(x, 3, 2, 1, ceil_mode=ceil_mode),
        lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=ceil_mode),
        x,
    )
    for include in (False, True):
        options = {"ceil_mode": ceil_mode, "count_include_pad": include}
        compare(
            partial(b.avg_pool, kernel=[3, 2], strides=2, padding_low=1, **options),
            partial(F.avg_pool2d, kernel_size=(3, 2), stride=2, padding=1, **options),
            x,
        )
    compare(b.global_avg_pool, lambda x: F.adaptive_avg_pool2d(x, 1), x)
    compare(b.global_max_pool, lambda x: F.adaptive_max_pool2d(x, 1), x)
    compare(
        lambda x: b.adaptive_avg_pool(x, 2),
        lambda x: F.adaptive_avg_pool2d(x, 2),
        draw(1, 2, 4, 6),
    )


def test_attention_and_images() -> None:
    q, k, v = draw(2, 4, 3, 8), draw(2, 2, 5, 8), draw(2, 2, 5, 8)
    mask = RANDOM.random((3, 5)) < 0.7
    mask[:, 0] = True
    attend = F.scaled_dot_product_attention
    compare(b.attention, lambda q, k, v: attend(q, k, v, enable_gqa=True), q, k, v)
    compare(
        b.attention,
        lambda q, k, v, m: attend(q, k, v, m, enable_gqa=True),
        q,
        k,
        v,
        mask,
    )
    compare(
        lambda x: b.attention(x, x, x, causal=True, scale=0.3),
        lambda x: attend(x, x, x, is_causal=True, scale=0.3),
        q,
    )
    x = draw(1, 8, 3, 4)
    compare(lambda x: b.pixel_shuffle(x, 2), lambda x: F.pixel_shuffle(x, 2), x)
    compare(
        lambda x: b.resize(x, [1, 8, 6, 8], mode="linear"),
        lambda x: F.interpolate(x, (6, 8), mode="bilinear"),
        x,
    )


def test_indices() -> None:
    table, places = draw(10, 4), RANDOM.integers(0, 10, (2, 3))
    compare(b.embedding, F.embedding, places, table)
    compare(lambda i: b.one_hot(i, 10), lambda i: F.one_hot(i, 10).float(), places)
    x, along = draw(4, 5), RANDOM.integers(0, 5, (4, 3))
    compare(
        lambda x, i: b.take_along_axis(x, i, 1), lambda x, i: x.gather(1, i), x, along
    )
    compare(lambda x, i: b.take(x, i, 1), lambda x, i: x[:, i], x, along - 5)
    updates = draw(4, 3)
    for reduction, name in (("add", "sum"), ("mul", "prod"), ("max", "amax")):
        compare(
            lambda x, i, u: b.scatter(x, i, u, 1, reduction),  # noqa: B023
            lambda x, i, u: x.scatter_reduce(1, i, u, name),  # noqa: B023
            x,
            along,
            updates,
        )
    compare(
        lambda x, i: b.gather_nd(x, i),
        lambda x, i: x[i[:, 0], i[:, 1]],
        x,
        np.array([[0, 1], [3, 4]]),
    )
    compare(lambda x: b.topk(x, 3), lambda x: list(torch.topk(x, 3)), x)
    compare(
        lambda x: b.sort_with_indices(x, 0, descending=True),
        lambda x: list(torch.sort(x, 0, descending=True)),
        x,
    )
    compare(lambda x: b.argmax(x, 1, select_last=True), lambda x: x.argmax(1), x)
    compare(lambda x: b.cumsum(x, 1, exclusive=True), lambda x: x.cumsum(1) - x, x)


def test_sizes_are_ints_or_expressions() -> None:
    with Module("sizes") as module:
        x = module.argument("x", (Dim("n", 1, 8), 4), np.float32)
        n = b.size(x, 0)
        assert b.shape(x)[1] == 4
        assert str(n * 12 // 4 + 1) == "3*n + 1"
        assert (n * 6) % 3 == 0
        assert str(b.size(b.reshape(x, [-1, 2]), 0)) == "2*n"
        assert b.shape(b.concat([x, x]))[0] - 2 * n == 0
        program = module.finish(
            [("s", b.shape_tensor(x)), ("n", b.size_value(n * n - 1))]
        )
    sizes, value = evaluate(program.module, [np.zeros((5, 4), np.float32)], {})
    np.testing.assert_array_equal(sizes, [5, 4])
    assert value == 24


def test_unused_sizes_leave_no_ops() -> None:
    with Module("sizes") as module:
        x = module.argument("x", (Dim("n", 1, 8), 4), np.float32)
        module.index(b.size(x, 0) * 2 + 1)
        program = module.finish([("y", b.add(x, 1))])
    assert "arith" not in str(program.module)
    assert 'ix.dim"' not in str(program.module)


def test_parameters_are_not_copied() -> None:
    weight = torch.zeros(64, 64, dtype=torch.bfloat16)
    with Module("weights") as module:
        value = module.parameter(weight, "layer.weight")
        assert module.parameter(weight) is value
        assert b.dtype(value).name == "bfloat16"
        with pytest.raises(ModelImportError, match="two arrays have it"):
            module.parameter(np.zeros(3), "layer.weight")
        program = module.finish([("w", value)])
    assert program.weights["layer.weight"] is weight
    weight[0, 0] = 3
    assert program.weights.array("layer.weight")[0, 0] == 3


def test_tied_weights_are_stored_once() -> None:
    array, tensor = draw(32, 64), torch.zeros(32, 64)
    with Module("weights") as module:
        first = module.parameter(array, "embedding")
        assert module.parameter(array[:], "head") is first
        assert module.parameter(array.T) is not first
        assert module.parameter(array.T) is module.parameter(array.T)
        shared = module.parameter(tensor, "a")
        assert module.parameter(tensor.detach(), "b") is shared
        program = module.finish([("y", first)])
    assert list(program.weights) == ["embedding", "constant_1", "a"]


def test_locations_can_be_named() -> None:
    with Module("locations") as module:
        x = module.argument("x", (4,), np.float32)
        with module.location("encoder.layer.0/Gelu", "model.py", 12):
            y = b.gelu(x)
        program = module.finish([("y", y)])
    text = program.module.operation.get_asm(enable_debug_info=True)
    assert 'loc("encoder.layer.0/Gelu"(#loc' in text
    assert 'loc("model.py":12:0)' in text


def test_constants_are_shared() -> None:
    with Module("constants") as module:
        x = module.argument("x", (4,), np.float32)
        y = b.add(b.mul(b.add(x, 1.0), 1), np.float32(1))
        program = module.finish([("y", y)])
    assert str(program.module).count("ix.constant") == 1


@pytest.mark.parametrize(
    ("function", "match"),
    [
        (lambda x: b.glu(x, 0), "an even size on axis 0, but it is 3"),
        (lambda x: b.transpose(x, [0, 0]), "every axis of rank 2 once"),
        (lambda x: b.squeeze(x, 0), "size 1 on axis 0, but it is 3"),
        (lambda x: b.broadcast_to(x, [3, 5]), "'broadcast_to' needs"),
        (lambda x: b.stack([]), "at least one array"),
        (lambda x: b.norm(x, 2, (0, 1)), "Frobenius"),
        (lambda x: b.quantile(x, 2.0), r"one q in \[0, 1\]"),
        (lambda x: b.topk(x, 9), "k must"),
        (lambda x: b.repeat(x, [1, 2]), "one number of repeats"),
        (lambda x: b.moveaxis(x, (0, 1), 0), "as many destinations"),
        (lambda x: b.add(b.cast(x, np.int8), 300), "to fit in int8"),
        (lambda x: b.tensordot(x, x, 1), "equal sizes on contracted axes"),
        (lambda x: b.sum(x, (0, 0)), "distinct axes"),
        (lambda x: b.matmul(x, 2.0), "operands with axes"),
        (lambda x: b.add(x, object()), "an array or a number"),
    ],
)
def test_what_does_not_fit_is_refused(function: Any, match: str) -> None:
    with pytest.raises(InputError, match=match):
        build(function, draw(3, 4))


def test_the_builder_needs_an_open_module() -> None:
    with pytest.raises(InputError, match="with Module"):
        b.add(np.ones(3), 1)
