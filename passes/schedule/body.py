"""The scalar body of a linalg.generic, cloned for one element or for a vector of them.

A value that is the same in all lanes stays a scalar until an op mixes it with a vector,
so that what does not depend on the lane is computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ix.mlir import ir, vector
from ix.passes.cpu import vector_math
from ix.passes.schedule import storage
from ix.passes.schedule.index import Index

__all__ = ["clone_op", "index_of", "inline_body", "is_vector", "widen"]


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
) -> list[ir.Value]:
    """Clones a generic's body and returns what it yields.

    Args:
        block: The body; its arguments become `arguments`.
        arguments: Scalars, or vectors of `lanes` elements, in storage types.
        lanes: 1 for scalar code.
        index: The value of `linalg.index d`.
        extract: Reads a tensor at indices (`tensor.extract`).
        outer: A value that the body captures from outside.
    """
    values: dict[Any, ir.Value] = dict(zip(block.arguments, arguments, strict=True))

    def get(value: Any) -> ir.Value:
        if value not in values:
            values[value] = outer(value)
        return values[value]

    for op in block.operations:
        name = op.operation.name
        operands = list(op.operation.operands)
        if name == "linalg.yield":
            return [get(v) for v in operands]
        if name == "linalg.index":
            axis = ir.IntegerAttr(op.operation.attributes["dim"]).value
            results = [index(axis)]
        elif name == "tensor.extract":
            results = [extract(operands[0], [get(v) for v in operands[1:]])]
        else:
            results = clone_op(op, [get(v) for v in operands], lanes)
        values.update(zip(op.operation.results, results, strict=True))
    raise AssertionError("a linalg body ends in linalg.yield")


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
