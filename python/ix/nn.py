"""Functions that NumPy lacks and models need; on arrays and inside `ix.jit` alike.

ix.nn.gelu(x)      on a NumPy array: the result; while tracing: one op of the program
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["embedding", "erf", "gelu", "silu", "softmax"]

# x · P(x²) / Q(x²) for |x| ≤ 4: the rational approximation of Eigen and XLA.
_P = (
    -2.72614225801306e-10,
    2.77068142495902e-08,
    -2.10102402082508e-06,
    -5.69250639462346e-05,
    -7.34990630326855e-04,
    -2.95459980854025e-03,
    -1.60960333262415e-02,
)
_Q = (
    -1.45660718464996e-05,
    -2.13374055278905e-04,
    -1.68282697438203e-03,
    -7.37332916720468e-03,
    -1.42647390514189e-02,
)


def _traced(x: Any) -> bool:
    return type(x).__module__.startswith("ix.importer.trace")


def erf(x: Any) -> Any:
    """The error function, elementwise.

    On float64 arrays to the last bits; on float32 within 8 ulp.
    """
    if _traced(x):
        from ix.importer import builder
        from ix.importer.trace.tracer import unwrapped, wrapped

        return wrapped(builder.erf(unwrapped(x)))
    x = np.asarray(x)
    if x.dtype != np.float32:
        exact = np.vectorize(math.erf, otypes=[np.float64])
        return exact(x) if x.size else x.astype(np.float64)
    c = np.clip(x, -4.0, 4.0)
    t = c * c
    p = np.float32(_P[0])
    for coefficient in _P[1:]:
        p = p * t + np.float32(coefficient)
    q = np.float32(_Q[0])
    for coefficient in _Q[1:]:
        q = q * t + np.float32(coefficient)
    return c * p / q


def embedding(table: Any, indices: Any) -> Any:
    """The rows of `table` that `indices` names: table[n, d], indices[…] → […, d].

    NumPy's own `table[indices]` and `np.take` cannot see a traced index where the table
    is an array from outside of the function.
    """
    if _traced(indices) or _traced(table):
        from ix.importer import builder
        from ix.importer.trace.tracer import unwrapped, wrapped

        return wrapped(builder.take(unwrapped(table), unwrapped(indices), axis=0))
    return np.take(table, indices, axis=0)


def gelu(x: Any) -> Any:
    """x · (1 + erf(x / √2)) / 2, elementwise."""
    return x * 0.5 * (1.0 + erf(x * math.sqrt(0.5)))


def silu(x: Any) -> Any:
    """x / (1 + exp(−x)), elementwise."""
    return x / (1.0 + np.exp(-x))


def softmax(x: Any, axis: int = -1) -> Any:
    """exp(x) / Σ exp(x) along an axis."""
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)
