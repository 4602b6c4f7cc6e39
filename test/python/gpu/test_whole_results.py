"""Sorting, scanning, scattering and gathering on GPUs, from NumPy programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gpu_runner import GpuRunner

import ix

RNG = np.random.default_rng()
DTYPES = ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8"]


def numbers(dtype: str, *shape: int) -> Any:
    """Whole numbers with ties, exact in every dtype."""
    low = 0 if dtype == "uint8" else -9
    return RNG.integers(low, 10, shape).astype(dtype)


def same(function: Callable[..., Any], *arrays: Any) -> None:
    """Asserts that the compiled function computes the bits of the plain one."""
    found = ix.jit(function)(*arrays)
    expected = function(*arrays)
    if not isinstance(expected, tuple):
        found, expected = (found,), (expected,)
    for got, want in zip(found, expected, strict=True):
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length", [1, 7, 33, 300])
def test_sort(gpu: GpuRunner, dtype: str, length: int) -> None:
    x = numbers(dtype, 3, length)
    same(lambda x: (np.sort(x, axis=-1), np.argsort(x, axis=1, kind="stable")), x)
    same(lambda x: np.sort(x, axis=0), x)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length", [1, 7, 33, 300])
def test_running_sums(gpu: GpuRunner, dtype: str, length: int) -> None:
    # Whole sums of f16 stay exact below 2048.
    x = np.clip(numbers(dtype, 2, length), -3, 3)
    # ix has no uint64, which NumPy would widen uint8 to.
    wide = np.int64 if dtype == "uint8" else None

    def body(x: Any) -> Any:
        return np.cumsum(x, axis=1, dtype=x.dtype), np.cumsum(x, axis=0, dtype=wide)

    same(body, x)


@pytest.mark.parametrize("dtype", DTYPES)
def test_extrema_and_their_places(gpu: GpuRunner, dtype: str) -> None:
    def body(x: Any) -> Any:
        return x.argmax(axis=-1), x.argmin(axis=0), x.max(axis=1), x.min()

    same(body, numbers(dtype, 5, 129))


@pytest.mark.parametrize("dtype", DTYPES)
def test_gathers_and_scatters(gpu: GpuRunner, dtype: str) -> None:
    def body(x: Any, places: Any) -> Any:
        y = x.copy()
        y[places] = 3
        return x[places], np.take(x, places, axis=1), y

    same(body, numbers(dtype, 9, 8), np.array([7, 0, -3, 5, 0]))


def test_nothing(gpu: GpuRunner) -> None:
    def body(x: Any) -> Any:
        return np.sort(x, axis=-1), np.cumsum(x, axis=1), x.sum(axis=1), x * 2

    same(body, np.zeros((3, 0), np.float32))
    same(body, np.zeros((0, 4), np.float32))
