"""TensorProto → NumPy: views where the bytes allow it, sizes checked before reading."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
from onnx import TensorProto

from ix.errors import ModelImportError

__all__ = [
    "DTYPES",
    "MAX_ELEMENTS",
    "STORED_BITS",
    "dtype_of",
    "element_count",
    "from_bytes",
    "read_tensor",
    "type_name",
]

MAX_ELEMENTS = 1 << 40
"""The largest tensor that a model may name, in elements."""

DTYPES: dict[int, np.dtype[Any]] = {
    TensorProto.FLOAT: np.dtype(np.float32),
    TensorProto.UINT8: np.dtype(np.uint8),
    TensorProto.INT8: np.dtype(np.int8),
    TensorProto.UINT16: np.dtype(np.uint16),
    TensorProto.INT16: np.dtype(np.int16),
    TensorProto.INT32: np.dtype(np.int32),
    TensorProto.INT64: np.dtype(np.int64),
    TensorProto.BOOL: np.dtype(np.bool_),
    TensorProto.FLOAT16: np.dtype(np.float16),
    TensorProto.DOUBLE: np.dtype(np.float64),
    TensorProto.UINT32: np.dtype(np.uint32),
    TensorProto.UINT64: np.dtype(np.uint64),
    TensorProto.BFLOAT16: np.dtype(ml_dtypes.bfloat16),
    TensorProto.FLOAT8E4M3FN: np.dtype(ml_dtypes.float8_e4m3fn),
    TensorProto.FLOAT8E4M3FNUZ: np.dtype(ml_dtypes.float8_e4m3fnuz),
    TensorProto.FLOAT8E5M2: np.dtype(ml_dtypes.float8_e5m2),
    TensorProto.FLOAT8E5M2FNUZ: np.dtype(ml_dtypes.float8_e5m2fnuz),
    TensorProto.UINT4: np.dtype(ml_dtypes.uint4),
    TensorProto.INT4: np.dtype(ml_dtypes.int4),
}

STORED_BITS = {TensorProto.UINT4: 4, TensorProto.INT4: 4}
"""Bits per element in raw data, where they are fewer than the NumPy type's."""

# Which repeated field holds the elements, and the type to read its numbers as
# before their bits are taken for the element type. Source: onnx.proto, TensorProto.
_FIELDS = {
    TensorProto.FLOAT: ("float_data", np.float32),
    TensorProto.DOUBLE: ("double_data", np.float64),
    TensorProto.INT64: ("int64_data", np.int64),
    TensorProto.UINT64: ("uint64_data", np.uint64),
    TensorProto.UINT32: ("uint64_data", np.uint32),
}


def type_name(data_type: int) -> str:
    """`FLOAT`, `BFLOAT16` …, for messages."""
    try:
        return str(TensorProto.DataType.Name(data_type))
    except ValueError:
        return f"type {data_type}"


def dtype_of(data_type: int) -> np.dtype[Any] | None:
    """The NumPy type of an ONNX element type, or None where ix has none."""
    return DTYPES.get(data_type)


def element_count(dims: list[int], what: str) -> int:
    """The product of `dims`.

    Raises:
        ModelImportError: A size is negative, or there are more than 2^40 elements.
    """
    count = math.prod(dims)
    if any(size < 0 for size in dims) or count > MAX_ELEMENTS:
        raise ModelImportError(
            f"{what} needs sizes ≥ 0 and at most 2^40 elements, but its shape is "
            f"{dims}; the model is damaged or not meant for one machine"
        )
    return count


def read_tensor(
    tensor: Any, outside: Callable[[Any], memoryview | None], what: str
) -> np.ndarray[Any, Any]:
    """The elements of `tensor`, read-only, as a view of its bytes where possible.

    Args:
        outside: Gives the raw bytes of a tensor that does not carry them itself.
        what: Names the tensor in messages.

    Raises:
        ModelImportError: The bytes do not fit the shape, or the type is unknown.
    """
    shape = list(tensor.dims)
    count = element_count(shape, what)
    dtype = DTYPES.get(tensor.data_type)
    if dtype is None:
        raise ModelImportError(
            f"{what} needs an element type that ix has, but it is "
            f"{type_name(tensor.data_type)}; convert it before the export"
        )
    raw = outside(tensor)
    if raw is None and tensor.HasField("raw_data"):
        raw = memoryview(tensor.raw_data)
    if raw is not None:
        return from_bytes(raw, tensor.data_type, shape, what)
    array = _from_numbers(tensor, dtype, count, what).reshape(shape)
    array.flags.writeable = False
    return array


def from_bytes(
    raw: memoryview, data_type: int, shape: list[int], what: str
) -> np.ndarray[Any, Any]:
    """Raw little-endian bytes as an array of `shape`."""
    dtype = DTYPES[data_type]
    count = math.prod(shape)
    bits = STORED_BITS.get(data_type, 8 * dtype.itemsize)
    needed = -(-count * bits // 8)
    if len(raw) != needed:
        raise ModelImportError(
            f"{what} needs {needed} bytes for {type_name(data_type)} {shape}, but has "
            f"{len(raw)}; the file is damaged or cut off: export or copy it again"
        )
    if bits == 4:
        return _unpack_nibbles(raw, dtype, count).reshape(shape)
    array = np.frombuffer(raw, dtype=dtype, count=count).reshape(shape)
    if array.flags.writeable:
        array.flags.writeable = False
    return array


def _unpack_nibbles(
    raw: memoryview, dtype: np.dtype[Any], count: int
) -> np.ndarray[Any, Any]:
    """Two elements a byte, the low half first, as one element a byte."""
    packed = np.frombuffer(raw, dtype=np.uint8)
    nibbles = np.stack([packed & 15, packed >> 4], axis=1).reshape(-1)[:count]
    if dtype == np.dtype(ml_dtypes.int4):
        nibbles = ((nibbles ^ 8).astype(np.int8) - 8).astype(np.int8)
    return nibbles.astype(dtype)


def _from_numbers(
    tensor: Any, dtype: np.dtype[Any], count: int, what: str
) -> np.ndarray[Any, Any]:
    """The elements held as numbers in one of the repeated fields."""
    field, read_as = _FIELDS.get(tensor.data_type, ("int32_data", np.int32))
    numbers = np.asarray(getattr(tensor, field), dtype=read_as)
    if tensor.data_type in STORED_BITS:
        packed = memoryview(numbers.astype(np.uint8).tobytes())
        return from_bytes(packed, tensor.data_type, [count], what)
    if numbers.size != count:
        raise ModelImportError(
            f"{what} needs {count} elements for shape {list(tensor.dims)}, but has "
            f"{numbers.size}; the file is damaged: export it again"
        )
    if field != "int32_data" or dtype.kind in "iub":
        return numbers.astype(dtype)
    # Narrow floats are stored as their bit patterns.
    return numbers.astype(f"u{dtype.itemsize}").view(dtype)
