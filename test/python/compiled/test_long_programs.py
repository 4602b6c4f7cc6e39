"""Programs of many ops, one after the other: no part of the compiler recurses over them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ix

X = np.random.default_rng().standard_normal((5, 8)).astype(np.float32)


def waves(x: Any) -> Any:
    for _ in range(300):
        x = np.sin(x) + 0.5
    return x


def moves(x: Any) -> Any:
    for _ in range(150):
        x = np.pad(x[1:], ((0, 1), (0, 0))).T + 1
    return x


def sums(x: Any) -> Any:
    for _ in range(150):
        x = x - 0.5 * x.sum(axis=1, keepdims=True)
        x = x / np.abs(x).max()
    return x


@pytest.mark.parametrize("function", [waves, moves, sums])
def test_many_ops(function: Callable[[Any], Any]) -> None:
    exact = function(X.astype(np.float64))
    np.testing.assert_allclose(ix.jit(function)(X), exact, rtol=1e-3, atol=1e-3)


def test_a_kernel_that_is_full_is_a_reason() -> None:
    assert (
        "as many ops as a kernel may have" in ix.jit(waves).lower(X).compile().explain()
    )
