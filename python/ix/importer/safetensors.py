"""Reads .safetensors files: named arrays, mapped and not copied.

Source: https://huggingface.co/docs/safetensors, "Format": u64 size of a JSON header,
the header {name: {dtype, shape, data_offsets}}, then the bytes, little-endian.
"""

from __future__ import annotations

import json
import math
import mmap
import struct
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from ix.errors import ModelImportError

__all__ = ["read_safetensors"]

MAX_HEADER_BYTES = 100 << 20  # as the format's own reader

DTYPES: dict[str, Any] = {
    "BOOL": np.bool_,
    "U8": np.uint8,
    "I8": np.int8,
    "I16": np.int16,
    "I32": np.int32,
    "I64": np.int64,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E5M2": ml_dtypes.float8_e5m2,
    "F32": np.float32,
    "F64": np.float64,
}


def read_safetensors(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of a file by name, read-only views of the mapped file.

    Raises:
        ModelImportError: The file cannot be read, is damaged, or has a dtype that ix
            has not.
    """
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is empty"
        raise ModelImportError(
            f"weights need a readable file, but {reason}: '{path}'; check the path"
        ) from error
    try:
        header, first = _header(data)
        return {
            name: _array(data, name, entry, first)
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (KeyError, TypeError, ValueError, AttributeError, struct.error) as error:
        raise ModelImportError(
            f"'{path}' needs to be a whole .safetensors file, but {error}; copy it "
            "again"
        ) from error


def _header(data: mmap.mmap) -> tuple[dict[str, Any], int]:
    """The header, and where the arrays' bytes begin."""
    (size,) = struct.unpack_from("<Q", data)
    if size > min(MAX_HEADER_BYTES, len(data) - 8):
        raise ValueError(f"its header of {size} bytes ends beyond the file")
    return json.loads(data[8 : 8 + size]), 8 + size


def _array(
    data: mmap.mmap, name: str, entry: dict[str, Any], first: int
) -> np.ndarray[Any, Any]:
    begin, end = entry["data_offsets"]
    if entry["dtype"] not in DTYPES:
        raise ValueError(
            f"'{name}' has dtype {entry['dtype']}; ix reads {', '.join(DTYPES)}"
        )
    dtype = np.dtype(DTYPES[entry["dtype"]])
    shape = tuple(int(size) for size in entry["shape"])
    count = math.prod(shape)
    if min((0, *shape)) < 0 or count * dtype.itemsize != end - begin:
        raise ValueError(f"'{name}' has {end - begin} bytes for shape {shape}")
    if not 0 <= begin <= end <= len(data) - first:
        raise ValueError(f"'{name}' ends beyond the file")
    if not count:
        return np.empty(shape, dtype)
    return np.frombuffer(data, dtype, count, first + begin).reshape(shape)
