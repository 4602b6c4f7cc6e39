"""Sizes of every tensor of a function, as expressions over its declared dimensions.

`?` in a type says only that a size is unknown; this analysis says which size it is, so
that equal sizes are known to be equal, buffers get their upper bounds, and a kernel
takes each size once.
"""

from __future__ import annotations

import json
from typing import Any

from ix.errors import CompileError
from ix.mlir import DYNAMIC, defining_op, ir
from ix.runtime.sizes import Size, combine, dim, from_json, product

__all__ = ["Sizes"]

_INDEX_OPS = {
    "arith.addi": "add",
    "arith.subi": "sub",
    "arith.muli": "mul",
    "arith.divsi": "div",
    "arith.divui": "div",
    "arith.floordivsi": "div",
    "arith.remsi": "mod",
    "arith.remui": "mod",
    "arith.minsi": "min",
    "arith.maxsi": "max",
    "arith.minui": "min",
    "arith.maxui": "max",
}


class Sizes:
    """Sizes of the tensors and index values of one function.

    Args:
        arguments: For each block argument of the entry block, the sizes of its axes
            (tensor) or its own value (index), as a list.
    """

    def __init__(self, arguments: list[list[Size]]) -> None:
        self._arguments = arguments
        self._shapes: dict[Any, tuple[Size, ...]] = {}
        self._values: dict[Any, Size] = {}

    def shape(self, value: Any) -> tuple[Size, ...]:
        """The sizes of a tensor's axes."""
        found = self._shapes.get(value)
        if found is None:
            static = tuple(value.type.shape)
            found = static
            if DYNAMIC in static:
                derived = self._derive(value)
                found = tuple(
                    d if s == DYNAMIC else s
                    for s, d in zip(static, derived, strict=True)
                )
            self._shapes[value] = found
        return found

    def value(self, value: Any) -> Size:
        """An index value as a size."""
        found = self._values.get(value)
        if found is None:
            found = self._values[value] = self._index(value)
        return found

    def _index(self, value: Any) -> Size:
        op = defining_op(value)
        if op is None:
            return self._arguments[ir.BlockArgument(value).arg_number][0]
        name = op.operation.name
        if name == "arith.constant":
            return int(ir.IntegerAttr(op.operation.attributes["value"]).value)
        if name in ("tensor.dim", "ix.dim"):
            return self._dim(op)
        if name in _INDEX_OPS:
            left, right = (self.value(each) for each in op.operation.operands)
            return combine(_INDEX_OPS[name], left, right)
        if name in ("arith.index_cast", "arith.extsi", "arith.trunci"):
            return self.value(op.operation.operands[0])
        if name == "arith.ceildivsi":
            left, right = (self.value(each) for each in op.operation.operands)
            return combine("div", combine("add", left, combine("sub", right, 1)), right)
        raise CompileError(
            op,
            "needs a size computed by arith on index, but it is not; use ix.dim and "
            "arith",
        )

    def _dim(self, op: Any) -> Size:
        shape = self.shape(op.operation.operands[0])
        if op.operation.name == "ix.dim":
            return shape[ir.IntegerAttr(op.operation.attributes["axis"]).value]
        axis = self.value(op.operation.operands[1])
        assert isinstance(axis, int)
        return shape[axis]

    def _derive(self, value: Any) -> list[Size]:
        op = defining_op(value)
        if op is None:
            return self._arguments[ir.BlockArgument(value).arg_number]
        name = op.operation.name
        operands = list(op.operation.operands)
        if name == "linalg.generic" or name == "linalg.fill":
            outs = operands[len(operands) - len(op.operation.results) :]
            return list(self.shape(outs[ir.OpResult(value).result_number]))
        if name == "func.call":
            shapes = json.loads(
                ir.StringAttr(op.operation.attributes["ix.sizes"]).value
            )
            return [from_json(s) for s in shapes[ir.OpResult(value).result_number]]
        if "ix.sizes" in op.operation.attributes:  # in a kernel: of its arguments
            numbers = ir.ArrayAttr(op.operation.attributes["ix.sizes"])
            sizes = [ir.IntegerAttr(number).value for number in numbers]
            return [size if size >= 0 else dim(-1 - size) for size in sizes]
        rule = _RULES.get(name)
        if rule is not None:
            return rule(self, op)
        # Movement-free ix ops that stay: the shape of their first operand.
        if name == "ix.attention":
            query, _, v = operands[:3]
            return [*self.shape(query)[:-1], self.shape(v)[-1]]
        if name.startswith("ix."):
            return list(self.shape(operands[0]))
        raise CompileError(
            op, f"needs a size rule for its dynamic result {value.type}, but has none"
        )


def _mixed(sizes: Sizes, static: Any, dynamic: list[Any]) -> list[Size]:
    """Static entries, and the operands in place of the dynamic ones."""
    operands = iter(dynamic)
    return [sizes.value(next(operands)) if s == DYNAMIC else int(s) for s in static]


def _ints(op: Any, name: str) -> list[int]:
    return [int(v) for v in ir.DenseI64ArrayAttr(op.operation.attributes[name])]


def segments(op: Any) -> list[list[Any]]:
    """The operands of an op with operandSegmentSizes, group by group."""
    counts = ir.DenseI32ArrayAttr(op.operation.attributes["operandSegmentSizes"])
    operands = iter(op.operation.operands)
    return [[next(operands) for _ in range(count)] for count in counts]


def _empty(sizes: Sizes, op: Any) -> list[Size]:
    return _mixed(
        sizes, op.operation.results[0].type.shape, list(op.operation.operands)
    )


def _extract_slice(sizes: Sizes, op: Any) -> list[Size]:
    return _mixed(sizes, _ints(op, "static_sizes"), segments(op)[2])


def _expand(sizes: Sizes, op: Any) -> list[Size]:
    return _mixed(
        sizes, _ints(op, "static_output_shape"), list(op.operation.operands)[1:]
    )


def reassociation(op: Any) -> list[list[int]]:
    """The axis groups of an expand_shape or collapse_shape."""
    groups = ir.ArrayAttr(op.operation.attributes["reassociation"])
    return [[ir.IntegerAttr(a).value for a in ir.ArrayAttr(g)] for g in groups]


def _collapse(sizes: Sizes, op: Any) -> list[Size]:
    shape = sizes.shape(op.operation.operands[0])
    return [product([shape[a] for a in group]) for group in reassociation(op)]


def _cast(sizes: Sizes, op: Any) -> list[Size]:
    return list(sizes.shape(op.operation.operands[0]))


def _pad(sizes: Sizes, op: Any) -> list[Size]:
    source, low, high = segments(op)
    lows = _mixed(sizes, _ints(op, "static_low"), low)
    highs = _mixed(sizes, _ints(op, "static_high"), high)
    return [
        combine("add", combine("add", s, a), b)
        for s, a, b in zip(sizes.shape(source[0]), lows, highs, strict=True)
    ]


def _concat(sizes: Sizes, op: Any) -> list[Size]:
    axis = ir.IntegerAttr(op.operation.attributes["dim"]).value
    shapes = [sizes.shape(v) for v in op.operation.operands]
    result = list(shapes[0])
    for shape in shapes[1:]:
        result[axis] = combine("add", result[axis], shape[axis])
    return result


_RULES = {
    "tensor.empty": _empty,
    "tensor.extract_slice": _extract_slice,
    "tensor.expand_shape": _expand,
    "tensor.collapse_shape": _collapse,
    "tensor.cast": _cast,
    "tensor.pad": _pad,
    "tensor.concat": _concat,
}
