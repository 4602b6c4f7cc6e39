"""min and max of floats, with -0 below +0, and what NaN, xorsign and abs ask for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ix.emulator.alu_form import Array, Form, Operation, Words, same_type
from ix.emulator.alu_half import half_operation
from ix.emulator.alu_rounding import (
    bf16_to_f32,
    canonical,
    flusher,
    round_nearest_bf16,
)

__all__ = ["FORMS"]

Function = Callable[..., Any]


def _extreme(words: Words, largest: bool) -> Function:
    """The smaller or larger of two floats; without `NaN` a number wins over a NaN."""
    # NumPy's fmin and fmax would do, but for signalling NaN they depend on the place in
    # the array.
    choose = np.maximum if largest else np.minimum

    def extreme(a: Array, b: Array) -> Any:
        result = choose(a, b)
        zeros = result == 0
        if zeros.any():
            first = np.signbit(a) != largest  # a is the one to take, or both are alike
            chosen = np.where(first, a, b)
            result = np.where(zeros & (a == b), chosen, result)
        if words["nan"] or not np.isnan(result).any():
            return canonical(result)
        number = np.where(np.isnan(b), a, result)
        return canonical(np.where(np.isnan(a), b, number))

    return extreme


def _with_signs(words: Words, extreme: Function) -> Function:
    """Applies `abs` and `xorsign`."""
    if words.get("xorsign"):

        def by_magnitude(a: Array, b: Array) -> Any:
            result = extreme(np.abs(a), np.abs(b))
            negative = np.signbit(a) != np.signbit(b)
            flip = negative & ~np.isnan(result)
            return np.where(flip, -result, result)

        return by_magnitude
    if words.get("abs"):
        return lambda *x: extreme(*map(np.abs, x))
    return extreme


def _on_floats(words: Words, largest: bool, count: int, ftz: str) -> Function:
    """The function of two or three float32 or float64.

    Args:
        words: The modifiers.
        largest: Whether the largest is wanted.
        count: How many inputs there are.
        ftz: The type whose subnormals are flushed, or the empty string.
    """
    pair = _extreme(words, largest)
    chain = pair if count == 2 else lambda a, b, c: pair(pair(a, b), c)
    function = _with_signs(words, chain)
    if not ftz:
        return function
    flush = flusher(ftz)
    return lambda *x: function(*map(flush, x))


def _maker(largest: bool, count: int = 2) -> Callable[[Words], Operation]:
    def make(words: Words) -> Operation:
        name = words["type"]
        ftz = name.removesuffix("x2") if words.get("ftz") else ""
        words = {"nan": "", **words}
        if name in ("f32", "f64"):
            return same_type(name, count, _on_floats(words, largest, count, ftz))
        function = _on_floats(words, largest, count, "")
        if name.startswith("bf16"):
            return half_operation(
                name,
                count,
                lambda *x: round_nearest_bf16(function(*map(bf16_to_f32, x))),
            )
        flush = flusher("f16") if ftz else lambda x: x

        # float32 holds f16 exactly, and NumPy is much faster with it.
        def on_f16(*values: Array) -> Any:
            wide = (flush(value).astype(np.float32) for value in values)
            return canonical(function(*wide).astype(np.float16))

        return half_operation(name, count, on_f16)

    return make


_LINES: Final = (
    "[ftz] [nan=NaN] type=f16|f16x2",
    "[ftz] [nan=NaN] xorsign abs type=f16|f16x2",
    "[nan=NaN] type=bf16|bf16x2",
    "[nan=NaN] xorsign abs type=bf16|bf16x2",
    "type=f64",
)

FORMS: Final = tuple(
    form
    for opcode, largest in (("min", False), ("max", True))
    for form in (
        *(Form(opcode, line, _maker(largest)) for line in _LINES),
        Form(opcode, "[ftz] [nan=NaN] type=f32", _maker(largest), inputs=2),
        Form(opcode, "[ftz] [nan=NaN] xorsign abs type=f32", _maker(largest), inputs=2),
        Form(opcode, "[ftz] [nan=NaN] [abs] type=f32", _maker(largest, 3), inputs=3),
    )
)
