"""ix-form-kernels: splits @main into kernels, one function each.

    %0 = linalg.generic … (%x)          %0 = call @kernel_0(%x)
    %1 = linalg.generic … (%0)    →
                                        func private @kernel_0(%x) {ix.family = "loop"}

What shares a kernel is decided in `groups.py`. A kernel takes its tensors, then the
sizes of what is dynamic (`ix.sizes` on a tensor argument: a size, or −1 − n for the
n-th size argument). Kernels of equal text are one function. Reshapes stay in @main:
they name memory. The decisions are kept as `ix.decisions` on the module. In a module
with the attribute `ix.unfused` each op is a kernel of its own.
"""

from __future__ import annotations

import json
from typing import Any

from ix.errors import CompileError
from ix.mlir import arith, defining_op, func, ir, tensor
from ix.passes.framework import module_pass
from ix.passes.schedule.groups import Group, Record, form_groups
from ix.passes.schedule.sources import located_call, name_of, source_of
from ix.passes.schedule.structure import kind_of, tensor_operands
from ix.passes.schedule.symbols import Sizes
from ix.runtime.sizes import Size, bounds, dim

__all__ = ["SIZE_OPS", "form_kernels", "main_of", "main_sizes", "ranges_of"]


@module_pass("ix-form-kernels")
def form_kernels(module: Any) -> None:
    """Splits @main into kernels, one function each."""
    main = main_of(module)
    sizes = main_sizes(main)
    block = main.entry_block
    _copy_returned(block)
    ops = [op.operation.opview for op in list(block.operations)[:-1]]
    terminator = block.operations[len(block.operations) - 1]
    returned = {n for v in terminator.operation.operands for n in memory_names(v)}
    fuse = "ix.unfused" not in module.operation.attributes
    groups, records = form_groups(ops, sizes, ranges_of(module), returned, fuse=fuse)
    decisions = [_describe(record) for record in records]
    _Outliner(module, main, sizes, ops).run(groups)
    module.operation.attributes["ix.decisions"] = ir.StringAttr.get(
        json.dumps(decisions, separators=(",", ":"))
    )


def main_of(module: Any) -> Any:
    """The function @main.

    Raises:
        CompileError: The module has none.
    """
    body = module.operation.regions[0].blocks[0]
    for op in body.operations:
        if op.operation.name != "func.func":
            continue
        if ir.StringAttr(op.operation.attributes["sym_name"]).value == "main":
            return op.operation.opview
    raise CompileError(
        None, "the module needs a function @main, but has none; name it so"
    )


def declared_dims(module: Any) -> dict[str, tuple[int, int]]:
    """The declared dynamic dimensions and their bounds, in their declared order."""
    attributes = module.operation.attributes
    if "ix.dims" not in attributes:
        return {}
    dims = ir.DictAttr(attributes["ix.dims"])
    result = {}
    for index in range(len(dims)):
        named = dims[index]
        low, high = (ir.IntegerAttr(v).value for v in ir.ArrayAttr(named.attr))
        result[named.name] = (low, high)
    return result


def ranges_of(module: Any) -> list[tuple[int, int]]:
    """Bounds of the declared dimensions."""
    return list(declared_dims(module).values())


def main_sizes(main: Any) -> Sizes:
    """Sizes of @main's tensors, over the declared dimensions."""
    module = main.operation.parent
    names = list(declared_dims(module))
    arguments: list[list[Size]] = []
    for number, argument in enumerate(main.arguments):
        shape: list[Size] = list(argument.type.shape)
        labels = argument_names(main, number, "ix.dims")
        for axis, label in enumerate(labels):
            if label and label in names:
                shape[axis] = dim(names.index(label))
        if any(s == ir.ShapedType.get_dynamic_size() for s in shape):
            raise CompileError(
                main,
                f"needs a declared dimension for each '?' of argument {number}, but "
                f"{argument.type} has one without; declare it with ix.Dim",
            )
        arguments.append(shape)
    return Sizes(arguments)


def argument_names(main: Any, number: int, key: str) -> list[str]:
    """The strings of an argument's array attribute; empty where it has none."""
    attributes = main.operation.attributes
    if "arg_attrs" not in attributes:
        return []
    one = ir.DictAttr(ir.ArrayAttr(attributes["arg_attrs"])[number])
    if key not in one:
        return []
    return [ir.StringAttr(a).value for a in ir.ArrayAttr(one[key])]


