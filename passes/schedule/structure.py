"""What kind of work an op on tensors is, as the grouping sees it.

leaf        takes no kernel: empty, fill, constants, parameters, sizes
alias       renames memory: expand_shape, collapse_shape, cast
loop        each element on its own: parallel generics, slice, pad, concat
reduce      a generic with reduction iterators
contraction a reduce whose body multiplies two operands and adds
special     an ix op that linalg has no form for
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ix.mlir import ir

__all__ = [
    "body_ops",
    "extracted_tensors",
    "is_cheap",
    "iteration_operands",
    "kind_of",
    "reduction_axes",
    "tensor_operands",
]

_LEAVES = (
    "tensor.empty",
    "linalg.fill",
    "arith.constant",
    "ix.parameter",
    "ix.constant",
    "tensor.dim",
    "ix.dim",
)
_LOOPS = ("tensor.extract_slice", "tensor.pad", "tensor.concat")
_ALIASES = ("tensor.expand_shape", "tensor.collapse_shape", "tensor.cast")

# Ops that cost next to nothing beside the load of their operand.
_FREE = (
    "linalg.yield",
    "linalg.index",
    "arith.constant",
    "arith.extf",
    "arith.truncf",
    "arith.extsi",
    "arith.extui",
    "arith.trunci",
    "arith.index_cast",
    "arith.bitcast",
)


def body_ops(op: Any) -> Iterator[Any]:
    """The ops of a generic's body."""
    yield from op.operation.regions[0].blocks[0].operations


def reduction_axes(op: Any) -> list[int]:
    """The iteration axes that a generic reduces."""
    return [i for i, t in enumerate(op.iterator_types) if "reduction" in str(t)]


def _multiplies_and_adds(op: Any) -> bool:
    names = [o.operation.name for o in body_ops(op) if o.operation.name not in _FREE]
    return len(list(op.inputs)) == 2 and names in (
        ["arith.mulf", "arith.addf"],
        ["arith.muli", "arith.addi"],
    )


def kind_of(op: Any) -> str:
    """One of the kinds that the module's docstring lists."""
    name = op.operation.name
    if name in _LEAVES or not op.operation.results:
        return "leaf"
    if not isinstance(op.operation.results[0].type, ir.RankedTensorType):
        return "leaf"
    if name in _ALIASES:
        return "alias"
    if name in _LOOPS:
        return "loop"
    if name == "linalg.generic":
        if not reduction_axes(op):
            return "loop"
        return "contraction" if _multiplies_and_adds(op) else "reduce"
    return "special"


def extracted_tensors(op: Any) -> list[Any]:
    """Tensors that a generic's body reads by `tensor.extract`."""
    if op.operation.name != "linalg.generic":
        return []
    return [
        o.operation.operands[0]
        for o in body_ops(op)
        if o.operation.name == "tensor.extract"
    ]


def iteration_operands(op: Any) -> list[Any]:
    """The tensors that an op reads through indexing maps or as a whole."""
    if op.operation.name == "linalg.generic":
        return list(op.inputs)
    return [v for v in op.operation.operands if isinstance(v.type, ir.RankedTensorType)]


def tensor_operands(op: Any) -> list[Any]:
    """Every tensor that an op reads; not the outs, which hold no data."""
    return [*iteration_operands(op), *extracted_tensors(op)]


def is_cheap(op: Any) -> bool:
    """Whether computing the op again costs no more than loading its result."""
    if op.operation.name != "linalg.generic":
        return op.operation.name in (*_ALIASES, "tensor.extract_slice")
    if len(list(op.inputs)) > 1 or extracted_tensors(op):
        return False
    return all(o.operation.name in _FREE for o in body_ops(op))
