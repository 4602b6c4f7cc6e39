"""Products of few tiles and a great depth, which several blocks share, on the emulator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gpu_runner import GpuRunner
from sum_check import assert_close

import ix

RNG = np.random.default_rng()

# Rows, depth, columns: tiles, few rows, a last part that is shorter, a depth that is no
# number of vectors.
SHAPES = [(32, 1024, 40), (20, 1000, 33), (17, 515, 8), (5, 2100, 100), (1, 1024, 64)]
DTYPES = ["float32", "float64", "float16", "int32"]


def numbers(dtype: str, *shape: int) -> Any:
    if dtype == "int32":
        return RNG.integers(-9, 9, shape).astype(dtype)
    return RNG.standard_normal(shape).astype(dtype)


def check(function: Any, *arrays: Any) -> list[Any]:
    """Compares with float64, by the size of what is added up."""
    found = ix.jit(function)(*arrays)
    wide = [each.astype(np.float64) for each in arrays]
    want, terms = function(*wide), function(*map(np.abs, wide))
    assert_close(found, want.astype(found.dtype), 32, terms=terms)
    return [found, ix.jit(function)(*arrays)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", range(len(SHAPES)))
def test_products(gpu: GpuRunner, shape: int, dtype: str) -> None:
    rows, depth, columns = SHAPES[shape]
    x, w = numbers(dtype, rows, depth), numbers(dtype, depth, columns)
    once, again = check(lambda x, w, b: x @ w + b, x, w, numbers(dtype, columns))
    np.testing.assert_array_equal(once, again)


def test_a_turned_weight(gpu: GpuRunner) -> None:
    x, w = numbers("float32", 24, 777), numbers("float32", 30, 777)
    check(lambda x, w: np.maximum(x @ w.T, 0.0), x, w)


def test_batches(gpu: GpuRunner) -> None:
    x, w = numbers("float32", 3, 18, 600), numbers("float32", 3, 600, 20)
    check(lambda x, w: x @ w, x, w)


@pytest.mark.parametrize("target", ["sm_80", "sm_90a"])
def test_blocks_share_tiles(target: str) -> None:
    x, w = numbers("float32", 32, 1024), numbers("float32", 1024, 40)
    jitted = ix.jit(lambda x, w: x @ w, target=target, device="none")
    (kernel,) = jitted.lower(x, w).compile().executable.plan.kernels
    assert kernel.blocks == 4 * 8
    assert kernel.scratch_bytes > 0