def _copy_returned(block: Any) -> None:
    """Gives every result of @main a value of its own that a kernel writes.

    An argument, a parameter, a constant or a value returned twice is copied.
    """
    terminator = block.operations[len(block.operations) - 1]
    seen: set[Any] = set()
    for index, value in enumerate(list(terminator.operation.operands)):
        root = memory_root(value)
        producer = defining_op(root)
        computed = producer is not None and kind_of(producer) != "leaf"
        if not computed or root in seen:
            with ir.InsertionPoint(terminator), terminator.operation.location:
                value = root = _copy(value)
            terminator.operation.operands[index] = value
        seen.add(root)


def memory_names(value: Any) -> list[Any]:
    """A value, and what the reshapes before it are made from; the last owns memory."""
    names = [value]
    op = defining_op(value)
    while op is not None and kind_of(op) == "alias":
        names.append(op.operation.operands[0])
        op = defining_op(names[-1])
    return names


def memory_root(value: Any) -> Any:
    """The value whose memory a chain of reshapes names."""
    return memory_names(value)[-1]


def _copy(value: Any) -> Any:
    from ix.passes.linalg import generic

    return generic.elementwise([value], value.type.element_type, lambda x: x)


class _Outliner:
    def __init__(self, module: Any, main: Any, sizes: Sizes, ops: list[Any]) -> None:
        self.module = module
        self.main = main
        self.sizes = sizes
        self.position = {
            op.operation.results[0]: i
            for i, op in enumerate(ops)
            if len(op.operation.results)
        }
        self.replaced: dict[Any, Any] = {}
        self.by_text: dict[str, str] = {}
        self.size_values: dict[Size, Any] = {}

    def run(self, groups: list[Group]) -> None:
        block = self.main.entry_block
        terminator = block.operations[len(block.operations) - 1]
        self.terminator = terminator
        used_later = self._external_uses(groups)
        for group in groups:
            self._outline(group, used_later)
        for index, value in enumerate(list(terminator.operation.operands)):
            terminator.operation.operands[index] = self._now(value)
        for op in reversed(list(block.operations)[:-1]):
            if all(not list(r.uses) for r in op.operation.results):
                op.operation.erase()

    def _external_uses(self, groups: list[Group]) -> set[Any]:
        used = {n for v in self.terminator.operation.operands for n in memory_names(v)}
        for group in groups:
            members = {r for op in group.ops for r in op.operation.results}
            for op in [*group.inlined, *group.ops]:
                for value in tensor_operands(op):
                    if value not in members:
                        used.update(memory_names(value))
        return used

    def _now(self, value: Any) -> Any:
        """A value of the old program in the new one; reshapes are built again."""
        if value in self.replaced:
            return self.replaced[value]
        op = defining_op(value)
        if op is not None and kind_of(op) == "alias":
            source = self._now(op.operation.operands[0])
            clone = op.operation.clone(ip=ir.InsertionPoint(self.terminator))
            clone.operands[0] = source
            for index in range(1, len(clone.operands)):
                clone.operands[index] = self._size_value(
                    self.sizes.value(op.operation.operands[index])
                )
            self.replaced[value] = clone.results[0]
            return clone.results[0]
        return value

    def _outline(self, group: Group, used: set[Any]) -> None:
        ops = self._closure(group)
        inside = {r for op in ops for r in op.operation.results}
        own = {r for op in group.ops for r in op.operation.results}
        inputs = list(
            dict.fromkeys(
                v for op in ops for v in tensor_operands(op) if v not in inside
            )
        )
        outputs = [v for op in group.ops for v in op.operation.results if v in used]
        assert outputs and own
        builder = _KernelBuilder(self, group, ops, inputs, outputs)
        function = builder.build(f"kernel_{len(self.by_text)}")
        # Before the function may give way to an equal one from another place.
        sources = [source_of(op) for op in list(function.entry_block.operations)[:-1]]
        name = self._unique(function)
        location = located_call(group.ops[0].operation.location, sources)
        with ir.InsertionPoint(self.terminator), location:
            arguments = [self._now(v) for v in inputs]
            arguments += [self._size_value(size) for size in builder.dynamic]
            call = func.CallOp([v.type for v in outputs], name, arguments)
        call.operation.attributes["ix.ops"] = ir.ArrayAttr.get(
            [ir.StringAttr.get(text) for text in dict.fromkeys(map(name_of, group.ops))]
        )
        shapes = [self.sizes.shape(v) for v in outputs]
        call.operation.attributes["ix.sizes"] = ir.StringAttr.get(
            json.dumps(shapes, separators=(",", ":"))
        )
        for old, new in zip(outputs, call.results, strict=True):
            self.replaced[old] = new

    def _closure(self, group: Group) -> list[Any]:
        """The group's ops and the leaves they need, in program order."""
        found: dict[int, Any] = {}

        def add(op: Any) -> None:
            key = self.position.get(op.operation.results[0])
            if key is None or key in found:
                return
            found[key] = op
            for value in _captured(op):
                producer = defining_op(value)
                if producer is not None and _is_inner_leaf(producer):
                    add(producer)

        for op in [*group.inlined, *group.ops]:
            add(op)
        return [found[key] for key in sorted(found)]

    def _unique(self, function: Any) -> str:
        """The name of the function with this text; a second one is erased."""
        name = ir.StringAttr(function.operation.attributes["sym_name"]).value
        text = function.operation.get_asm(use_local_scope=True).replace(
            f"@{name}(", "@kernel(", 1
        )
        if text in self.by_text:
            function.operation.erase()
            return self.by_text[text]
        self.by_text[text] = name
        return name

    def _size_value(self, size: Size) -> Any:
        """A size as an index value at the end of @main."""
        if size in self.size_values:
            return self.size_values[size]
        with ir.InsertionPoint.at_block_begin(self.main.entry_block):
            value = self._emit_size(size)
        self.size_values[size] = value
        return value

    def _emit_size(self, size: Size) -> Any:
        index = ir.IndexType.get()
        if isinstance(size, int):
            return arith.constant(index, size)
        if size[0] == "dim":
            return self._declared(size)
        left, right = self._emit_size(size[1]), self._emit_size(size[2])
        return SIZE_OPS[size[0]](left, right)

    def _declared(self, size: Size) -> Any:
        for argument in self.main.arguments:
            shape = self.sizes.shape(argument)
            if size in shape:
                axis = arith.constant(ir.IndexType.get(), shape.index(size))
                return tensor.dim(argument, axis)
        raise CompileError(self.main, "needs an argument for each declared dimension")


