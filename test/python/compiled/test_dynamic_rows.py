"""Rows of tensors whose sizes follow from others, read and written in one kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ix

FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "concat": lambda a, b: np.concatenate([a, b]),
    "pad": lambda a, b: np.pad(a + b, ((1, 2), (0, 0))),
    "collapse": lambda a, b: np.stack([a, b]).reshape(-1, a.shape[1]),
    "twice": lambda a, b: np.pad(np.concatenate([a, b]), ((0, 1), (0, 0))),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("columns", [1, 3, 33])
def test_a_row_is_reduced_and_returned(name: str, columns: int) -> None:
    def both(a: Any, b: Any) -> Any:
        rows = FUNCTIONS[name](a, b)
        return rows.max(axis=1, keepdims=True), rows, rows + rows.mean(axis=0)

    axis = {0: ix.Dim("n", 1, 40)}
    compiled = ix.jit(both, dims={"a": axis, "b": axis})
    for count in (1, 4, 40):
        a, b = np.random.default_rng().standard_normal((2, count, columns))
        for got, want in zip(compiled(a, b), both(a, b), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)
