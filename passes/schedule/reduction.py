"""Accumulating a linalg.generic that reduces: what its body combines, and with what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ix.mlir import arith, defining_op, ir, vector
from ix.passes.schedule import storage
from ix.passes.schedule.body import Clone, clone_op, is_vector, widen
from ix.passes.schedule.elemental import Elemental, Lanes
from ix.passes.schedule.index import Index

__all__ = [
    "Combiner",
    "accumulate",
    "associative",
    "combiner_of",
    "initial_values",
    "neutral_value",
]

_KIND = vector.CombiningKind


@dataclass(frozen=True)
class Combiner:
    """An associative op: its name, its vector form, its neutral element.

    op: The op of the body, to clone.
    """

    op: Any
    kind: Any
    neutral: float | int

    def __call__(self, left: Any, right: Any) -> Any:
        """left ∘ right, on scalars or vectors."""
        return clone_op(self.op, [left, right], _length(left))[0]

    def running(self, left: Any, right: Any) -> Any:
        """left ∘ right in as few instructions of a CPU; `left` is a running value.

        One that passes over NaN starts as a number and stays one: vmaxps of it as the
        second operand does the same.
        """
        predicate = _PASSES_OVER_NAN.get(self.kind)
        if predicate is None:
            return self(left, right)
        return arith.select(arith.cmpf(predicate, right, left), right, left)

    def across(self, value: Any) -> Any:
        """All lanes of a running value combined; a scalar as it is."""
        if not is_vector(value):
            return value
        flags = None
        if self.kind in _PASSES_OVER_NAN:
            flags = arith.FastMathFlags.nnan
        return vector.reduction(
            value.type.element_type, self.kind, value, fastmath=flags
        )


def _length(value: Any) -> int:
    return int(value.type.shape[0]) if is_vector(value) else 1


def _lowest(width: int) -> int:
    return -(1 << (width - 1))


_INFINITY = float("inf")
_COMBINERS: dict[str, tuple[Any, Any]] = {
    "arith.addf": (_KIND.ADD, lambda w: 0.0),
    "arith.addi": (_KIND.ADD, lambda w: 0),
    "arith.mulf": (_KIND.MUL, lambda w: 1.0),
    "arith.muli": (_KIND.MUL, lambda w: 1),
    "arith.maximumf": (_KIND.MAXIMUMF, lambda w: -_INFINITY),
    "arith.minimumf": (_KIND.MINIMUMF, lambda w: _INFINITY),
    "arith.maxnumf": (_KIND.MAXNUMF, lambda w: -_INFINITY),
    "arith.minnumf": (_KIND.MINNUMF, lambda w: _INFINITY),
    "arith.maxsi": (_KIND.MAXSI, lambda w: _lowest(w)),
    "arith.minsi": (_KIND.MINSI, lambda w: -_lowest(w) - 1),
    "arith.maxui": (_KIND.MAXUI, lambda w: 0),
    "arith.minui": (_KIND.MINUI, lambda w: -1),
    "arith.andi": (_KIND.AND, lambda w: -1),
    "arith.ori": (_KIND.OR, lambda w: 0),
    "arith.xori": (_KIND.XOR, lambda w: 0),
}


_PASSES_OVER_NAN = {
    _KIND.MAXNUMF: arith.CmpFPredicate.OGT,
    _KIND.MINNUMF: arith.CmpFPredicate.OLT,
}


def combiner_of(op: Any) -> Combiner | None:
    """The associative op that a reducing generic applies last, or None.

    The accumulator must meet nothing but that op.
    """
    block = op.operation.regions[0].blocks[0]
    outs = list(block.arguments)[len(list(op.inputs)) :]
    terminator = block.operations[len(block.operations) - 1]
    if len(outs) != 1:
        return None
    last = defining_op(terminator.operation.operands[0])
    if last is None or last.operation.name not in _COMBINERS:
        return None
    uses = [use.owner for use in outs[0].uses]
    if len(uses) != 1 or uses[0].operation != last.operation:
        return None
    kind, neutral = _COMBINERS[last.operation.name]
    element = storage.element_type(outs[0].type)
    return Combiner(last, kind, neutral(getattr(element, "width", 64)))


def associative(op: Any) -> Combiner:
    """The combiner of a generic that has one."""
    combiner = combiner_of(op)
    assert combiner is not None, "the caller has asked for it"
    return combiner


def neutral_value(combiner: Combiner, element: ir.Type, lanes: int) -> Any:
    """The neutral element in every lane."""
    return widen(arith.constant(element, combiner.neutral), lanes)


def initial_values(op: Any, elemental: Elemental) -> list[Any]:
    """The scalars that the accumulators of a generic start from."""
    values = []
    for out in list(op.outputs):
        values.append(elemental.value_at(out, [Index(0)] * out.type.rank, Lanes()))
    return values


def _combining(op: Any, combine: Callable[[Any, Any], Any]) -> Clone:
    """Clones the ops of a body but the one that combines."""
    last = associative(op).op.operation
    outs = op.operation.regions[0].blocks[0].arguments[len(list(op.inputs)) :]

    def clone(inner: Any, operands: list[Any], lanes: int) -> list[Any]:
        if inner.operation != last:
            return clone_op(inner, operands, lanes)
        running, element = operands
        if last.operands[1] == outs[0]:
            running, element = element, running
        return [combine(running, widen(element, _length(running)))]

    return clone


def accumulate(
    op: Any,
    elemental: Elemental,
    dims: Sequence[Index],
    lanes: Lanes,
    running: Sequence[Any],
    combine: Callable[[Any, Any], Any] | None = None,
) -> list[Any]:
    """The accumulators after one point (or vector of points) of the iteration space.

    Args:
        combine: (running value, element) → running value, where it is to take the place
            of the op that combines them.
    """
    wide = any(is_vector(v) for v in running)
    with op.operation.location:
        inputs = elemental.generic_operands(op, dims, lanes)
        if wide:
            inputs = [widen(v, lanes.count) for v in inputs]
        result = elemental.generic_body(
            op,
            [*inputs, *running],
            dims,
            lanes,
            clone=clone_op if combine is None else _combining(op, combine),
        )
    if wide:
        result = [widen(v, lanes.count) for v in result]
    if wide and lanes.partial:
        mask = lanes.mask()
        result = [
            arith.select(mask, new, old)
            for new, old in zip(result, running, strict=True)
        ]
    return result
