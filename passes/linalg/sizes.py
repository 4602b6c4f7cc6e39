"""Arithmetic on sizes: Python ints fold, Values of type index become `arith` ops."""

from __future__ import annotations

from collections.abc import Iterable

from ix.mlir import arith, ir
from ix.passes.linalg.generic import Size, index, scalar


def plus(a: Size, b: Size) -> Size:
    """a + b."""
    if isinstance(a, int) and isinstance(b, int):
        return a + b
    if 0 in (a if isinstance(a, int) else None, b if isinstance(b, int) else None):
        return b if isinstance(a, int) else a
    return arith.AddIOp(index(a), index(b)).result


def times(a: Size, b: Size) -> Size:
    """a · b."""
    if isinstance(a, int) and isinstance(b, int):
        return a * b
    if 0 in (a if isinstance(a, int) else 1, b if isinstance(b, int) else 1):
        return 0
    if 1 in (a if isinstance(a, int) else None, b if isinstance(b, int) else None):
        return b if isinstance(a, int) else a
    return arith.MulIOp(index(a), index(b)).result


def floor_divided(a: Size, b: int) -> Size:
    """⌊a / b⌋ of sizes, which are not negative."""
    if isinstance(a, int):
        return a // b
    return a if b == 1 else arith.DivSIOp(a, index(b)).result


def product(sizes: Iterable[Size]) -> Size:
    """The product of sizes; 1 for none."""
    total: Size = 1
    for size in sizes:
        total = times(total, size)
    return total


def summed(sizes: Iterable[Size]) -> Size:
    """The sum of sizes; 0 for none."""
    total: Size = 0
    for size in sizes:
        total = plus(total, size)
    return total


def window_count(size: Size, padding: int, reach: int, stride: int) -> Size:
    """How many windows fit: ⌊(size + padding − reach) / stride⌋ + 1.

    Args:
        size: Of the axis.
        padding: Elements added at both ends together.
        reach: Elements from the first to the last of a window, both included.
        stride: Elements between windows.
    """
    return plus(floor_divided(plus(size, padding - reach), stride), 1)


def as_number(size: Size, type_: ir.Type) -> ir.Value:
    """A size as a scalar of a float type."""
    if isinstance(size, int):
        return scalar(size, type_)
    i64 = ir.IntegerType.get_signless(64)
    return arith.SIToFPOp(type_, arith.IndexCastOp(i64, size).result).result
