"""Rows that neither registers nor shared memory hold, on the emulator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gpu_runner import GpuRunner
from sum_check import assert_close

import ix

RNG = np.random.default_rng()

# Of 4-byte elements: kept in shared memory on both GPUs, on the newer one, on none;
# whole vectors, and a row that has none.
LENGTHS = [40000, 50257, 65536, 100001, 131072]


def softmax(x: Any) -> Any:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def logsumexp(x: Any) -> Any:
    peak = x.max(axis=-1, keepdims=True)
    return np.log(np.exp(x - peak).sum(axis=-1)) + peak[..., 0]


def layer_norm(x: Any) -> Any:
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + 1e-5)


def after_sum(x: Any, y: Any) -> Any:
    return layer_norm(x + y * y)


def statistics(x: Any) -> Any:
    return x.sum(axis=-1), x.var(axis=-1)


def check(function: Callable[..., Any], *arrays: Any) -> list[Any]:
    """Compares with the same function in float64; the results."""
    found = ix.jit(function)(*arrays)
    wide = [each.astype(np.float64) for each in arrays]
    expected = function(*wide)
    if not isinstance(expected, tuple):
        found, expected = (found,), (expected,)
    for got, want in zip(found, expected, strict=True):
        assert got.dtype == arrays[0].dtype
        assert_close(got, want.astype(got.dtype), 64)
    return list(found)


def normal(dtype: Any, *shape: int) -> Any:
    return (3 * RNG.standard_normal(shape) + 1).astype(dtype)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("function", [softmax, logsumexp, layer_norm, statistics])
def test_long_rows(gpu: GpuRunner, function: Any, length: int) -> None:
    check(function, normal(np.float32, 2, length))


@pytest.mark.parametrize("length", [15999, 16384, 30001, 60000])
@pytest.mark.parametrize("function", [softmax, layer_norm])
def test_long_rows_of_doubles(gpu: GpuRunner, function: Any, length: int) -> None:
    check(function, normal(np.float64, 2, length))


def test_what_several_inputs_make_is_kept(gpu: GpuRunner) -> None:
    check(after_sum, normal(np.float32, 2, 40000), normal(np.float32, 2, 40000))


@pytest.mark.parametrize("length", [40000, 131072])
def test_rows_far_from_zero_keep_their_variance(gpu: GpuRunner, length: int) -> None:
    """A sum of squares would lose what is left of it: 1 beside 10^8."""
    x = (1e4 + RNG.standard_normal((2, length))).astype(np.float32)
    found = ix.jit(lambda x: x.var(axis=-1))(x)
    want = x.astype(np.float64).var(axis=-1)
    np.testing.assert_allclose(found, want, rtol=1e-3)


SPECIAL = [
    ([-np.inf], "all"),
    ([-np.inf], "some"),
    ([np.inf], "some"),
    ([np.nan], "some"),
]


@pytest.mark.parametrize("length", [40000, 131072])
@pytest.mark.parametrize("case", range(len(SPECIAL)))
def test_infinities_and_nan(gpu: GpuRunner, case: int, length: int) -> None:
    values, where = SPECIAL[case]
    x = normal(np.float32, 2, length)
    if where == "all":
        x[0] = values[0]
    else:
        x[0, RNG.integers(0, length, 100)] = values[0]
    x[1, :-5] = -np.inf
    with np.errstate(invalid="ignore"):
        check(softmax, x)
        check(logsumexp, x)


def sectors(gpu: GpuRunner) -> tuple[int, int]:
    ((_, counters),) = gpu.launches
    return counters["global_load_sectors"], counters["global_store_sectors"]


@pytest.mark.parametrize(
    ("function", "length", "target", "reads"),
    [
        (softmax, 40000, "sm_80", 1),
        (softmax, 65536, "sm_90a", 1),
        (layer_norm, 40000, "sm_80", 1),
        (logsumexp, 262144, "sm_80", 1),
        (softmax, 262144, "sm_80", 2),
        (layer_norm, 262144, "sm_90a", 2),
    ],
)
def test_a_row_is_read_once_where_it_fits_else_twice(
    function: Any, length: int, target: str, reads: int, monkeypatch: Any
) -> None:
    gpu = GpuRunner(target)
    gpu.install(monkeypatch)
    check(function, normal(np.float32, 1, length))
    loaded, _ = sectors(gpu)
    assert length // 8 <= loaded <= 1.02 * reads * length // 8


def row_sums(x: Any) -> Any:
    return x.sum(axis=-1)


@pytest.mark.parametrize("target", ["sm_80", "sm_90a"])
@pytest.mark.parametrize(
    ("function", "rows", "length"),
    [
        (softmax, 5, 1031),
        (layer_norm, 5, 1031),
        (softmax, 3, 5001),
        (layer_norm, 3, 50257),
        (logsumexp, 3, 50257),
        (row_sums, 3, 60013),
    ],
)
def test_rows_that_start_within_a_sector_read_whole_sectors(
    function: Any, rows: int, length: int, target: str, monkeypatch: Any
) -> None:
    """But for the sectors that two rows share, and what threads beyond an end read."""
    gpu = GpuRunner(target)
    gpu.install(monkeypatch)
    check(function, normal(np.float32, rows, length))
    loaded, stored = sectors(gpu)
    ideal = -(-rows * length // 8)
    assert ideal <= loaded <= 1.02 * ideal + 2 * rows
    if function in (softmax, layer_norm):
        assert ideal <= stored <= 1.02 * ideal + 2 * rows


@pytest.mark.parametrize("dtype", [np.float16, np.int8, np.float64])
def test_odd_rows_of_other_widths(gpu: GpuRunner, dtype: Any) -> None:
    x = (100 * RNG.standard_normal((4, 3077))).astype(dtype)
    found = ix.jit(lambda x: x - x.max(axis=-1, keepdims=True))(x)
    np.testing.assert_array_equal(found, x - x.max(axis=-1, keepdims=True))
