"""Emits sizes as MLIR index values: `arith` on `index`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ix.importer.dims import DimExpr, Monomial, Symbol
from ix.mlir import arith, ir


def emit(size: Any, known: dict[Any, Any]) -> Any:
    """The MLIR index value of a size, at the current insertion point.

    Args:
        size: An int or a `DimExpr`.
        known: Values made before in this block; grows.
    """
    if size in known:
        return known[size]
    if not isinstance(size, DimExpr):
        value = arith.ConstantOp(ir.IndexType.get(), int(size)).result
    else:
        value = _sum([_emit_term(term, known) for term in size.terms.items()])
    known[size] = value
    return value


def _emit_term(term: tuple[Monomial, int], known: dict[Any, Any]) -> Any:
    monomial, factor = term
    factors = [_emit_symbol(symbol, known) for symbol in monomial]
    if factor != 1 or not factors:
        factors.append(emit(factor, known))
    result = factors[0]
    for other in factors[1:]:
        result = arith.MulIOp(result, other).result
    return result


def _emit_symbol(symbol: Symbol, known: dict[Any, Any]) -> Any:
    if symbol.value is not None:
        return symbol.value
    if symbol not in known:
        a, b = (emit(operand, known) for operand in symbol.operands)
        known[symbol] = _OPERATIONS[symbol.operation](a, b).result
    return known[symbol]


_OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "floordiv": arith.FloorDivSIOp,
    "min": arith.MinSIOp,
    "max": arith.MaxSIOp,
}


def _sum(values: list[Any]) -> Any:
    result = values[0]
    for other in values[1:]:
        result = arith.AddIOp(result, other).result
    return result
