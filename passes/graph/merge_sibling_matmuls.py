"""ix-merge-sibling-matmuls: one matmul where several multiply the same matrix.

matmul(x, p) + bp, matmul(x, q) + bq  →  y = matmul(x, concat(p, q)) + concat(bp, bq)
                                          slice(y), slice(y)

p, q and the biases are parameters, or computed from parameters alone: x is then read
once, and the concat costs nothing when the program runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ix.dialects import ix
from ix.mlir import ir, ops_in
from ix.passes.framework import module_pass
from ix.passes.graph.matching import (
    commuted,
    consecutive_slices,
    is_constant,
    sole_user,
)


@dataclass(frozen=True)
class _Branch:
    """One matmul, with the addition of a bias where that alone reads it."""

    matmul: Any
    addition: Any | None
    bias: ir.Value | None

    @property
    def width(self) -> int:
        """The columns of the branch's result."""
        return int(self.matmul.result.type.shape[-1])

    @property
    def result(self) -> ir.Value:
        """What the rest of the program reads."""
        last = self.matmul if self.addition is None else self.addition
        return last.result


@module_pass("ix-merge-sibling-matmuls")
def merge_sibling_matmuls(module: Any) -> None:
    """Joins the parameters of matmuls that read one value, and slices the product."""
    families: dict[Any, list[Any]] = {}
    for op in ops_in(module, ix.MatmulOp):
        if _is_projection(op):
            families.setdefault(_family(op), []).append(op)
    for siblings in families.values():
        if len(siblings) > 1:
            with siblings[0].location:
                _merge([_branch(op) for op in siblings])


def _is_projection(op: ix.MatmulOp) -> bool:
    return op.b.type.rank == 2 and is_constant(op.b) and not is_constant(op.a)


def _family(op: ix.MatmulOp) -> tuple[Any, ...]:
    """What matmuls must have in common to become one."""
    types = (op.b.type.element_type, op.result.type.element_type)
    return (op.operation.block, op.a, op.transpose_a, op.transpose_b, *types)


def _branch(op: ix.MatmulOp) -> _Branch:
    user = sole_user(op.result)
    if isinstance(user, ix.AddOp):
        for product, bias in commuted(user):
            if (
                product == op.result
                and list(bias.type.shape) == [op.result.type.shape[-1]]
                and is_constant(bias)
            ):
                return _Branch(op, user, bias)
    return _Branch(op, None, None)


def _merge(branches: Sequence[_Branch]) -> None:
    """Replaces the branches by slices of one product."""
    first = branches[0].matmul
    for branch in branches:
        for value in (branch.matmul.b, branch.bias):
            if value is not None:
                _move_before(value, first)
    with ir.InsertionPoint(first):
        weights = [branch.matmul.b for branch in branches]
        product = ix.MatmulOp.build(
            first.a,
            ix.ConcatOp.build(weights, axis=0 if first.transpose_b else 1),
            transpose_a=first.transpose_a,
            transpose_b=first.transpose_b,
            element_type=first.result.type.element_type,
        )
        if any(branch.bias is not None for branch in branches):
            product = ix.AddOp.build(product, _joined_bias(branches, product))
        widths = [branch.width for branch in branches]
        parts = consecutive_slices(product, product.type.rank - 1, widths)
    for branch, part in zip(branches, parts, strict=True):
        branch.result.replace_all_uses_with(part)
    for branch in branches:
        for op in (branch.addition, branch.matmul):
            if op is not None:
                op.operation.erase()


def _move_before(value: ir.Value, place: Any) -> None:
    """Moves what a constant is computed from ahead of `place`, where it comes after."""
    op = value.owner
    if op.is_before_in_block(place.operation):
        return
    op.move_before(place.operation)
    for operand in op.operands:
        _move_before(operand, op)


def _joined_bias(branches: Sequence[_Branch], product: ir.Value) -> ir.Value:
    """All biases in a row; a branch without one adds zeros."""
    element = str(product.type.element_type)
    zero = ix.ConstantOp.build(0, element)
    return ix.ConcatOp.build(
        [
            ix.BroadcastOp.build(zero, [branch.width])
            if branch.bias is None
            else branch.bias
            for branch in branches
        ],
        axis=0,
    )
