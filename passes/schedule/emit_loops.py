"""ix-emit-loops: kernels on tensors → loops on memrefs, and @main on one arena.

    %0 = call @kernel_0(%x)     →    %t0 = memref.view %arena[…]
    %1 = call @kernel_0(%0)          call @kernel_0(%x, %t0, %scratch, %low, %high)

This is for reading, and for `ix-opt`: the compiler itself lowers kernel by kernel, so
that equal kernels of all programs share one object, and hands out their items through
the thread pool. Here every call runs all items of its kernel.

@main takes inputs, outputs, constants (packed as the kernels read them), the arena,
scratch of one thread, and the declared dimensions.
"""

from __future__ import annotations

from typing import Any

from ix.errors import CompileError
from ix.mlir import arith, func, ir, memref
from ix.passes.framework import module_pass
from ix.passes.schedule import storage
from ix.passes.schedule.choose_rule import loops_of
from ix.passes.schedule.form_kernels import SIZE_OPS, declared_dims, main_of
from ix.passes.schedule.kernel import KernelCode
from ix.passes.schedule.program import HostProgram, Place, Step, host_program
from ix.runtime.sizes import Size
from ix.target import Target

__all__ = ["emit_loops"]


@module_pass("ix-emit-loops")
def emit_loops(module: Any) -> None:
    """Kernels on tensors → loops on memrefs, and @main on one arena."""
    attributes = module.operation.attributes
    if "ix.target" not in attributes:
        raise CompileError(
            module, 'needs the attribute ix.target, but has none; for example "cpu"'
        )
    target = Target.parse(ir.StringAttr(attributes["ix.target"]).value)
    body = module.operation.regions[0].blocks[0]
    functions = {
        ir.StringAttr(op.operation.attributes["sym_name"]).value: op
        for op in body.operations
        if "ix.family" in op.operation.attributes
    }
    codes = {
        name: loops_of(op.operation.opview, target) for name, op in functions.items()
    }
    program = host_program(
        module, lambda callee: (codes[callee].packings, codes[callee].in_place)
    )
    main = main_of(module)
    outputs = list(main.type.results)
    loops = {name: _take_body(code, name, body) for name, code in codes.items()}
    with ir.InsertionPoint(main), main.operation.location:
        _Main(main, program, codes, loops, declared_dims(module), outputs).build()
    main.operation.erase()
    for function in functions.values():
        function.operation.erase()
    for name, function in loops.items():
        function.operation.attributes["sym_name"] = ir.StringAttr.get(name)


def _take_body(code: KernelCode, name: str, block: Any) -> Any:
    """Copies @body of a kernel's own module to the end of this one."""
    (body,) = code.module.body.operations
    clone = body.operation.clone(ip=ir.InsertionPoint(block))
    clone.attributes["sym_name"] = ir.StringAttr.get(f"{name}_loops")
    clone.attributes["sym_visibility"] = ir.StringAttr.get("private")
    clone.attributes["ix.family"] = ir.StringAttr.get(code.family)
    return clone.opview


class _Main:
    def __init__(
        self,
        main: Any,
        program: HostProgram,
        codes: dict[str, KernelCode],
        loops: dict[str, Any],
        dims: dict[str, tuple[int, int]],
        outputs: list[Any],
    ) -> None:
        self.program = program
        self.codes = codes
        self.loops = loops
        byte = ir.IntegerType.get_signless(8)
        scratch = max((c.scratch_bytes for c in codes.values()), default=1)
        self.starts = {"input": 0, "output": len(main.arguments)}
        self.starts["constant"] = self.starts["output"] + len(outputs)
        types = [_flat(a.type) for a in main.arguments] + [_flat(t) for t in outputs]
        types += self._constant_types()
        self.arena = len(types)
        types += [ir.MemRefType.get([max(program.arena_bytes, 1)], byte)]
        types += [ir.MemRefType.get([max(scratch, 1)], byte)]
        self.first_dim = len(types)
        types += [ir.IndexType.get()] * len(dims)
        self.function = func.FuncOp("main", (types, []))

    def _constant_types(self) -> list[Any]:
        """As the first kernel that reads each constant takes it."""
        types: dict[int, Any] = {}
        for step in self.program.steps:
            kinds = self.loops[step.callee].type.inputs
            for place, kind in zip(step.reads, kinds, strict=False):
                if place.kind == "constant":
                    types.setdefault(place.number, kind)
        return [types[number] for number in sorted(types)]

    def build(self) -> None:
        block = self.function.add_entry_block()
        with ir.InsertionPoint(block):
            for step in self.program.steps:
                self._step(step, list(block.arguments))
            func.ReturnOp([])

    def _step(self, step: Step, arguments: list[Any]) -> None:
        loops = self.loops[step.callee]
        kinds = list(loops.type.inputs)
        places = [*step.reads, *step.writes]
        values = [
            self._buffer(place, kind, arguments)
            for place, kind in zip(places, kinds, strict=False)
        ]
        scratch = arguments[self.arena + 1]
        values.append(_recast(scratch, kinds[len(places)]))
        sizes = [self._size(size, arguments) for size in step.sizes]
        values += sizes
        values.append(arith.constant(ir.IndexType.get(), 0))
        values.append(_computed(self.codes[step.callee].items, sizes))
        name = ir.StringAttr(loops.operation.attributes["sym_name"]).value
        func.CallOp([], name.removesuffix("_loops"), values)

    def _buffer(self, place: Place, kind: Any, arguments: list[Any]) -> Any:
        if place.buffer is None:
            return _recast(arguments[self.starts[place.kind] + place.number], kind)
        offset = arith.constant(ir.IndexType.get(), place.buffer.offset)
        return memref.view(kind, arguments[self.arena], offset, [])

    def _size(self, size: Size, arguments: list[Any]) -> Any:
        return _computed(size, arguments[self.first_dim :])


def _flat(tensor: Any) -> Any:
    """The memref of a tensor's elements; one element stands for an unknown number."""
    element = storage.storage_type(tensor.element_type)
    shape = list(tensor.shape) if tensor.has_static_shape else [1]
    return ir.MemRefType.get(shape, element)


def _recast(buffer: Any, kind: Any) -> Any:
    """The same memory as another static memref."""
    if buffer.type == kind:
        return buffer
    shape = list(kind.shape)
    strides = [1] * len(shape)
    for axis in reversed(range(len(shape) - 1)):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    return memref.ReinterpretCastOp(
        kind, buffer, [], [], [], [0], shape, strides
    ).result


def _computed(size: Size, dims: list[Any]) -> Any:
    """A size as an index value."""
    if isinstance(size, int):
        return arith.constant(ir.IndexType.get(), size)
    if size[0] == "dim":
        return dims[size[1]]
    return SIZE_OPS[size[0]](_computed(size[1], dims), _computed(size[2], dims))
