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
    """`left kind right` in a normal form: equal polynomials are equal sizes."""
    if isinstance(left, int) and isinstance(right, int):
        return _OPERATORS[kind](left, right)
    if kind in ("add", "sub"):
        return _written(_sum(_terms(left), _terms(right), -1 if kind == "sub" else 1))
    if kind == "mul":
        return _written(_product(_terms(left), _terms(right)))
    if kind == "div":
        quotient = _quotient(_terms(left), _terms(right))
        return (kind, left, right) if quotient is None else _written(quotient)
    if kind == "mod" and _quotient(_terms(left), _terms(right)) is not None:
        return 0
    if kind in ("min", "max") and left == right:
        return left
    return (kind, left, right)


# A polynomial: the factors of each term, sorted, and its coefficient.
_Polynomial = dict[tuple[Any, ...], int]


def _terms(size: Size) -> _Polynomial:
    if isinstance(size, int):
        return {(): size} if size else {}
    if size[0] in ("add", "sub"):
        sign = -1 if size[0] == "sub" else 1
        return _sum(_terms(size[1]), _terms(size[2]), sign)
    if size[0] == "mul":
        return _product(_terms(size[1]), _terms(size[2]))
    return {(size,): 1}


def _sum(left: _Polynomial, right: _Polynomial, sign: int) -> _Polynomial:
    result = dict(left)
    for factors, coefficient in right.items():
        result[factors] = result.get(factors, 0) + sign * coefficient
    return {factors: c for factors, c in result.items() if c}


def _product(left: _Polynomial, right: _Polynomial) -> _Polynomial:
    result: _Polynomial = {}
    for some, a in left.items():
        for others, b in right.items():
            factors = tuple(sorted((*some, *others), key=repr))
            result[factors] = result.get(factors, 0) + a * b
    return {factors: c for factors, c in result.items() if c}


def _quotient(left: _Polynomial, right: _Polynomial) -> _Polynomial | None:
    """left / right where the divisor is one term that divides every term, else None."""
    if len(right) != 1:
        return None
    ((divisors, divisor),) = right.items()
    result: _Polynomial = {}
    for factors, coefficient in left.items():
        rest = list(factors)
        for each in divisors:
            if each not in rest:
                return None
            rest.remove(each)
        if coefficient % divisor:
            return None
        result[tuple(rest)] = coefficient // divisor
    return result


def _written(terms: _Polynomial) -> Size:
    """A polynomial as sums of products; the constant comes last."""
    total: Size | None = None
    for factors in sorted(terms, key=lambda f: (not f, repr(f))):
        coefficient = terms[factors]
        term: Size | None = None
        for factor in factors:
            term = factor if term is None else ("mul", term, factor)
        if term is None:
            term = coefficient
        elif coefficient != 1:
            term = ("mul", term, coefficient)
        total = term if total is None else ("add", total, term)
    return 0 if total is None else total


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
