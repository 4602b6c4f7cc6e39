"""Semantics of the arith ops that compute sizes: index and i1 values alone."""

from collections.abc import Callable
from typing import Any

__all__ = ["INDEX"]

_COMPARE: tuple[Callable[[int, int], bool], ...] = (
    lambda a, b: a == b,
    lambda a, b: a != b,
    lambda a, b: a < b,
    lambda a, b: a <= b,
    lambda a, b: a > b,
    lambda a, b: a >= b,
    lambda a, b: a < b,
    lambda a, b: a <= b,
    lambda a, b: a > b,
    lambda a, b: a >= b,
)
"""By the number of the predicate: eq, ne, signed orders, unsigned orders."""


def _truncated(a: int, b: int) -> int:
    """The quotient toward zero; 0 where b is 0."""
    if b == 0:
        return 0
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def _binary(function: Callable[[int, int], int]) -> Callable[..., int]:
    return lambda op, a, b: function(int(a), int(b))


INDEX: dict[str, Callable[..., Any]] = {
    "arith.constant": lambda op: op.value.value,
    "arith.index_cast": lambda op, a: a,
    "arith.addi": _binary(lambda a, b: a + b),
    "arith.subi": _binary(lambda a, b: a - b),
    "arith.muli": _binary(lambda a, b: a * b),
    "arith.divsi": _binary(_truncated),
    "arith.divui": _binary(_truncated),
    "arith.floordivsi": _binary(lambda a, b: a // b if b else 0),
    "arith.ceildivsi": _binary(lambda a, b: -(-a // b) if b else 0),
    "arith.ceildivui": _binary(lambda a, b: -(-a // b) if b else 0),
    "arith.remsi": _binary(lambda a, b: a - b * _truncated(a, b)),
    "arith.remui": _binary(lambda a, b: a - b * _truncated(a, b)),
    "arith.minsi": _binary(min),
    "arith.maxsi": _binary(max),
    "arith.minui": _binary(min),
    "arith.maxui": _binary(max),
    "arith.cmpi": lambda op, a, b: _COMPARE[op.predicate.value](int(a), int(b)),
    "arith.select": lambda op, condition, a, b: a if condition else b,
}
"""Op name → (op, operands) → the result, an int."""
