"""Integers packed in a register: u16x2 and s16x2 arithmetic, dp4a, dp2a.

`in_lanes` lifts a function of single elements to packed ones, for floats too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ix.emulator.alu_form import Array, Form, Operation, Words, same_type

__all__ = ["FORMS", "in_lanes", "lanes_of"]


def lanes_of(values: Array, lane: np.dtype[Any]) -> Array:
    """The elements of packed values, [threads · lanes], lowest bits first."""
    return np.atleast_1d(np.ascontiguousarray(values)).view(lane)


def in_lanes(
    function: Callable[..., Any], lane: np.dtype[Any], packed: np.dtype[Any]
) -> Callable[..., Array]:
    """Lifts a function of elements to packed values, whose lanes it sees as elements.

    Args:
        function: Takes arrays of `lane` elements, one of them for each operand.
        lane: The dtype of an element.
        packed: The dtype that holds the lanes.
    """

    def run(*values: Array) -> Array:
        count = max(value.size for value in values)
        # A scalar is repeated: broadcasting in pairs would loop over pairs.
        full = (
            value if value.size == count else np.full(count, value) for value in values
        )
        result = function(*(lanes_of(value, lane) for value in full))
        return np.ascontiguousarray(result).view(packed)

    return run


def _by_halves(function: Callable[..., Any]) -> Callable[[Words], Operation]:
    """A maker of two-operand instructions on u16x2 and s16x2."""

    def make(words: Words) -> Operation:
        name = words["type"]
        lane = np.dtype(np.int16 if name[0] == "s" else np.uint16)

        def with_relu(a: Array, b: Array) -> Any:
            return np.maximum(function(a, b), lane.type(0))

        chosen = with_relu if words.get("relu") else function
        return same_type(name, 2, in_lanes(chosen, lane, np.dtype(np.uint32)))

    return make


def _fields(values: Array, name: str, bits: int) -> list[Array]:
    """The fields of 32-bit values, lowest first, extended to 32 bits as their type."""
    dtype = np.int32 if name == "s32" else np.uint32
    bare = np.asarray(values).view(dtype)
    top = dtype(32 - bits)
    # To the top and back: the shift down brings the sign along.
    return [
        ((bare << dtype(32 - bits - low)) >> top).view(np.uint32)
        for low in range(0, 32, bits)
    ]


def _dot(words: Words) -> Operation:
    """c + Σ a[i]·b[i] with the last bits of the sum, whatever the signs."""
    first, second = words["a"], words["b"]
    kind = "u32" if first == second == "u32" else "s32"
    dtype = np.uint32 if kind == "u32" else np.int32
    half = words.get("mode")

    def dot(a: Array, b: Array, c: Array) -> Any:
        left = _fields(a, first, 16 if half else 8)
        right = _fields(b, second, 8)
        if half:
            right = right[:2] if half == "lo" else right[2:]
        total = np.asarray(c).view(np.uint32)
        for x, y in zip(left, right, strict=True):
            total = total + x * y
        return total.view(dtype)

    return Operation((first, second, kind), (kind,), dot)


FORMS: Final = (
    Form("add", "type=u16x2|s16x2", _by_halves(np.add)),
    Form("min", "type=u16x2|s16x2", _by_halves(np.minimum)),
    Form("min", "relu type=s16x2", _by_halves(np.minimum)),
    Form("max", "type=u16x2|s16x2", _by_halves(np.maximum)),
    Form("max", "relu type=s16x2", _by_halves(np.maximum)),
    Form("dp4a", "a=u32|s32 b=u32|s32", _dot),
    Form("dp2a", "mode=lo|hi a=u32|s32 b=u32|s32", _dot),
)
