"""Dtypes: NumPy and ml_dtypes to MLIR element types, and NumPy's promotion rules.

Python scalars are weakly typed (NEP 50): they take the dtype of the arrays they meet.
That rule also holds here for the types of ml_dtypes, where NumPy itself still widens:
`bfloat16 array + 1.0` stays bfloat16.

Unsigned integers other than uint8 have no element type in ix. `np.sum` and
`np.cumsum` of uint8 therefore give int64, where NumPy gives uint64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

import ml_dtypes
import numpy as np

from ix.errors import InputError
from ix.mlir import ir

BOOL = np.dtype(np.bool_)
INT4 = np.dtype(ml_dtypes.int4)
INT8 = np.dtype(np.int8)
INT32 = np.dtype(np.int32)
INT64 = np.dtype(np.int64)
FLOAT16 = np.dtype(np.float16)
FLOAT32 = np.dtype(np.float32)
FLOAT64 = np.dtype(np.float64)
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
FLOAT8_E4M3FN = np.dtype(ml_dtypes.float8_e4m3fn)
FLOAT8_E5M2 = np.dtype(ml_dtypes.float8_e5m2)

Weak = type[bool] | type[int] | type[float]
"""The Python type of a weakly typed scalar."""

_ELEMENT_TYPES: dict[np.dtype[Any], Callable[[], Any]] = {
    FLOAT64: ir.F64Type.get,
    FLOAT32: ir.F32Type.get,
    FLOAT16: ir.F16Type.get,
    BFLOAT16: ir.BF16Type.get,
    FLOAT8_E4M3FN: ir.Float8E4M3FNType.get,
    FLOAT8_E5M2: ir.Float8E5M2Type.get,
    INT64: lambda: ir.IntegerType.get_signless(64),
    INT32: lambda: ir.IntegerType.get_signless(32),
    np.dtype(np.int16): lambda: ir.IntegerType.get_signless(16),
    INT8: lambda: ir.IntegerType.get_signless(8),
    INT4: lambda: ir.IntegerType.get_signless(4),
    np.dtype(np.uint8): lambda: ir.IntegerType.get_unsigned(8),
    BOOL: lambda: ir.IntegerType.get_signless(1),
}

_DTYPES: dict[str, np.dtype[Any]] = {
    "f64": FLOAT64,
    "f32": FLOAT32,
    "f16": FLOAT16,
    "bf16": BFLOAT16,
    "f8E4M3FN": FLOAT8_E4M3FN,
    "f8E5M2": FLOAT8_E5M2,
    "i64": INT64,
    "i32": INT32,
    "i16": np.dtype(np.int16),
    "i8": INT8,
    "i4": INT4,
    "ui8": np.dtype(np.uint8),
    "i1": BOOL,
}

_FLOATS = {FLOAT64, FLOAT32, FLOAT16, BFLOAT16, FLOAT8_E4M3FN, FLOAT8_E5M2}

SUPPORTED = tuple(_ELEMENT_TYPES)
"""Every dtype that ix computes with."""


def canonical_dtype(dtype: Any, what: str = "an array") -> np.dtype[Any]:
    """The native-endian NumPy dtype that `dtype` names; Python types give 64 bits.

    Raises:
        InputError: ix has no such element type.
    """
    result = np.dtype(dtype).newbyteorder("=")
    if result not in _ELEMENT_TYPES:
        names = ", ".join(str(each) for each in _ELEMENT_TYPES)
        raise InputError(
            f"{what} needs one of the dtypes {names}, but it has {result}; "
            "convert it with astype"
        )
    return result


def element_type(dtype: Any) -> Any:
    """The MLIR element type of a NumPy dtype, in the current context."""
    return _ELEMENT_TYPES[canonical_dtype(dtype)]()


def numpy_dtype(element: Any) -> np.dtype[Any]:
    """The NumPy dtype of an MLIR element type."""
    return _DTYPES[str(element)]


def is_float(dtype: np.dtype[Any]) -> bool:
    """Whether `dtype` is a floating-point type, those of ml_dtypes included."""
    return dtype in _FLOATS


def is_integer(dtype: np.dtype[Any]) -> bool:
    """Whether `dtype` is an integer type; bool is none."""
    return dtype not in _FLOATS and dtype != BOOL


def promote(dtypes: Iterable[np.dtype[Any]], weak: Iterable[Weak] = ()) -> Any:
    """The dtype that arrays of `dtypes` and Python scalars of types `weak` meet in."""
    return _promote(tuple(dict.fromkeys(dtypes)), tuple(dict.fromkeys(weak)))


@lru_cache(maxsize=4096)
def _promote(strong: tuple[Any, ...], weak: tuple[Weak, ...]) -> Any:
    rank = max((_WEAK_RANK[each] for each in weak), default=-1)
    if not strong:
        return _WEAK_DEFAULT[rank]
    result = strong[0]
    for other in strong[1:]:
        result = _promote_two(result, other)
    return _WEAK_DEFAULT[rank] if rank > _dtype_rank(result) else result


_WEAK_RANK: dict[type, int] = {bool: 0, int: 1, float: 2}
_WEAK_DEFAULT: dict[int, np.dtype[Any]] = {0: BOOL, 1: INT64, 2: FLOAT64}


def _dtype_rank(dtype: np.dtype[Any]) -> int:
    if dtype == BOOL:
        return 0
    return 2 if is_float(dtype) else 1


def _promote_two(a: np.dtype[Any], b: np.dtype[Any]) -> np.dtype[Any]:
    """`numpy.result_type`, and what NumPy's `add` gives where that has no answer."""
    try:
        return np.result_type(a, b)
    except TypeError:  # two of ml_dtypes' floats, or one with a wide integer
        return np.add.resolve_dtypes((a, b, None))[2]


def float_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype in which NumPy evaluates exp, sqrt, ... of `dtype`.

    Floats stay; integers take the narrowest float that holds them (int8 → float16).
    """
    if is_float(dtype):
        return dtype
    if dtype.itemsize == 1:  # bool and int4 too
        return FLOAT16
    return FLOAT32 if dtype.itemsize == 2 else FLOAT64


def mean_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of a mean or a true quotient: floats stay, integers give float64."""
    return dtype if is_float(dtype) else FLOAT64


def sum_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of a sum or product: integers narrower than 64 bits give int64."""
    return dtype if is_float(dtype) else INT64
