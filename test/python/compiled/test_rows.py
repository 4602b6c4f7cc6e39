"""Row kernels and activations: what passes over NaN, fetches ahead, or has a name."""

from __future__ import annotations

from math import erfc
from typing import Any

import numpy as np
import pytest

import ix
from ix.target import Target


def softmax(x: Any) -> Any:
    wide = x.astype(np.float64)
    with np.errstate(all="ignore"):
        power = np.exp(wide - wide.max(axis=-1, keepdims=True))
        return power / power.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("columns", [1, 15, 64, 200])
def test_softmax_of_rows_with_nan_and_infinities(dtype: str, columns: int) -> None:
    rng = np.random.default_rng()
    x = (rng.standard_normal((64, columns)) * 20).astype(dtype)
    for row, special in enumerate([np.nan, np.inf, -np.inf] * 20):
        x[row, rng.integers(columns)] = special
    x[60:] = [[-np.inf], [np.inf], [np.nan], [0]]
    got = ix.jit(ix.nn.softmax)(x)
    close = {"float32": 5e-7, "float64": 1e-15, "float16": 1e-3}[dtype]
    np.testing.assert_allclose(got, softmax(x), rtol=0, atol=close)


@pytest.mark.parametrize("columns", [1024, 1000])
def test_rows_beyond_the_level_2_cache(columns: int) -> None:
    """They are fetched ahead: the last row of a chunk has none to fetch."""
    rows = Target.parse("cpu").cache_bytes.l2 // columns // 4 + 3
    x = np.random.default_rng().standard_normal((rows, columns)).astype(np.float32)
    lowered = ix.jit(ix.nn.softmax).lower(x)
    assert "memref.prefetch" in lowered.as_text("loops")
    assert "memref.prefetch" not in ix.jit(ix.nn.softmax).lower(x[:8]).as_text("loops")
    np.testing.assert_allclose(lowered.compile()(x), softmax(x), rtol=2e-5, atol=0)


def test_gelu_is_accurate_relative_to_itself() -> None:
    x = np.linspace(-13, 13, 20_000, dtype=np.float32)
    got = ix.jit(ix.nn.gelu)(x)
    want = [v * erfc(-v / np.sqrt(2)) / 2 for v in x.astype(np.float64)]
    np.testing.assert_allclose(got, want, rtol=6e-7, atol=0)
    ends = ix.jit(ix.nn.gelu)(np.array([-np.inf, np.inf, np.nan, 0, -0.0], np.float32))
    np.testing.assert_array_equal(ends, [-0.0, np.inf, np.nan, 0, -0.0])
