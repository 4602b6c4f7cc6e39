"""Tensors without elements, whether their sizes are known or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ix

FUNCTIONS: list[Callable[[Any], Any]] = [
    lambda x: x @ x.T,
    lambda x: x.T @ x,
    lambda x: np.concatenate([x, -x]),
    lambda x: np.exp(x) / np.exp(x).sum(axis=1, keepdims=True),
    lambda x: np.broadcast_to(x, (0, *x.shape)).sum(axis=(1, 2), keepdims=True) + 1,
    lambda x: np.cumsum(np.sort(x, axis=0), axis=0),
]


@pytest.mark.parametrize("place", range(len(FUNCTIONS)))
@pytest.mark.parametrize("columns", [0, 1, 5])
@pytest.mark.parametrize("dynamic", [False, True])
def test_no_rows(place: int, columns: int, dynamic: bool) -> None:
    function = FUNCTIONS[place]
    dims = {"x": {0: ix.Dim("rows", 0, 40)}} if dynamic else {}
    compiled = ix.jit(function, dims=dims)
    for rows in (0, 3, 0):
        x = np.random.default_rng().standard_normal((rows, columns)).astype(np.float32)
        got, want = compiled(x), function(x.astype(np.float64))
        assert got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
