"""Sizes that are known at run time only: integer expressions over declared dimensions.

A size is an int, or a tuple that JSON can carry:

    ("dim", i)            the size of the program's i-th declared dimension
    ("add" | "sub" | "mul" | "div" | "mod" | "min" | "max", left, right)

`div` and `mod` round toward minus infinity, as Python does.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["Size", "bounds", "combine", "dim", "evaluate", "from_json", "product"]

Size = int | tuple[Any, ...]

_OPERATORS: dict[str, Callable[[int, int], int]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.floordiv,
    "mod": operator.mod,
    "min": min,
    "max": max,
}


def dim(index: int) -> Size:
    """The size of declared dimension `index`."""
    return ("dim", index)


def combine(kind: str, left: Size, right: Size) -> Size:
    """`left kind right`, folded where both are known or one is neutral."""
    if isinstance(left, int) and isinstance(right, int):
        return _OPERATORS[kind](left, right)
    if right == {"add": 0, "sub": 0, "mul": 1, "div": 1}.get(kind):
        return left
    if left == {"add": 0, "mul": 1}.get(kind):
        return right
    if kind == "mul" and 0 in (left, right):
        return 0
    if kind == "div" and isinstance(left, tuple) and left[0] == "mul":
        if left[2] == right:
            return left[1]  # type: ignore[no-any-return]
        if left[1] == right:
            return left[2]  # type: ignore[no-any-return]
    if kind in ("min", "max") and left == right:
        return left
    return (kind, left, right)


def product(sizes: Sequence[Size]) -> Size:
    """The number of elements of a tensor of these sizes."""
    total: Size = 1
    for size in sizes:
        total = combine("mul", total, size)
    return total


def evaluate(size: Size, dims: Sequence[int]) -> int:
    """The value of `size` where declared dimension i has size dims[i]."""
    if isinstance(size, int):
        return size
    if size[0] == "dim":
        return dims[size[1]]
    left, right = evaluate(size[1], dims), evaluate(size[2], dims)
    return _OPERATORS[size[0]](left, right)


def bounds(size: Size, ranges: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The least and the greatest value of `size` for dimensions within `ranges`.

    Interval arithmetic: exact where each dimension occurs once, else an enclosure.
    """
    if isinstance(size, int):
        return size, size
    if size[0] == "dim":
        return ranges[size[1]]
    low, high = bounds(size[1], ranges), bounds(size[2], ranges)
    if size[0] == "mod":
        return (0, max(high[1] - 1, 0))
    if size[0] == "sub":
        return low[0] - high[1], low[1] - high[0]
    if size[0] == "div":
        divisors = [d for d in high if d != 0] or [1]
        corners = [n // d for n in low for d in divisors]
    else:
        corners = [_OPERATORS[size[0]](a, b) for a in low for b in high]
    return min(corners), max(corners)


def from_json(value: Any) -> Size:
    """A size as JSON carries it (lists for tuples)."""
    if isinstance(value, list):
        return tuple(
            from_json(item) if isinstance(item, list) else item for item in value
        )
    return value  # type: ignore[no-any-return]
