"""Sums and products over several words: add.cc, addc, sub.cc, subc, mad.cc, madc.

The condition code, one bit, is a last operand of type pred: a source of addc, subc and
madc, a result of whatever has `.cc`. For subtraction it is the borrow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from ix.emulator.alu_form import Array, Form, Operation, Words
from ix.emulator.alu_integer import multiply_high
from ix.emulator.ptx_types import bytes_of, dtype_of

__all__ = ["FORMS"]

# (x, y, carry in) → (result, carry out), all of them unsigned or bool.
Step = Callable[[Array, Array, Any], tuple[Array, Array]]


def _add(x: Array, y: Array, carry: Any) -> tuple[Array, Array]:
    partial = x + y
    total = partial + carry
    return total, (partial < x) | (total < partial)


def _subtract(x: Array, y: Array, borrow: Any) -> tuple[Array, Array]:
    partial = x - y
    total = partial - borrow
    return total, (x < y) | (partial < borrow)


def _operation(
    name: str,
    step: Callable[..., tuple[Array, Array]],
    count: int,
    chain: bool,
    cc: bool,
) -> Operation:
    """An operation on `count` operands of a type, through a step on unsigned words.

    Args:
        name: The type of the operands.
        step: Takes the operands and the carry; gives the result and the carry.
        count: How many operands there are besides the carry.
        chain: Whether the last source is a carry.
        cc: Whether the last result is a carry.
    """
    dtype, unsigned = dtype_of(name), np.dtype(f"u{bytes_of(name)}")

    def run(*values: Array) -> Any:
        carry = np.asarray(values[-1]).astype(unsigned) if chain else unsigned.type(0)
        operands = [np.asarray(value).view(unsigned) for value in values[:count]]
        total, out = step(*operands, carry)
        result = total.view(dtype)
        return (result, out) if cc else result

    sources = (name,) * count + ("pred",) * chain
    return Operation(sources, (name,) + ("pred",) * cc, run)


def _sum(step: Step, chain: bool) -> Callable[[Words], Operation]:
    return lambda words: _operation(words["type"], step, 2, chain, bool(words["cc"]))


def _multiply_add(chain: bool) -> Callable[[Words], Operation]:
    def make(words: Words) -> Operation:
        name = words["type"]
        dtype, unsigned = dtype_of(name), np.dtype(f"u{bytes_of(name)}")
        high = multiply_high(name)

        def step(a: Array, b: Array, c: Array, carry: Any) -> tuple[Array, Array]:
            # The low half of a product does not depend on the sign, the upper does.
            if words["mode"] == "lo":
                return _add(a * b, c, carry)
            product = np.asarray(high(a.view(dtype), b.view(dtype)))
            return _add(product.view(unsigned), c, carry)

        return _operation(name, step, 3, chain, bool(words["cc"]))

    return make


_TYPE = "type=u32|s32|u64|s64"

FORMS: Final = (
    Form("add", f"cc {_TYPE}", _sum(_add, chain=False)),
    Form("addc", f"[cc] {_TYPE}", _sum(_add, chain=True)),
    Form("sub", f"cc {_TYPE}", _sum(_subtract, chain=False)),
    Form("subc", f"[cc] {_TYPE}", _sum(_subtract, chain=True)),
    Form("mad", f"mode=hi|lo cc {_TYPE}", _multiply_add(chain=False)),
    Form("madc", f"mode=hi|lo [cc] {_TYPE}", _multiply_add(chain=True)),
)
