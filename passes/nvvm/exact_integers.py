"""Integer ops whose operands NVPTX would cut to 32 bits, written so that it cannot.

    arith.shli %x, %n : i64             %n → %n and 63
    arith.index_cast %i : i64 to index  %i → %i clamped to the width of an index

LLVM selects `n < 64 ? x << n : 0` as one shl.b64, whose amount has 32 bits: by 2^32 it
would shift nothing. A position of 2^32 that a tensor of indices holds would become 0;
clamped it stays outside of every tensor that 32 bits can index.
"""

from __future__ import annotations

from typing import Any

from ix.mlir import arith, ir, ops_in

__all__ = ["keep_integers_exact"]

_SHIFTS = ("arith.shli", "arith.shrui", "arith.shrsi")


def keep_integers_exact(holder: Any, index_bits: int) -> None:
    """Rewrites the ops of a gpu.module, in place.

    Args:
        holder: Before it is lowered.
        index_bits: How many bits an index will have.
    """
    for op in ops_in(holder):
        name = op.operation.name
        if name in _SHIFTS and _is_i64(op.operation.operands[1].type):
            _replace_operand(op, 1, _masked)
        elif name == "arith.index_cast" and index_bits < 64 and _reads_data(op):
            _replace_operand(op, 0, lambda value: _clamped(value, index_bits))


def _is_i64(type_: Any) -> bool:
    element = type_.element_type if isinstance(type_, ir.VectorType) else type_
    return str(element) == "i64"


def _reads_data(op: Any) -> bool:
    """Whether an i64 becomes an index, and is no size: sizes have bounds."""
    value = op.operation.operands[0]
    return _is_i64(value.type) and not isinstance(value.owner, ir.Block)


def _replace_operand(op: Any, number: int, change: Any) -> None:
    with ir.InsertionPoint(op), op.operation.location:
        op.operation.operands[number] = change(op.operation.operands[number])


def _masked(amount: Any) -> Any:
    return arith.andi(amount, _constant(amount.type, 63))


def _clamped(value: Any, bits: int) -> Any:
    low = _constant(value.type, -(1 << (bits - 1)))
    high = _constant(value.type, (1 << (bits - 1)) - 1)
    return arith.minsi(arith.maxsi(value, low), high)


def _constant(type_: Any, number: int) -> Any:
    if not isinstance(type_, ir.VectorType):
        return arith.constant(type_, number)
    one = ir.IntegerAttr.get(type_.element_type, number)
    return arith.constant(type_, ir.DenseElementsAttr.get_splat(type_, one))
