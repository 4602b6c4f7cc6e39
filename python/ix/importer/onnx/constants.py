"""What a value of the module under construction depends on.

A handler that must know a value asks `evaluate`: where constants alone lead to it, the
reference semantics of the ops give its elements. Otherwise `constant_arguments` names
the arguments of the program that do.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ix.importer.program import Module
from ix.mlir import ir

__all__ = ["constant_arguments", "evaluate"]

_MAX_ELEMENTS = 1 << 20
"""Tensors above this size are not computed on import."""


def evaluate(value: Any, module: Module) -> Any:
    """The elements of a value that depends on constants alone, else the value."""
    if not isinstance(value, ir.Value):
        return np.asarray(value)
    known: dict[Any, Any] = {}
    for each in _ancestors(value):
        known[each] = _computed(each, known, module)
    result = known[value]
    return value if result is None else result


def constant_arguments(value: Any, module: Module) -> set[str]:
    """The names of the arguments whose elements a value depends on.

    An argument that gives but its sizes does not count.
    """
    return {
        module.input_names[each.arg_number]
        for each in map(_argument, _ancestors(value))
        if each is not None
    }


def _ancestors(value: Any) -> list[Any]:
    """The value and all that it is computed from, operands first."""
    order: list[Any] = []
    seen: set[Any] = set()
    stack = [(value, False)]
    while stack:
        each, ready = stack.pop()
        if ready:
            order.append(each)
        elif each not in seen:
            seen.add(each)
            stack.append((each, True))
            if not isinstance(each.owner, ir.Block) and not _is_size(each):
                stack += [(operand, False) for operand in each.owner.operands]
    return order


def _is_size(value: Any) -> bool:
    return isinstance(value.type, ir.IndexType)


def _argument(value: Any) -> Any | None:
    """The value as an argument of the program, or None."""
    return ir.BlockArgument(value) if isinstance(value.owner, ir.Block) else None


def _computed(value: Any, known: dict[Any, Any], module: Module) -> Any | None:
    """The elements of a value whose operands are known, else None."""
    from ix.dialects.ix.program import ConstantOp, ParameterOp, elements_array
    from ix.dialects.ix.reference import REFERENCE

    if isinstance(value.owner, ir.Block) or _is_size(value):
        return None
    op = value.owner.opview
    if isinstance(op, ConstantOp):
        return elements_array(op.attributes["value"])
    if isinstance(op, ParameterOp):
        return module.weights.array(op.name)
    operands = [known.get(operand) for operand in op.operands]
    entry = REFERENCE.get(op.operation.name)
    if entry is None or any(operand is None for operand in operands):
        return None
    types = [result.type for result in op.results]
    if any(not t.has_static_shape or np.prod(t.shape) > _MAX_ELEMENTS for t in types):
        return None
    results = entry(operands, op.python_attributes(), types)
    return results[list(op.results).index(value)]
