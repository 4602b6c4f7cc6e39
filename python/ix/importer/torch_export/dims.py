"""torch's symbolic sizes (SymPy expressions over s77, …) as sizes of ix."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import torch

from ix.dim import UNBOUNDED, Dim
from ix.errors import InputError
from ix.importer import dims

__all__ = ["NotASize", "Sizes", "dim_of"]


class NotASize(Exception):
    """An expression that depends on data, or that sizes of ix cannot say."""


def dim_of(
    size: torch.SymInt,
    name: str,
    limit: int | None = None,
    constraints: Mapping[Any, Any] | None = None,
) -> Dim:
    """The `Dim` of a placeholder's dynamic axis; no size is ever 0.

    It is named as the user's `torch.export.Dim`, or else as torch's symbol.

    Args:
        size: Its symbolic size.
        name: What to call an axis whose size is no plain symbol (2 · s77).
        limit: The maximum of a size that torch knows no maximum of; None: an error.
        constraints: Symbol → its range, where it is known better than from tracing.

    Raises:
        InputError: The size has no upper bound, and there is no limit.
    """
    environment, expression = size.node.shape_env, size.node.expr
    label = _label(environment, expression) if expression.is_Symbol else name
    known = (constraints or {}).get(expression)
    if known is None:
        known = environment.bound_sympy(expression)
    low = max(int(known.lower), 1)
    high = limit if _is_unbounded(known.upper) else int(known.upper)
    if high is None:
        raise InputError(
            f"dimension '{label}' of input '{name}' needs an upper bound, since ix "
            "plans memory ahead, but it has none; pass torch.export.Dim(name, "
            "min=…, max=…) in dynamic_shapes"
        )
    return Dim(label, min(low, high), high)


def _label(environment: Any, symbol: Any) -> str:
    """The user's name of a symbol, where torch.export was given one."""
    given = environment.source_name_to_debug_name
    for source, known in environment.source_to_var.items():
        if known == symbol and given.get(source, "").isidentifier():
            return str(given[source])
    return str(symbol)


def _is_unbounded(bound: Any) -> bool:
    """Whether a bound is infinite, or larger than any size that ix has."""
    return not bound.is_Integer or int(bound) > UNBOUNDED


class Sizes:
    """Evaluates symbolic sizes once the placeholders have bound their symbols."""

    def __init__(self) -> None:
        self._symbols: dict[Any, Any] = {}

    def bind(self, size: Any, known: Any) -> None:
        """Records that torch's `size` is the size `known` of ix.

        Of a size a · s + b the symbol s follows, where s has no axis of its own.
        """
        if not isinstance(size, torch.SymInt):
            return
        expression = size.node.expr
        if expression.is_Symbol:
            self._symbols[expression] = known
            return
        free = list(expression.free_symbols)
        if len(free) != 1 or free[0] in self._symbols:
            return
        factor = expression.coeff(free[0])
        rest = expression - factor * free[0]
        if factor.is_Integer and factor > 0 and rest.is_Integer:
            self._symbols[free[0]] = (known - int(rest)) // int(factor)

    def knows(self, size: Any) -> bool:
        """Whether every symbol of a size is bound."""
        if not isinstance(size, torch.SymInt):
            return True
        return all(each in self._symbols for each in size.node.expr.free_symbols)

    def size(self, size: Any) -> Any:
        """The int or `DimExpr` of an int or SymInt.

        Raises:
            NotASize: It depends on data, or has an operation that ix lacks.
        """
        return self._evaluate(size.node.expr) if hasattr(size, "node") else int(size)

    def shape(self, shape: Any) -> tuple[Any, ...]:
        """The sizes of a tensor's shape."""
        return tuple(self.size(each) for each in shape)

    def _evaluate(self, expression: Any) -> Any:
        if expression.is_Integer:
            return int(expression)
        if expression.is_Symbol:
            if expression not in self._symbols:
                raise NotASize(f"the size {expression} depends on data")
            return self._symbols[expression]
        rule = _RULES.get(type(expression).__name__)
        if rule is None:
            raise NotASize(f"the size {expression} has no form in ix")
        return rule([self._evaluate(each) for each in expression.args])


def _power(args: list[Any]) -> Any:
    base, exponent = args
    if not isinstance(exponent, int) or exponent < 0:
        raise NotASize(f"the power {base} ** {exponent} is no size")
    return dims.product([base] * exponent)


_RULES: Mapping[str, Callable[[list[Any]], Any]] = {
    "Add": lambda args: reduce(lambda a, b: a + b, args),
    "Mul": dims.product,
    "Pow": _power,
    "PowByNatural": _power,
    "FloorDiv": lambda args: dims.floor_divide(*args),
    "CleanDiv": lambda args: dims.floor_divide(*args),
    "Mod": lambda args: dims.remainder(*args),
    "PythonMod": lambda args: dims.remainder(*args),
    "ModularIndexing": lambda args: dims.remainder(
        dims.floor_divide(args[0], args[1]), args[2]
    ),
    "Min": lambda args: reduce(dims.minimum, args),
    "Max": lambda args: reduce(dims.maximum, args),
}
