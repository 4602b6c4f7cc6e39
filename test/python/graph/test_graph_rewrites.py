"""Graph passes that rewrite, fold and move ops keep what a program computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from graph_runner import Array, built, sample, transform

from ix.dim import Dim
from ix.importer import builder as b
from ix.importer.trace import trace
from ix.passes.graph.cancel_movement import cancel_movement
from ix.passes.graph.choose_layout import choose_layout
from ix.passes.graph.fold_batch_norm import fold_batch_norm
from ix.passes.graph.fold_constants import fold_constants
from ix.passes.graph.fold_padding import fold_padding
from ix.passes.graph.hoist_constants import hoist_constants
from ix.passes.graph.merge_sibling_matmuls import merge_sibling_matmuls
from ix.passes.graph.recognize_layer_norm import recognize_layer_norm
from ix.passes.graph.recognize_linear import recognize_linear
from ix.passes.graph.simplify_algebra import simplify_algebra
from ix.passes.graph.split_to_slices import split_to_slices

F32 = np.float32
X, GAIN, SHIFT = sample("x", 2, 3, 8), sample("gain", 8), sample("shift", 8)


def swap(x: Any) -> Any:
    return np.swapaxes(x, -1, -2)


def test_siblings_become_one_matmul() -> None:
    weights = [sample(f"w{i}", 8, 4 + i) for i in range(3)]

    def project(x: Any) -> Any:
        return [
            x @ weights[0] + F32(1),
            np.tanh(x @ weights[1] + SHIFT[:5]),
            x @ weights[2],
        ]

    program = trace(project, [X])
    ops = transform(program, [X], [merge_sibling_matmuls, hoist_constants])
    assert ops.count("ix.matmul") == 1
    assert ops.count("ix.slice") == 3


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("kind", ["conv", "conv_transpose"])
def test_batch_norm_goes_into_the_filter(
    layout: str, has_bias: bool, kind: str
) -> None:
    first = layout == "NCHW"
    x = sample("image", *((2, 6, 5, 5) if first else (2, 5, 5, 6)))
    shapes = {
        ("conv", True): (4, 6, 3, 3),
        ("conv", False): (3, 3, 6, 4),
        ("conv_transpose", True): (6, 4, 3, 3),
        ("conv_transpose", False): (3, 3, 4, 6),
    }
    filter = sample("filter", *shapes[kind, first])
    rows = [sample(name, 4) for name in ("scale", "bias", "mean", "own")]
    variance = np.abs(sample("variance", 4))

    def layer(value: Any) -> Any:
        own = rows[3] if has_bias else None
        product = getattr(b, kind)(value, filter, own, layout=layout)
        axis = 1 if first else 3
        return b.batch_norm(product, *rows[:3], variance, axis=axis)

    ops = transform(built(layer, x), [x], [fold_batch_norm, hoist_constants])
    assert [op for op in ops if op != "ix.parameter"] == [f"ix.{kind}"]


def test_batch_norm_goes_into_a_linear_layer() -> None:
    weight, bias = sample("weight", 5, 8), sample("bias", 5)
    rows = [sample(f"row{i}", 5) for i in range(3)]

    def layer(x: Any) -> Any:
        product = b.linear(x, weight, bias)
        return b.batch_norm(product, *rows, np.abs(rows[0]), axis=2)

    ops = transform(built(layer, X), [X], [fold_batch_norm, hoist_constants])
    assert [op for op in ops if op != "ix.parameter"] == ["ix.matmul", "ix.add"]


def test_batch_norm_of_a_convolution_that_is_read_twice_stays_beside_it() -> None:
    x, filter = sample("image", 2, 6, 5, 5), sample("filter", 4, 6, 3, 3)
    row = np.abs(sample("row", 4))

    def layer(value: Any) -> Any:
        product = b.conv(value, filter)
        return b.add(b.batch_norm(product, row, row, row, row), b.relu(product))

    ops = transform(built(layer, x), [x], [fold_batch_norm, hoist_constants])
    assert ops.count("ix.mul") == 1
    assert ops.count("ix.conv") == 1


W68 = sample("w68", 8, 6)
MOVEMENT: dict[str, tuple[Callable[..., Any], int]] = {
    "epilogue": (
        lambda x, y: np.tanh((x.reshape(6, 8) @ W68).reshape(2, 3, 6) + SHIFT[:6]) + y,
        9,
    ),
    "split axis": (
        lambda x, y: np.tanh((x @ W68).reshape(2, 3, 2, 3) * GAIN[:3]) + GAIN[3],
        10,
    ),
    "transposes meet": (
        lambda x, y: swap(np.tanh(swap(y)) * GAIN[:3] + F32(2)),
        6,
    ),
    "two transposes of one order": (lambda x, y: swap(swap(y) * swap(y * 2)), 3),
}


@pytest.mark.parametrize("name", MOVEMENT)
def test_movement_cancels(name: str) -> None:
    function, most = MOVEMENT[name]
    inputs = [X, sample("y", 2, 3, 6)]
    ops = transform(trace(function, inputs), inputs, ["cse", cancel_movement])
    assert "ix.transpose" not in ops
    assert len(ops) <= most


IMAGE = sample("image", 2, 6, 9, 9)


def conv(x: Any, outputs: int, kernel: int = 3, **options: Any) -> Any:
    """A convolution whose filter depends on its shape alone."""
    channels = b.shape(x)[1] // options.get("groups", 1)
    spatial = [kernel] * (len(b.shape(x)) - 2)
    filter = sample(f"filter {outputs} {kernel}", outputs, channels, *spatial)
    return b.conv(x, filter, sample("bias", outputs), **options)


def residual(x: Any) -> Any:
    y = b.relu(conv(x, 6, padding_low=1, padding_high=1))
    y = b.add(conv(y, 6, padding_low=1, padding_high=1), x)
    y = b.max_pool(b.clip(y, -1.0, 1.0), [2, 2], strides=[2, 2])
    return b.mean(b.mul(y, sample("channel", 6, 1, 1)), (2, 3))


def joined(x: Any) -> Any:
    y = conv(x, 4, 1)
    y = b.concat([y, x, conv(x, 2, 1, groups=2)], axis=1)
    y = b.softmax(b.sigmoid(y), axis=1)
    y = b.slice(y, [0, 1, 0, 2], [2, 9, 9, 8], [1, 1, 1, 1])
    return b.sum(b.avg_pool(conv(y, 3), [3, 3]), (1,))


def tokens(x: Any) -> Any:
    y = b.reshape(conv(x, 5, 3, strides=3), [2, 5, 9])
    return b.matmul(b.transpose(y, [0, 2, 1]), sample("head", 5, 4))


def separate(x: Any) -> Any:
    y = conv(b.pad(x, ((0, 0), (0, 0), (1, 2), (0, 1))), 6, groups=6)
    y = b.batch_norm(y, *[np.abs(sample(f"n{i}", 6)) + 1 for i in range(4)])
    return b.argmax(b.exp(y), axis=1)


def gated(x: Any) -> Any:
    gate = b.sigmoid(conv(b.mean(x, (2, 3), keepdims=True), 6, 1))
    return b.reshape(b.mul(conv(x, 6, 1), gate), [2, -1])


NETWORKS: dict[str, tuple[Callable[..., Any], int]] = {
    "residual": (residual, 1),
    "joined": (joined, 1),
    "tokens": (tokens, 1),
    "separate": (separate, 1),
    "gated": (gated, 2),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_put_channels_last(name: str) -> None:
    network, transposes = NETWORKS[name]
    passes = [
        split_to_slices,
        fold_padding,
        choose_layout,
        cancel_movement,
        "cse",
        hoist_constants,
    ]
    ops = transform(built(network, IMAGE), [IMAGE], passes)
    assert ops.count("ix.transpose") == transposes
    assert "ix.pad" not in ops


def test_sequences_put_channels_last() -> None:
    x = sample("sequence", 2, 6, 20)

    def network(value: Any) -> Any:
        y = b.gelu(conv(value, 6, padding_low=1, padding_high=1))
        return b.add(conv(y, 6, padding_low=1, padding_high=1), value)

    passes = [choose_layout, cancel_movement, "cse", hoist_constants]
    assert transform(built(network, x), [x], passes).count("ix.transpose") == 2


def test_upsampling_puts_channels_last() -> None:
    x = sample("image", 1, 4, 5, 5)

    def network(value: Any) -> Any:
        y = b.conv_transpose(value, sample("f", 4, 3, 2, 2), strides=2)
        return conv(b.resize(y, [1, 3, 20, 20], mode="linear"), 2)

    passes = [choose_layout, cancel_movement, "cse", hoist_constants]
    assert transform(built(network, x), [x], passes).count("ix.transpose") == 2


CONTRACTIONS: dict[str, tuple[Callable[..., Any], list[Array]]] = {
    "projection": (lambda x, w: np.einsum("bsd,de->bse", x, w), [X, sample("w", 8, 5)]),
    "rows": (lambda x, w: np.einsum("bsd,ed->bse", x, w), [X, sample("w", 5, 8)]),
    "heads": (
        lambda x, w: np.einsum("bsd,dhe->bshe", x, w),
        [X, sample("w", 8, 2, 3)],
    ),
    "from heads": (
        lambda x, w: np.einsum("bshe,hed->bsd", x, w),
        [sample("h", 2, 3, 2, 4), sample("w", 2, 4, 5)],
    ),
    "scores": (
        lambda x, w: np.einsum("bhid,bhjd->bhij", x, w),
        [sample("q", 2, 3, 4, 5), sample("k", 2, 3, 6, 5)],
    ),
    "columns": (lambda x, w: np.einsum("ki,kj->ij", x, w), [X[0], X[1]]),
}


@pytest.mark.parametrize("name", CONTRACTIONS)
def test_contractions_become_matmul(name: str) -> None:
    function, inputs = CONTRACTIONS[name]
    ops = transform(trace(function, inputs), inputs, [recognize_linear])
    assert ops.count("ix.matmul") == 1
    assert set(ops) <= {"ix.matmul", "ix.reshape", "ix.transpose"}


def test_batched_contraction_of_inner_axes_stays() -> None:
    inputs = [sample("q", 2, 4, 3, 5), sample("k", 2, 6, 3, 5)]
    program = trace(
        lambda q, k: np.einsum("ihd,jhd->hij", q, k), [each[0] for each in inputs]
    )
    ops = transform(program, [each[0] for each in inputs], [recognize_linear])
    assert "ix.matmul" not in ops


ALGEBRA: dict[str, tuple[Callable[..., Any], int]] = {
    "neutral": (lambda x: ((x + 0) * 1 - 0) / 1, 0),
    "powers": (lambda x: np.abs(x) ** 0.5 + x**2 + np.abs(x) ** -1.0, 6),
    "signs": (lambda x: np.negative(-x) + (-x) - (-(x * 2)), 4),
    "division": (lambda x: x / F32(4) + 1 / x, 4),
    "casts": (lambda x: x.astype(np.float64).astype(F32), 0),
    "slices": (lambda x: x[:, 1:, ::2][:, :, 1:3], 1),
    "select": (lambda x: np.where(~(x > 0), x, -x), 4),
    "maximum": (lambda x: np.maximum(np.maximum(x, 0), 0), 1),
    "sums": (lambda x: x[:, :1].sum(1), 2),
    "constants": (
        lambda x: x * (np.arange(8, dtype=F32).reshape(2, 4).sum(1)[0] + 2),
        2,
    ),
}


@pytest.mark.parametrize("name", ALGEBRA)
def test_algebra_becomes_simpler(name: str) -> None:
    function, most = ALGEBRA[name]
    passes = [simplify_algebra, fold_constants, "cse"]
    ops = transform(trace(function, [X]), [X], passes, 1e-6)
    assert len(ops) <= most, ops


def test_constants_fold_as_they_are_evaluated() -> None:
    def function(x: Any) -> Any:
        table = b.iota([4], 0, np.int64)
        table = b.add(b.mul(b.cast(np.array([1, 2, 3, 4]), np.int64), 3), table)
        return b.take(x, b.mod(table, 3), axis=0)

    x = sample("rows", 3, 4)
    ops = transform(built(function, x), [x], [simplify_algebra, fold_constants])
    assert ops.count("ix.mul") == 0


@pytest.mark.parametrize("rows", [1, 4])
def test_dynamic_rows_survive_all_rewrites(rows: int) -> None:
    weights = [sample(f"w{i}", 8, 8) for i in range(3)]

    def function(x: Any) -> Any:
        parts = [(x.reshape(-1, 8) @ w).reshape(x.shape) + SHIFT for w in weights]
        return np.tanh(parts[0] * F32(1)) + swap(swap(parts[1]) * 2) - parts[2] / F32(2)

    x = sample("rows", rows, 3, 8)
    program = trace(function, [x], dims={"x": {0: Dim("rows", 1, 8)}})
    passes = [
        simplify_algebra,
        "cse",
        merge_sibling_matmuls,
        cancel_movement,
        hoist_constants,
    ]
    ops = transform(program, [x], passes)
    assert ops.count("ix.matmul") == 1
    assert "ix.transpose" not in ops


def test_norms_over_channels_are_recognised_with_channels_last() -> None:
    gain, shift = sample("gain", 6, 1, 1), sample("shift", 6, 1, 1)

    def network(x: Any) -> Any:
        y = conv(x, 6)
        centered = b.sub(y, b.mean(y, 1, keepdims=True))
        variance = b.mean(b.square(centered), 1, keepdims=True)
        y = b.true_divide(centered, b.sqrt(b.add(variance, 1e-6)))
        return conv(b.add(b.mul(y, gain), shift), 4)

    passes = ["cse", choose_layout, cancel_movement, recognize_layer_norm]
    ops = transform(built(network, IMAGE), [IMAGE], [*passes, hoist_constants])
    assert ops.count("ix.layer_norm") == 1
    assert "ix.reduce_mean" not in ops
