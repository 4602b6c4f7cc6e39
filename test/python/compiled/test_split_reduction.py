"""Large reductions to few elements: cut into pieces, and the same on any threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import ix

RNG = np.random.default_rng()
SHAPES = [(1 << 17,), (100_003,), (300, 400), (4, 40_001), (30_011, 7), (2, 3, 20_000)]


def on_threads(function: Callable[..., Any], *arrays: Any) -> Any:
    """The result, which one, two and five threads agree on to the bit."""
    results = [ix.jit(function, num_threads=threads)(*arrays) for threads in (1, 2, 5)]
    for other in results[1:]:
        assert np.asarray(other).tobytes() == np.asarray(results[0]).tobytes()
    return results[0]


def launches(function: Callable[..., Any], *arrays: Any) -> int:
    return len(ix.jit(function).lower(*arrays).compile().executable.plan.launches)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_sums_and_extrema(shape: tuple[int, ...]) -> None:
    x = RNG.standard_normal(shape).astype(np.float32)
    wide = x.astype(np.float64)
    total = on_threads(np.sum, x)
    assert abs(total - wide.sum()) < 1e-6 * np.abs(wide).sum()
    assert abs(on_threads(np.mean, x) - wide.mean()) < 1e-6
    np.testing.assert_allclose(on_threads(np.std, x), wide.std(), rtol=1e-5)
    np.testing.assert_allclose(
        on_threads(lambda x: np.sqrt((x * x).sum(keepdims=True)), x),
        np.sqrt((wide * wide).sum(keepdims=True)),
        rtol=1e-5,
    )
    assert on_threads(np.max, x) == x.max()
    assert on_threads(np.min, x) == x.min()
    assert bool(on_threads(lambda x: (x > 100).any(), x)) is False
    assert bool(on_threads(lambda x: (x < 100).all(), x)) is True
    for axis in range(x.ndim):
        got = on_threads(lambda x, axis=axis: x.sum(axis), x)
        np.testing.assert_allclose(got, wide.sum(axis), rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_places(shape: tuple[int, ...]) -> None:
    x = RNG.standard_normal(shape).astype(np.float32)
    assert on_threads(np.argmax, x) == x.argmax()
    assert on_threads(lambda x: np.argmin(x * 2 + 1), x) == (x * 2 + 1).argmin()
    ties = RNG.integers(0, 2, shape).astype(np.float32)
    assert on_threads(np.argmax, ties) == ties.argmax()
    last = (1,) * len(shape)
    ties = np.zeros(shape, np.float32)
    ties[tuple(-n for n in last)] = 1  # in what the pieces leave over, if anything
    assert on_threads(np.argmax, ties) == ties.size - 1
    ties.flat[[5, -2]] = np.nan
    assert on_threads(np.argmax, ties) == on_threads(np.argmin, ties) == 5
    assert np.isnan(on_threads(np.max, ties))


@pytest.mark.onnx
def test_last_places_of_equal_elements() -> None:
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    node = helper.make_node(
        "ArgMax", ["x"], ["y"], axis=0, keepdims=0, select_last_index=1
    )
    kinds = onnx.TensorProto
    graph = helper.make_graph(
        [node],
        "last",
        [helper.make_tensor_value_info("x", kinds.FLOAT, [100_003])],
        [helper.make_tensor_value_info("y", kinds.INT64, [])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    compiled = ix.compile(model)
    for places in ([3, 7], [3, 60_000, 60_001], [3, 100_001], [100_000, 100_002]):
        x = np.zeros(100_003, np.float32)
        x[places] = 1
        assert compiled(x) == places[-1]


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_short_floats_are_rounded_once(dtype: Any) -> None:
    x = RNG.uniform(0, 1, 1 << 17).astype(dtype)
    exact = x.astype(np.float64).sum()
    if dtype is not np.float16:  # 65504 is its largest
        assert abs(float(on_threads(np.sum, x)) - exact) <= exact * 2.0**-8
    exact = x.astype(np.float64).mean()
    digits = 11 if dtype is np.float16 else 8
    assert abs(float(on_threads(np.mean, x)) - exact) <= exact * 2.0**-digits


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.uint8])
def test_integers_wrap(dtype: Any) -> None:
    info = np.iinfo(dtype)
    x = RNG.integers(info.min, info.max, 100_001, dtype)
    assert on_threads(lambda x: x.sum(dtype=dtype), x) == x.sum(dtype=dtype)
    assert on_threads(np.max, x) == x.max()


def test_operands_that_broadcast_are_cut_where_they_have_the_axis() -> None:
    x = RNG.standard_normal((30_011, 5)).astype(np.float32)
    row = RNG.standard_normal(5).astype(np.float32)
    column = RNG.standard_normal((30_011, 1)).astype(np.float32)
    single = RNG.standard_normal((1, 1)).astype(np.float32)

    def function(x: Any, row: Any, column: Any, single: Any) -> Any:
        d = (x - row) * column + single
        return (d * d).mean()

    wide = [each.astype(np.float64) for each in (x, row, column, single)]
    got = on_threads(function, x, row, column, single)
    np.testing.assert_allclose(got, function(*wide), rtol=1e-5)


def test_only_what_is_worth_it_is_cut() -> None:
    x = np.zeros(1 << 17, np.float32)
    assert launches(lambda x: (x * x).sum(), x) == 2
    assert launches(np.sum, x[: 1 << 15]) == 1
    assert launches(lambda x: x.sum(1), x.reshape(64, -1)) == 1
