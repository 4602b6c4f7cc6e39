"""Tensors as command lines write them: 2x3xf32=1,2,3,4,5,6 and @file.npy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import ml_dtypes
import numpy as np

from ix.errors import InputError

__all__ = ["Spec", "parse_spec", "random_array"]

DTYPES = {
    "f64": "float64",
    "f32": "float32",
    "f16": "float16",
    "bf16": "bfloat16",
    "f8E4M3FN": "float8_e4m3fn",
    "f8E5M2": "float8_e5m2",
    "i64": "int64",
    "i32": "int32",
    "i16": "int16",
    "i8": "int8",
    "i4": "int4",
    "ui8": "uint8",
    "u8": "uint8",
    "i1": "bool",
}
_EXTENDED = ("bfloat16", "float8_e4m3fn", "float8_e5m2", "int4")

MAX_ELEMENTS = 1 << 31


def _dtype(name: str) -> np.dtype:
    return np.dtype(getattr(ml_dtypes, name) if name in _EXTENDED else name)


@dataclass(frozen=True)
class Spec:
    """One input of a command line.

    name: "" where it goes by its position.
    values: None for random values.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    values: np.ndarray | None

    def array(self, seed: int) -> np.ndarray:
        """The input; random values depend on the seed alone."""
        if self.values is not None:
            return self.values
        return random_array(self.shape, self.dtype, seed)


def random_array(shape: tuple[int, ...], dtype: str, seed: int) -> np.ndarray:
    """Normal floats, integers from 0 to 9 (1 bit: 0 or 1)."""
    rng = np.random.default_rng(seed)
    kind = _dtype(dtype)
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.startswith(("int", "uint")):
        return rng.integers(0, 8 if dtype == "int4" else 10, shape).astype(kind)
    return rng.standard_normal(shape).astype(kind)


def parse_spec(text: str) -> Spec:
    """Reads [NAME:]2x3xf32, [NAME:]2x3xf32=values or [NAME:]@file.npy.

    Raises:
        InputError: The text is none of these, or the file is no array.
    """
    name, colon, rest = text.partition(":")
    if not colon:
        name, rest = "", text
    if rest.startswith("@"):
        array = _load(rest[1:])
        return Spec(name, array.shape, array.dtype.name, array)
    head, equals, values = rest.partition("=")
    *sizes, kind = head.split("x")
    if kind not in DTYPES or not all(size.isdecimal() for size in sizes):
        raise InputError(
            f"an input needs to be like 2x3xf32, 2x3xf32=0.5 or @file.npy, with NAME: "
            f"before it or not, but got '{text}'; element types: {', '.join(DTYPES)}"
        )
    shape = tuple(int(size) for size in sizes)
    if math.prod(shape) > MAX_ELEMENTS:
        raise InputError(
            f"an input needs at most 2**31 elements, but '{text}' has "
            f"{math.prod(shape)}; give a smaller shape"
        )
    if not equals:
        return Spec(name, shape, DTYPES[kind], None)
    return Spec(name, shape, DTYPES[kind], _filled(text, values, shape, DTYPES[kind]))


def _load(path: str) -> np.ndarray:
    if not Path(path).is_file():
        raise InputError(f"'@{path}' needs to be a file of NumPy's, but there is none")
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"'@{path}' needs to be a .npy file without objects, but {error}"
        ) from error
    if not isinstance(array, np.ndarray):
        raise InputError(
            f"'@{path}' needs to hold one array, but it is an .npz archive"
        )
    return array


def _filled(text: str, values: str, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    words = values.replace(",", " ").split()
    try:
        numbers = [
            float(word)
            if "." in word or "e" in word.lower() or "n" in word.lower()
            else int(word)
            for word in words
        ]
    except ValueError as error:
        raise InputError(f"'{text}' needs numbers after '=', but {error}") from error
    count = int(np.prod(shape, dtype=np.int64))
    if len(numbers) not in (1, count):
        raise InputError(f"'{text}' needs 1 or {count} values, but has {len(numbers)}")
    array = np.empty(shape, _dtype(dtype))
    array[...] = np.asarray(numbers).reshape(shape if len(numbers) == count else ())
    return array
