"""@main on one arena, for reading: buffers that kernels are called on.

    func @main(inputs…, outputs…, constants…, arena, scratch, dims…)

Constants are packed as the kernels read them; scratch is what the kernels need beside
their buffers; dims are the declared dimensions. Tensors between kernels are views of
the arena.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ix.mlir import arith, func, ir, memref
from ix.passes.schedule import storage
from ix.passes.schedule.form_kernels import SIZE_OPS, declared_dims, main_of
from ix.passes.schedule.program import HostProgram, Place, Step
from ix.passes.schedule.sources import located_call
from ix.runtime.sizes import Size

__all__ = ["computed", "rebuild_main"]

Call = Callable[[Step, list[Any], list[Any]], None]
"""(step, buffers and scratch, sizes as index values): emits one launch."""


def rebuild_main(
    module: Any,
    program: HostProgram,
    kernel_types: Mapping[str, Sequence[Any]],
    scratch_bytes: int,
    call: Call,
) -> None:
    """Replaces @main, which calls functions on tensors, by one on memory.

    Args:
        module: After ix-form-kernels.
        program: What `host_program` read from it.
        kernel_types: For each kernel function's name, the types that its code takes:
            a memref for each tensor, and one for scratch.
        scratch_bytes: Of all kernels.
        call: Emits the launch of a step.
    """
    main = main_of(module)
    with ir.InsertionPoint(main), main.operation.location:
        _Main(module, main, program, kernel_types, scratch_bytes).build(call)
    main.operation.erase()


def computed(size: Size, dims: Sequence[Any]) -> Any:
    """A size as an index value."""
    if isinstance(size, int):
        return arith.constant(ir.IndexType.get(), size)
    if size[0] == "dim":
        return dims[size[1]]
    return SIZE_OPS[size[0]](computed(size[1], dims), computed(size[2], dims))


class _Main:
    def __init__(
        self,
        module: Any,
        main: Any,
        program: HostProgram,
        kernel_types: Mapping[str, Sequence[Any]],
        scratch_bytes: int,
    ) -> None:
        self.program = program
        self.kernel_types = kernel_types
        byte = ir.IntegerType.get_signless(8)
        outputs = list(main.type.results)
        self.starts = {"input": 0, "output": len(main.arguments)}
        self.starts["constant"] = self.starts["output"] + len(outputs)
        types = [_flat(a.type) for a in main.arguments] + [_flat(t) for t in outputs]
        types += self._constant_types()
        self.arena = len(types)
        types += [ir.MemRefType.get([max(program.arena_bytes, 1)], byte)]
        types += [ir.MemRefType.get([max(scratch_bytes, 1)], byte)]
        self.first_dim = len(types)
        types += [ir.IndexType.get()] * len(declared_dims(module))
        self.function = func.FuncOp("main", (types, []))

    def _constant_types(self) -> list[Any]:
        """As the first kernel that reads each constant takes it."""
        types: dict[int, Any] = {}
        for step in self.program.steps:
            kinds = self.kernel_types[step.callee]
            for place, kind in zip(step.reads, kinds, strict=False):
                if place.kind == "constant":
                    types.setdefault(place.number, kind)
        return [types[number] for number in sorted(types)]

    def build(self, call: Call) -> None:
        block = self.function.add_entry_block()
        with ir.InsertionPoint(block):
            for step in self.program.steps:
                location = located_call(ir.Location.name(step.location), step.sources)
                with location:
                    self._step(step, list(block.arguments), call)
            func.ReturnOp([])

    def _step(self, step: Step, arguments: list[Any], call: Call) -> None:
        kinds = list(self.kernel_types[step.callee])
        places = [*step.reads, *step.writes]
        values = [
            self._buffer(place, kind, arguments)
            for place, kind in zip(places, kinds, strict=False)
        ]
        values.append(_recast(arguments[self.arena + 1], kinds[len(places)]))
        dims = arguments[self.first_dim :]
        call(step, values, [computed(size, dims) for size in step.sizes])

    def _buffer(self, place: Place, kind: Any, arguments: list[Any]) -> Any:
        if place.buffer is None:
            return _recast(arguments[self.starts[place.kind] + place.number], kind)
        offset = arith.constant(ir.IndexType.get(), place.buffer.offset)
        return memref.view(kind, arguments[self.arena], offset, [])


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