SIZE_OPS = {
    "add": arith.addi,
    "sub": arith.subi,
    "mul": arith.muli,
    "div": arith.floordivsi,
    "mod": lambda a, b: arith.subi(a, arith.muli(arith.floordivsi(a, b), b)),
    "min": arith.minsi,
    "max": arith.maxsi,
}


_DERIVED = ("tensor.concat", "tensor.pad", "tensor.collapse_shape")
"""Ops whose result's sizes follow from their operands'.

A kernel that takes such a size too (2 · n beside n) has to know that both are one: then
the op has an `ix.sizes` of its own.
"""


def _captured(op: Any) -> list[Any]:
    """Every value that an op uses from outside it, its regions' included."""
    inner = {r for o in _nested(op) for r in o.operation.results}
    blocks = {a for o in [op, *_nested(op)] for a in _arguments(o)}
    values = list(op.operation.operands)
    for nested in _nested(op):
        values += [
            v for v in nested.operation.operands if v not in inner and v not in blocks
        ]
    return values


def _nested(op: Any) -> list[Any]:
    found = []
    for region in op.operation.regions:
        for block in region.blocks:
            for inner in block.operations:
                found.append(inner.operation.opview)
                found += _nested(inner)
    return found


def _arguments(op: Any) -> list[Any]:
    return [
        a for region in op.operation.regions for b in region.blocks for a in b.arguments
    ]


def _is_inner_leaf(op: Any) -> bool:
    """What a kernel repeats: scalars, empty tensors and fills, reshaped or not."""
    root = defining_op(memory_root(op.operation.results[0]))
    if root is not None and root.operation.name in ("tensor.empty", "linalg.fill"):
        return True
    kind = op.operation.results[0].type
    if isinstance(kind, ir.RankedTensorType | ir.IndexType):
        return False
    return kind_of(op) == "leaf"


