"""The scalar body of a linalg.generic, cloned for one element or for a vector of them.

A value that is the same in all lanes stays a scalar until an op mixes it with a vector,
so that what does not depend on the lane is computed once. An op that is marked as a
function of its first operand (`ix.function`) becomes that function's code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ix.mlir import defining_op, ir, vector
from ix.passes.cpu import vector_math
from ix.passes.linalg.functions import FUNCTION
from ix.passes.schedule import storage
from ix.passes.schedule.index import Index

__all__ = ["Clone", "clone_op", "index_of", "inline_body", "is_vector", "widen"]


Clone = Callable[[Any, list[ir.Value], int], list[ir.Value]]
"""(op, operands, lanes) → results."""


def is_vector(value: ir.Value) -> bool:
    """Whether a value holds one element for each lane."""
    return isinstance(value.type, ir.VectorType)


def widen(value: ir.Value, lanes: int) -> ir.Value:
    """`value` in every lane; vectors come back as they are."""
    if lanes == 1 or is_vector(value):
        return value
    return vector.broadcast(ir.VectorType.get([lanes], value.type), value)


def inline_body(
    block: Any,
    arguments: Sequence[ir.Value],
    lanes: int,
    *,
    index: Callable[[int], ir.Value],
    extract: Callable[[Any, list[ir.Value]], ir.Value],
    outer: Callable[[Any], ir.Value],
    clone: Clone,
) -> list[ir.Value]:
    """Clones a generic's body and returns what it yields.

    Args:
        block: The body; its arguments become `arguments`.
        arguments: Scalars, or vectors of `lanes` elements, in storage types.
        lanes: 1 for scalar code.
        index: The value of `linalg.index d`.
        extract: Reads a tensor at indices (`tensor.extract`).
        outer: A value that the body captures from outside.
        clone: Makes the results of any other op: `clone_op`.
    """
    values: dict[Any, ir.Value] = dict(zip(block.arguments, arguments, strict=True))

    def get(value: Any) -> ir.Value:
        if value not in values:
            values[value] = outer(value)
        return values[value]

    needed = _needed(block)
    for op in block.operations:
        name = op.operation.name
        if op.operation not in needed:
            continue
        operands = _read(op)
        if name == "linalg.yield":
            return [get(v) for v in operands]
        if name == "linalg.index":
            axis = ir.IntegerAttr(op.operation.attributes["dim"]).value
            results = [index(axis)]
        elif name == "tensor.extract":
            results = [extract(operands[0], [get(v) for v in operands[1:]])]
        else:
            results = clone(op, [get(v) for v in operands], lanes)
        values.update(zip(op.operation.results, results, strict=True))
    raise AssertionError("a linalg body ends in linalg.yield")


def _needed(block: Any) -> set[Any]:
    """The ops that what the body yields is computed from."""
    needed = set()
    ops = list(block.operations)
    pending = [ops[-1]]
    while pending:
        op = pending.pop()
        if op.operation in needed:
            continue
        needed.add(op.operation)
        for value in _read(op):
            producer = defining_op(value)
            if producer is not None and producer.operation.block == block:
                pending.append(producer)
    return needed


def _read(op: Any) -> list[Any]:
    """The operands that an op's code needs."""
    operands = list(op.operation.operands)
    return operands if _function(op) is None else operands[:1]


def _function(op: Any) -> str | None:
    """The function of its first operand that an op is marked as."""
    attributes = op.operation.attributes
    if FUNCTION not in attributes:
        return None
    return ir.StringAttr(attributes[FUNCTION]).value


def clone_op(op: Any, operands: list[ir.Value], lanes: int) -> list[ir.Value]:
    """Clones one elementwise op onto scalars or vectors."""
    name = op.operation.name
    if name == "arith.constant":
        return [storage.constant(op)]
    wide = any(is_vector(v) for v in operands)
    if wide:
        operands = [widen(v, lanes) for v in operands]
    converted = storage.convert(op, operands)
    if converted is not None:
        return [converted]
    function = _function(op)
    if function is not None:
        return [vector_math.function(function)(operands[0])]
    if name.startswith("math."):
        expanded = vector_math.expand(name, *operands)
        if expanded is not None:
            return [expanded]
    types = [storage.element_type(r.type) for r in op.operation.results]
    if wide:
        types = [ir.VectorType.get([lanes], t) for t in types]
    attributes = op.operation.attributes
    new = ir.Operation.create(
        name,
        results=types,
        operands=operands,
        attributes={name: attributes[name] for name in attributes},
    )
    return list(new.results)


def index_of(value: ir.Value) -> Index:
    """An index value, scalar or vector, as an Index."""
    if is_vector(value):
        return Index(0, lanes=value)
    return Index(value)
