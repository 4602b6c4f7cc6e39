"""Attention: the reference against PyTorch, the decomposition against the reference."""

import linalg_runner
import numpy as np
import pytest
from lowering_check import module_of, numbers, type_text
from sum_check import assert_close, evaluated

from ix.dialects import context, ix
from ix.dialects.ix.reference import evaluate
from ix.dialects.ix.shapes import NUMPY_DTYPES
from ix.errors import InputError
from ix.mlir import ir
from ix.passes.graph.decompose_attention import decompose_attention

RNG = np.random.default_rng()
# batch, heads, key heads, queries, keys, depth, width
SIZES = [(2, 4, 4, 5, 7, 3, 6), (1, 6, 2, 4, 3, 8, 2), (1, 2, 1, 1, 5, 4, 4)]


def operands(sizes, dtype, mask):
    b, h, g, s, t, d, e = sizes
    shapes = ([b, h, s, d], [b, g, t, d], [b, g, t, e])
    inputs = [numbers(RNG, shape, dtype, 1) for shape in shapes]
    if mask == "bool":
        inputs.append(RNG.random((s, t)) < 0.7)
    elif mask == "added":
        inputs.append(numbers(RNG, [b, 1, s, t], dtype, 1))
        inputs[-1][..., 0] = -np.inf
    return inputs


def check_decomposed(body, inputs, epsilons, dynamic):
    """Both the decomposed ops and their lowering give what ix.attention does."""
    with context(), ir.Location.unknown():
        module = module_of([type_text(x, dynamic) for x in inputs], body)
        (want,) = evaluate(module, inputs)
        decompose_attention.run(module, all=True)
        assert "ix.attention" not in str(module)
        module.operation.verify()
        assert_close(evaluate(module, inputs)[0], want, epsilons)
        (got,) = linalg_runner.run(module, inputs)
    assert_close(got, want, epsilons)


@pytest.mark.parametrize("dynamic", [False, [0, 2], [0, 1, 2, 3]], ids=str)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("mask", [None, "bool", "added"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_decomposition(sizes, mask, causal, dynamic):
    inputs = operands(sizes, np.float32, mask)

    def body(*values):
        return [ix.AttentionOp.build(*values, scale=0.4, causal=causal)]

    if dynamic and mask == "added":
        dynamic = [axis for axis in dynamic if axis != 1]  # a static 1 stretches
        if sizes[1] != sizes[2]:
            dynamic = [axis for axis in dynamic if axis != 0]
    if dynamic and mask == "bool":
        dynamic = [axis for axis in dynamic if axis > 1 or sizes[0] > 1]
    check_decomposed(body, inputs, 16, dynamic)


@pytest.mark.parametrize("name", ["f64", "f16", "bf16", "f8E5M2"])
def test_decomposition_of_other_floats(name):
    inputs = operands(SIZES[1], NUMPY_DTYPES[name], "bool")
    check_decomposed(lambda *v: [ix.AttentionOp.build(*v)], inputs, 4, False)


@pytest.mark.parametrize("keys", [0, 2])
def test_a_row_that_sees_nothing_gives_zeros(keys):
    q, k, v = operands((1, 2, 2, 5, keys, 4, 4), np.float32, None)

    def body(*values):
        return [ix.AttentionOp.build(*values, causal=True)]

    (got,) = evaluated(body, [q, k, v])
    np.testing.assert_array_equal(got[:, :, : 5 - keys], 0)
    assert keys == 0 or (got[:, :, 5 - keys :] != 0).all()
    check_decomposed(body, [q, k, v], 16, False)


def test_a_hidden_row_stays_zero_with_either_mask():
    q, k, v = operands((1, 2, 2, 3, 4, 4, 4), np.float32, None)
    hidden = np.array([[False] * 4, [True] * 4, [True, False] * 2])
    for mask in (hidden, np.where(hidden, 0, -np.inf).astype(np.float32)):
        (got,) = evaluated(lambda *x: [ix.AttentionOp.build(*x)], [q, k, v, mask])
        assert (got[:, :, 0] == 0).all() and np.isfinite(got).all()
        check_decomposed(
            lambda *x: [ix.AttentionOp.build(*x)], [q, k, v, mask], 16, False
        )


def test_short_floats_do_not_overflow_in_the_scores():
    q = np.full([1, 1, 2, 64], 60, np.float16)  # a score of 230400 is no f16
    v = numbers(RNG, [1, 1, 2, 4], np.float16)
    body = lambda q, v: [ix.AttentionOp.build(q, q, v, scale=1.0)]  # noqa: E731
    check_decomposed(body, [q, v], 2, False)


@pytest.mark.torch
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("mask", [None, "bool", "added"])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_reference_agrees_with_pytorch(sizes, mask, causal):
    torch = pytest.importorskip("torch")
    s, t = sizes[3:5]
    if causal and s != t:
        sizes = (*sizes[:4], s, *sizes[5:])  # PyTorch aligns at the other corner
    inputs = operands(sizes, np.float64, mask)
    if mask == "bool":
        inputs[3][:, 0] = True  # PyTorch gives NaN to rows that see nothing
    if mask == "added":
        inputs[3] = np.where(np.isinf(inputs[3]), -3.0, inputs[3])
    tensors = [torch.from_numpy(x) for x in inputs]
    attended = tensors[3] if mask else None
    if causal and mask:
        seen = torch.ones(sizes[3], sizes[4]).tril().bool()
        bias = torch.zeros_like(tensors[3], dtype=torch.float64)
        bias = bias.masked_fill(~attended, -np.inf) if mask == "bool" else attended
        attended = bias.masked_fill(~seen, -np.inf)
    want = torch.nn.functional.scaled_dot_product_attention(
        *tensors[:3],
        attn_mask=attended,
        is_causal=causal and not mask,
        enable_gqa=sizes[1] != sizes[2],
    )
    (got,) = evaluated(lambda *x: [ix.AttentionOp.build(*x, causal=causal)], inputs)
    assert_close(got, want.numpy(), 16)


def test_the_default_scale_needs_a_static_depth():
    with (
        context(),
        ir.Location.unknown(),
        pytest.raises(InputError, match="pass scale"),
    ):
        module_of(["tensor<1x1x2x?xf32>"], lambda q: [ix.AttentionOp.build(q, q, q)])
