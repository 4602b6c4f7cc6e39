"""NumPy semantics of the ops of `contraction.py`."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ix.dialects.ix.reference_precision import Array, is_float, rounded, widened
from ix.dialects.ix.shapes import numpy_dtype

__all__ = ["CONTRACTION", "factor", "finished"]

Attributes = dict[str, Any]


def factor(array: Array) -> Array:
    """An operand in a type whose sums of products are exact or wrap: float64, int64.

    Short integers use float64 too, which NumPy multiplies far faster: products of 16
    bits are exact, and so are sums of 2²¹ of them.
    """
    if is_float(array.dtype):
        return widened(array)
    is_short = array.dtype.itemsize <= 2
    return array.astype(np.float64 if is_short else np.int64)


def finished(total: Array, result_types: Sequence[Any]) -> list[Array]:
    """The sum in the result's element type; integers wrap."""
    dtype = numpy_dtype(result_types[0].element_type)
    if not is_float(dtype):
        total = total.astype(np.int64)
    return [rounded(total, dtype)]


def matmul(
    operands: Sequence[Array], attributes: Attributes, result_types: Sequence[Any]
) -> list[Array]:
    a, b = map(factor, operands)
    if attributes["transpose_a"]:
        a = np.swapaxes(a, -1, -2)
    if attributes["transpose_b"]:
        b = np.swapaxes(b, -1, -2)
    with np.errstate(all="ignore"):
        return finished(np.matmul(a, b), result_types)


def dot_general(
    operands: Sequence[Array], attributes: Attributes, result_types: Sequence[Any]
) -> list[Array]:
    a, b = map(factor, operands)
    names_b = [a.ndim + axis for axis in range(b.ndim)]
    for what in ("batch", "contract"):
        pairs = zip(attributes[f"{what}_a"], attributes[f"{what}_b"], strict=True)
        for axis_a, axis_b in pairs:
            names_b[axis_b] = axis_a
    shared = {*attributes["batch_a"], *attributes["contract_a"]}
    free_a = [axis for axis in range(a.ndim) if axis not in shared]
    free_b = [name for name in names_b if name >= a.ndim]
    result = [*attributes["batch_a"], *free_a, *free_b]
    with np.errstate(all="ignore"):
        total = np.einsum(a, list(range(a.ndim)), b, names_b, result)
    return finished(np.asarray(total), result_types)


CONTRACTION = {"ix.matmul": matmul, "ix.dot_general": dot_general}
"""Op name → (operands, attributes as Python values, result types) → results."""
