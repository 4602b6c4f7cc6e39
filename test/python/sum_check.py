"""Checks ops that add up: their error is measured by the size of what they add.

Terms that cancel leave a small result and all of the terms' rounding errors: the bound of
a sum's error grows with Σ|term| (Higham, "Accuracy and Stability of Numerical
Algorithms", section 4.2), which the same ops on absolute values compute.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import linalg_runner
import ml_dtypes
import numpy as np
from lowering_check import is_float, module_of, type_text

from ix.dialects import context
from ix.dialects.ix.reference import evaluate
from ix.mlir import ir


def evaluated(body: Callable[..., Any], inputs: Sequence[np.ndarray]) -> list[Any]:
    """What the reference computes for ops that `body` builds on the inputs."""
    with context(), ir.Location.unknown():
        module = module_of([type_text(array) for array in inputs], body)
        return evaluate(module, inputs)


def check_sum(
    body: Callable[..., Any],
    inputs: Sequence[np.ndarray],
    *,
    epsilons: float = 8,
    dynamic: bool | Sequence[int] | Sequence[Sequence[int]] = False,
) -> None:
    """Asserts that lowered code computes what the reference does, up to rounding.

    Args:
        body: Builds ix ops on the arguments; returns the results.
        inputs: Arrays, whose types become those of the arguments.
        epsilons: The tolerance, in units of ε times the largest finite result, or the
            largest for the inputs' absolute values.
        dynamic: Which axes are `?`: of all arguments, or a list for each.
    """
    each = dynamic if _is_nested(dynamic) else [dynamic] * len(inputs)
    with context(), ir.Location.unknown():
        types = [type_text(x, axes) for x, axes in zip(inputs, each, strict=True)]
        module = module_of(types, body)
        text = str(module)
        expected = evaluate(module, inputs)
        sizes = evaluate(
            module, [np.abs(x) if is_float(x.dtype) else x for x in inputs]
        )
        actual = linalg_runner.run(module, list(inputs))
    for want, got, size in zip(expected, actual, sizes, strict=True):
        assert_close(got, want, epsilons, text, size)


def assert_close(
    got: Any, want: Any, epsilons: float, what: str = "", terms: Any = ()
) -> None:
    """Asserts equal shape, dtype and, within the tolerance, values; NaN equals NaN.

    The tolerance is `epsilons` · ε times the largest finite value of `want` and `terms`.
    """
    got, want = np.asarray(got), np.asarray(want)
    assert (got.shape, got.dtype) == (want.shape, want.dtype), what
    if not is_float(want.dtype):
        same = got.astype(np.int64) == want.astype(np.int64)
        assert same.all(), f"{what}\ngot {got[~same][:5]}, want {want[~same][:5]}"
        return
    epsilon = float(ml_dtypes.finfo(want.dtype).eps)
    wide, exact = got.astype(np.float64), want.astype(np.float64)
    largest = max(_largest(exact), _largest(np.asarray(terms, np.float64)))
    tolerance = epsilons * epsilon * largest
    with np.errstate(invalid="ignore"):
        good = (np.abs(wide - exact) <= tolerance) | (wide == exact)
    good |= np.isnan(wide) & np.isnan(exact)
    assert good.all(), (
        f"{what}\ngot {wide[~good][:5]}, want {exact[~good][:5]} "
        f"at {np.argwhere(~good)[:5].tolist()}, tolerance {tolerance}"
    )


def _largest(values: np.ndarray) -> float:
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max()) if finite.size else 0.0


def _is_nested(dynamic: Any) -> bool:
    return isinstance(dynamic, Sequence) and any(
        isinstance(axes, Sequence) for axes in dynamic
    )
