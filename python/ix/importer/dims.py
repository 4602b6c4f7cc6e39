"""Sizes that are known when the program runs: integer polynomials over named sizes.

`batch * 12 // 12` simplifies to `batch`, so that two shapes can be compared while a
program is traced. What a polynomial cannot say (floor division, remainder, minimum,
maximum) becomes a symbol of its own that remembers its operands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import inf, isinf
from typing import Any

import numpy as np

from ix.errors import InputError

Monomial = tuple["Symbol", ...]


@dataclass(frozen=True)
class Symbol:
    """An unknown size: a dimension of an argument, or an operation on sizes.

    Args:
        name: Text that identifies it in one program.
        low, high: Bounds, inclusive; `high` may be infinite.
        value: The MLIR index value, for a symbol that is no operation.
        operation: `floordiv`, `mod`, `min` or `max` of `operands`.
    """

    name: str
    low: float = field(compare=False, default=0)
    high: float = field(compare=False, default=inf)
    value: Any = field(compare=False, default=None)
    operation: str = field(compare=False, default="")
    operands: tuple[Any, ...] = field(compare=False, default=())


class DimExpr:
    """A size that is not a constant, with the arithmetic of ints.

    Comparisons are answered where the bounds of the dimensions decide them, and raise
    `InputError` where they do not, because the answer would change with the input.
    """

    __slots__ = ("_terms",)

    def __init__(self, terms: dict[Monomial, int]) -> None:
        self._terms = terms

    @staticmethod
    def symbol(symbol: Symbol) -> DimExpr:
        """The size that `symbol` alone stands for."""
        return DimExpr({(symbol,): 1})

    @property
    def terms(self) -> dict[Monomial, int]:
        """Product of symbols (sorted by name; empty for the constant) → coefficient."""
        return self._terms

    def bounds(self) -> tuple[float, float]:
        """The smallest and the largest value, inclusive; infinite where unknown."""
        low = high = 0.0
        for monomial, factor in self._terms.items():
            ends = [float(factor)]
            for symbol in monomial:
                limits = (symbol.low, symbol.high)
                ends = [_times(end, limit) for end in ends for limit in limits]
            low, high = low + min(ends), high + max(ends)
        return low, high

    def __add__(self, other: Any) -> Any:
        if not is_size(other):
            return self._as_array("__add__", other)
        terms = dict(self._terms)
        for monomial, factor in _terms_of(other).items():
            terms[monomial] = terms.get(monomial, 0) + factor
        return _simplified(terms)

    __radd__ = __add__

    def __neg__(self) -> Any:
        return _simplified({monomial: -k for monomial, k in self._terms.items()})

    def __sub__(self, other: Any) -> Any:
        return self + -other if is_size(other) else self._as_array("__sub__", other)

    def __rsub__(self, other: Any) -> Any:
        return -self + other if is_size(other) else self._as_array("__rsub__", other)

    def __mul__(self, other: Any) -> Any:
        if not is_size(other):
            return self._as_array("__mul__", other)
        terms: dict[Monomial, int] = {}
        for left, a in self._terms.items():
            for right, b in _terms_of(other).items():
                product = tuple(sorted(left + right, key=lambda symbol: symbol.name))
                terms[product] = terms.get(product, 0) + a * b
        return _simplified(terms)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        return self._as_array("__truediv__", other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._as_array("__rtruediv__", other)

    def __pow__(self, other: Any) -> Any:
        if isinstance(other, int) and other >= 1:
            return product([self] * other)
        return self._as_array("__pow__", other)

    def __rpow__(self, other: Any) -> Any:
        return self._as_array("__rpow__", other)

    def __array_ufunc__(
        self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any
    ) -> Any:
        from ix.importer.trace.ufuncs import apply_ufunc

        return apply_ufunc(ufunc, method, inputs, kwargs)

    def _as_array(self, operator: str, other: Any) -> Any:
        """The operator on this size as a traced, weakly typed int."""
        if not isinstance(other, int | float | DimExpr | np.generic):
            return NotImplemented
        from ix.importer.builder import size_value
        from ix.importer.trace.tracer import Tracer

        return getattr(Tracer(size_value(self)), operator)(other)

    def __floordiv__(self, other: Any) -> Any:
        return floor_divide(self, other) if is_size(other) else NotImplemented

    def __rfloordiv__(self, other: Any) -> Any:
        return floor_divide(other, self) if is_size(other) else NotImplemented

    def __mod__(self, other: Any) -> Any:
        return remainder(self, other) if is_size(other) else NotImplemented

    def __rmod__(self, other: Any) -> Any:
        return remainder(other, self) if is_size(other) else NotImplemented

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __hash__(self) -> int:
        return hash(frozenset(self._terms.items()))

    def __eq__(self, other: object) -> bool:
        if not is_size(other):
            return False
        return _decide(self - other, "==", lambda low, high: _equal_zero(low, high))

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __lt__(self, other: Any) -> bool:
        return _decide(self - other, "<", lambda low, high: _below(low, high, 0))

    def __le__(self, other: Any) -> bool:
        return _decide(self - other, "<=", lambda low, high: _below(low, high, 1))

    def __gt__(self, other: Any) -> bool:
        return not self <= other

    def __ge__(self, other: Any) -> bool:
        return not self < other

    def __bool__(self) -> bool:
        return self != 0

    def __index__(self) -> int:
        raise InputError(
            f"a Python int is needed here, but the size {self} is known only when the "
            "program runs; create arrays of that size with `like=` (np.arange(n, "
            "like=x), np.zeros((n, 4), like=x)), np.zeros_like or np.broadcast_to, or "
            "leave the dimension static"
        )

    __int__ = __index__

    def __float__(self) -> float:
        raise InputError(
            f"a Python float is needed here, but the size {self} is known only when "
            "the program runs; use NumPy's functions (np.sqrt) in place of math's"
        )

    def __str__(self) -> str:
        parts = []
        for monomial, factor in self._terms.items():
            names = "*".join(symbol.name for symbol in monomial)
            if not names:
                parts.append(str(factor))
            else:
                parts.append(names if factor == 1 else f"{factor}*{names}")
        return " + ".join(parts).replace("+ -", "- ")

    __repr__ = __str__


def is_size(value: object) -> bool:
    """Whether `value` is an int (a NumPy integer too) or a `DimExpr`."""
    if isinstance(value, DimExpr):
        return True
    return hasattr(value, "__index__") and not hasattr(value, "shape")


def same(a: Any, b: Any) -> bool:
    """Whether two sizes are provably equal; never raises."""
    if isinstance(a, DimExpr) or isinstance(b, DimExpr):
        return not isinstance(a - b, DimExpr) and bool(a - b == 0)
    return bool(a == b)


def bounds(size: Any) -> tuple[float, float]:
    """The inclusive bounds of an int or a `DimExpr`."""
    return size.bounds() if isinstance(size, DimExpr) else (size, size)


def product(sizes: Iterable[Any]) -> Any:
    """The product of sizes; 1 for none."""
    result: Any = 1
    for size in sizes:
        result = result * size
    return result


def floor_divide(a: Any, b: Any) -> Any:
    """a // b: exact where b divides every term of a, else a symbol."""
    if isinstance(b, int) and b == 0:
        raise ZeroDivisionError("a size is divided by zero")
    if not isinstance(a, DimExpr) and not isinstance(b, DimExpr):
        return int(a) // int(b)
    exact = _divide_exactly(a, b)
    if exact is not None:
        return exact
    low, divisor = bounds(a)[0], bounds(b)[0]
    if low < 0 and not isinf(low) and divisor >= 1:
        # Kernels divide sizes as unsigned: ⌊a / b⌋ = ⌊(a + k·b) / b⌋ − k, a + k·b ≥ 0.
        shift = int(-(low // divisor))
        return _operation("floordiv", a + shift * b, b) - shift
    return _operation("floordiv", a, b)


def ceil_divide(a: Any, b: Any) -> Any:
    """⌈a / b⌉ for b ≥ 1."""
    return floor_divide(a + (b - 1), b)


def remainder(a: Any, b: Any) -> Any:
    """a mod b, with the sign of b: 0 where b divides every term of a."""
    return a - b * floor_divide(a, b)


def minimum(a: Any, b: Any) -> Any:
    """The smaller size; a symbol where the bounds do not decide."""
    low, high = bounds(a - b)
    if high <= 0:
        return a
    return b if low >= 0 else _operation("min", a, b)


def maximum(a: Any, b: Any) -> Any:
    """The larger size; a symbol where the bounds do not decide."""
    low, high = bounds(a - b)
    if low >= 0:
        return a
    return b if high <= 0 else _operation("max", a, b)


def _terms_of(size: Any) -> dict[Monomial, int]:
    return size.terms if isinstance(size, DimExpr) else {(): int(size)}


def _simplified(terms: dict[Monomial, int]) -> Any:
    """A `DimExpr` without zero terms, or the int that it is."""
    kept = {monomial: factor for monomial, factor in terms.items() if factor}
    if not kept:
        return 0
    if set(kept) == {()}:
        return kept[()]
    return DimExpr(kept)


def _divide_exactly(a: Any, b: Any) -> Any:
    """a / b where b is one term that divides every term of a; else None."""
    divisor = _terms_of(b)
    if len(divisor) != 1:
        return 1 if same(a, b) else None
    ((symbols, factor),) = divisor.items()
    result: dict[Monomial, int] = {}
    for monomial, coefficient in _terms_of(a).items():
        rest = list(monomial)
        for symbol in symbols:
            if symbol not in rest:
                return None
            rest.remove(symbol)
        if coefficient % factor:
            return None
        result[tuple(rest)] = coefficient // factor
    return _simplified(result)


def _operation(name: str, a: Any, b: Any) -> DimExpr:
    spelled = f"{name}({a}, {b})"
    low, high = _operation_bounds(name, bounds(a), bounds(b))
    return DimExpr.symbol(Symbol(spelled, low, high, None, name, (a, b)))


def _operation_bounds(
    name: str, a: tuple[float, float], b: tuple[float, float]
) -> tuple[float, float]:
    if name == "min":
        return min(a[0], b[0]), min(a[1], b[1])
    if name == "max":
        return max(a[0], b[0]), max(a[1], b[1])
    if b[0] <= 0:
        return -inf, inf
    return min(_floor(a[0], end) for end in b), max(_floor(a[1], end) for end in b)


def _floor(a: float, b: float) -> float:
    if isinf(a):
        return a
    return (0.0 if a >= 0 else -1.0) if isinf(b) else a // b


def _times(a: float, b: float) -> float:
    return 0.0 if 0 in (a, b) else a * b


def _equal_zero(low: float, high: float) -> bool | None:
    if low > 0 or high < 0:
        return False
    return None


def _below(low: float, high: float, limit: float) -> bool | None:
    """Whether a size in [low, high] is certainly, or certainly not, below `limit`."""
    if high < limit:
        return True
    return False if low >= limit else None


def _decide(
    difference: Any, symbol: str, rule: Callable[[float, float], bool | None]
) -> bool:
    if not isinstance(difference, DimExpr):
        return {"==": difference == 0, "<": difference < 0, "<=": difference <= 0}[
            symbol
        ]
    answer = rule(*difference.bounds())
    if answer is None:
        low, high = difference.bounds()
        raise InputError(
            f"`{difference} {symbol} 0` needs a size that is known while the program "
            f"is traced, but it lies between {low:g} and {high:g}; give the dimension "
            "tighter bounds, or make it static"
        )
    return answer