class _KernelBuilder:
    """Builds the function of one group at the end of the module."""

    def __init__(
        self,
        outliner: _Outliner,
        group: Group,
        ops: list[Any],
        inputs: list[Any],
        outputs: list[Any],
    ) -> None:
        self.outliner = outliner
        self.sizes = outliner.sizes
        self.group = group
        self.ops = ops
        self.inputs = inputs
        self.outputs = outputs
        self.dynamic: list[Size] = self._dynamic_sizes()

    def _dynamic_sizes(self) -> list[Size]:
        """Every size that the kernel needs and that is not known now."""
        found: dict[Size, None] = {}
        for value in [*self.inputs, *self.outputs]:
            for size in self.sizes.shape(value):
                if not isinstance(size, int):
                    found[size] = None
        for op in self.ops:
            for value in _captured(op):
                if isinstance(value.type, ir.IndexType):
                    size = self.sizes.value(value)
                    if not isinstance(size, int):
                        found[size] = None
        return list(found)

    def build(self, name: str) -> Any:
        index = ir.IndexType.get()
        types = [v.type for v in self.inputs] + [index] * len(self.dynamic)
        results = [v.type for v in self.outputs]
        body = self.outliner.module.operation.regions[0].blocks[0]
        with ir.InsertionPoint(body), self.group.ops[0].operation.location:
            function = func.FuncOp(name, (types, results), visibility="private")
        self._annotate(function)
        block = function.add_entry_block()
        values = dict(zip(self.inputs, block.arguments, strict=False))
        with ir.InsertionPoint(block):
            for op in self.ops:
                self._clone(op, values, block)
            with self.group.ops[-1].operation.location:
                func.ReturnOp([values[v] for v in self.outputs])
        return function

    def _annotate(self, function: Any) -> None:
        integer = ir.IntegerType.get_signless(64)
        attributes = []
        for value in self.inputs:
            named = {"ix.sizes": self._numbered(value)}
            if _is_constant(value):
                named["ix.constant"] = ir.UnitAttr.get()
            attributes.append(ir.DictAttr.get(named))
        ranges = ranges_of(self.outliner.module)
        for size in self.dynamic:
            low, high = bounds(size, ranges)
            entry = ir.ArrayAttr.get(
                [ir.IntegerAttr.get(integer, low), ir.IntegerAttr.get(integer, high)]
            )
            attributes.append(ir.DictAttr.get({"ix.range": entry}))
        if attributes:
            function.arg_attrs = attributes
        function.operation.attributes["ix.family"] = ir.StringAttr.get(
            self.group.family
        )

    def _numbered(self, value: Any) -> Any:
        """The sizes of a tensor: a size, or −1 − n for the n-th size argument."""
        integer = ir.IntegerType.get_signless(64)
        sizes = [
            size if isinstance(size, int) else -1 - self.dynamic.index(size)
            for size in self.sizes.shape(value)
        ]
        return ir.ArrayAttr.get([ir.IntegerAttr.get(integer, size) for size in sizes])

    def _clone(self, op: Any, values: dict[Any, Any], block: Any) -> None:
        with op.operation.location:
            clone = op.operation.clone()
            if op.operation.name in _DERIVED and self._takes_sizes(op):
                clone.attributes["ix.sizes"] = self._numbered(op.operation.results[0])
        self._remap(clone, values, block)
        for nested in _nested(clone):
            self._remap(nested.operation, values, block)
        values.update(zip(op.operation.results, clone.results, strict=True))

    def _takes_sizes(self, op: Any) -> bool:
        """Whether all sizes of the op's result are known or arguments."""
        shape = self.sizes.shape(op.operation.results[0])
        return all(isinstance(size, int) or size in self.dynamic for size in shape)

    def _remap(self, op: Any, values: dict[Any, Any], block: Any) -> None:
        for number, operand in enumerate(list(op.operands)):
            if operand in values:
                op.operands[number] = values[operand]
            elif isinstance(operand.type, ir.IndexType) and self._is_size(operand):
                size = self.sizes.value(operand)
                if isinstance(size, int):
                    with ir.InsertionPoint.at_block_begin(block), op.location:
                        op.operands[number] = arith.constant(operand.type, size)
                else:
                    at = len(self.inputs) + self.dynamic.index(size)
                    op.operands[number] = block.arguments[at]

    def _is_size(self, value: Any) -> bool:
        """Whether an index value is @main's, and not of a body."""
        owner = value.owner
        parent = owner if isinstance(owner, ir.Block) else owner.operation.block
        return bool(parent == self.outliner.main.entry_block)


def _is_constant(value: Any) -> bool:
    """Whether a tensor is a parameter or constant, reshaped or not."""
    op = defining_op(memory_root(value))
    return op is not None and kind_of(op) == "leaf"


def _describe(record: Record) -> dict[str, Any]:
    producer = record.producer
    return {
        "producer": name_of(producer) if producer is not None else "input",
        "consumer": name_of(record.consumer),
        "fused": record.fused,
        "reason": record.reason,
        "saved_bytes": record.saved_bytes,
        "location": _where(record.consumer),
    }


def _where(op: Any) -> str:
    text = str(op.operation.location)
    return text.removeprefix("loc(").removesuffix(")")
