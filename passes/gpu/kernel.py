"""A GPU kernel around the code of one thread.

A rule is `apply(kernel: Kernel, target: Target) -> GpuCode | None`; None says that the
rule does not apply, and `Kernel.needs` notes why where that is worth telling. It calls
`build_kernel`, whose callback emits what one thread does:

    gpu.func @kernel(buffers…, scratch, sizes…)      buffers: inputs, then outputs

Grids have one axis. Indices are 32 bits wide wherever every tensor allows it, since
GPUs divide and multiply 64-bit integers in many instructions.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ix.mlir import DYNAMIC, arith, gpu, ir, memref, scf
from ix.passes.schedule import storage
from ix.passes.schedule.elemental import Elemental
from ix.passes.schedule.kernel import (
    Kernel,
    Packing,
    SizeEmitter,
    argument_type,
    buffer_of,
)
from ix.runtime.sizes import Size, product
from ix.target import Target

__all__ = [
    "KERNELS",
    "STATIC_SHARED",
    "GpuCode",
    "GpuFrame",
    "build_kernel",
    "index_bits",
    "open_kernel",
    "shared_room",
]

KERNELS = "kernels"
"""Name of the gpu.module that holds a kernel."""

KERNEL = "kernel"
"""Name of a kernel's function before it is named after its text."""

SMALL_BLOCK = 64
"""Threads of blocks of which a multiprocessor may not hold many: 32 of its warps."""

SMALL_ARRAYS = 4 << 10
"""Bytes of shared memory that are left for partial results."""

STATIC_SHARED = 48 << 10
"""Bytes of shared memory that arrays declared in a kernel have at most.
Source: CUDA Programming Guide, "Shared Memory" of each compute capability."""

ALIGNMENT = 16
"""Every buffer starts at a multiple of so many bytes: the widest access of a thread."""


@dataclass(frozen=True)
class GpuCode:
    """The code of one kernel, and how to launch it.

    module: Holds gpu.module @kernels with gpu.func @kernel.
    family: The rule's name.
    blocks: Blocks of the grid.
    threads: Threads of a block.
    scratch_bytes: Global memory that all blocks together need beside the buffers.
    dynamic_shared_bytes: Shared memory of a block beside the arrays that are declared.
    flops: Arithmetic of one launch at the upper bounds.
    packings: Layouts of constant inputs, by their number.
    in_place: The one output may lie where an input of its size lay.
    """

    module: Any
    family: str
    blocks: Size
    threads: int
    scratch_bytes: int = 0
    dynamic_shared_bytes: int = 0
    flops: int = 0
    packings: dict[int, Packing] = field(default_factory=dict)
    in_place: bool = False


@dataclass
class GpuFrame:
    """What a rule's callback emits with: the code of one thread.

    inputs, outputs: Buffers, memrefs of the tensors' shapes in storage types.
    scratch: memref of bytes in global memory, of all blocks.
    sizes: Values of the kernel's size arguments.
    block, thread: Numbers of the block in the grid, and of the thread in its block.
    elemental: Computes elements of the kernel's tensors; inputs are bound.
    body: The gpu.module's block, for shared memory.
    arguments: The kernel's arguments for inputs, then outputs.
    """

    kernel: Kernel
    inputs: list[Any]
    outputs: list[Any]
    scratch: Any
    sizes: list[Any]
    block: Any
    thread: Any
    elemental: Elemental
    body: Any
    arguments: list[Any]

    @staticmethod
    def of(
        kernel: Kernel,
        arguments: Sequence[Any],
        scratch: Any,
        sizes: list[Any],
        ids: tuple[Any, Any],
        lanes: int,
        body: Any,
    ) -> GpuFrame:
        """A frame whose buffers are these arguments; ids: the block and the thread."""
        emitter = SizeEmitter(sizes)
        elemental = Elemental(kernel.sizes, emitter, lanes, aligned=ALIGNMENT)
        emitter.math = elemental.math
        tensors = [*kernel.inputs, *kernel.outputs]
        buffers = [
            buffer_of(argument, value, kernel, elemental)
            for argument, value in zip(arguments, tensors, strict=True)
        ]
        inputs, outputs = buffers[: len(kernel.inputs)], buffers[len(kernel.inputs) :]
        for value, buffer in zip(kernel.inputs, inputs, strict=True):
            elemental.bind_buffer(value, buffer)
        return GpuFrame(
            kernel,
            inputs,
            outputs,
            scratch,
            sizes,
            *ids,
            elemental,
            body,
            list(arguments),
        )

    def part(
        self, kernel: Kernel, buffers: Sequence[Any], lanes: int | None = None
    ) -> GpuFrame:
        """A frame for a part of this kernel, on some of its arguments."""
        return GpuFrame.of(
            kernel,
            buffers,
            self.scratch,
            self.sizes,
            (self.block, self.thread),
            lanes or self.elemental.math.lanes,
            self.body,
        )

    @property
    def math(self) -> Any:
        """Index arithmetic."""
        return self.elemental.math

    @contextlib.contextmanager
    def when(self, condition: Any) -> Iterator[None]:
        """What is emitted within runs where the condition holds."""
        branch = scf.IfOp(condition)
        with ir.InsertionPoint(branch.then_block), self.elemental.scope():
            yield
            scf.YieldOp([])

    def shared(self, name: str, shape: Sequence[int], element: Any) -> Any:
        """An array in the block's shared memory, 16-byte aligned; not initialised."""
        space = ir.Attribute.parse("#gpu.address_space<workgroup>")
        kind = ir.MemRefType.get(list(shape), element, memory_space=space)
        with ir.InsertionPoint.at_block_begin(self.body):
            memref.GlobalOp(
                name,
                ir.TypeAttr.get(kind),
                sym_visibility=ir.StringAttr.get("private"),
                initial_value=ir.UnitAttr.get(),
                alignment=ir.IntegerAttr.get(ir.IntegerType.get_signless(64), 16),
            )
        return memref.get_global(kind, name)

    def dynamic_shared(self, offset: int, shape: Sequence[int], element: Any) -> Any:
        """An array in the shared memory that a launch asks for, from a byte on."""
        space = ir.Attribute.parse("#gpu.address_space<workgroup>")
        kind = ir.MemRefType.get(list(shape), element, memory_space=space)
        byte = ir.IntegerType.get_signless(8)
        whole = ir.MemRefType.get([DYNAMIC], byte, memory_space=space)
        memory = gpu.dynamic_shared_memory(whole)
        return memref.view(kind, memory, self.math.value(offset), [])


def shared_room(target: Target) -> int:
    """Bytes of shared memory that one block can ask for, beside small arrays."""
    return target.shared_bytes - SMALL_ARRAYS


def index_bits(kernel: Kernel, *counts: Size) -> int:
    """32 where every index of the kernel fits, positions in a tensor included."""
    tensors = [*kernel.inputs, *kernel.outputs]
    tensors += [
        r
        for op in kernel.ops
        for r in op.operation.results
        if isinstance(r.type, ir.RankedTensorType)
    ]
    sizes = [product(kernel.shape(value)) for value in tensors]
    most = max((kernel.most(size) for size in [*sizes, *counts]), default=0)
    # A last, partial block and vectors run past the end.
    return 32 if most < (1 << 31) - (1 << 16) else 64


def open_kernel(
    kernel: Kernel,
    threads: int,
    scratch_bytes: int,
    bits: int,
    few_blocks: bool = False,
) -> tuple[Any, Any, Any]:
    """A module with an empty kernel: (module, gpu.module's block, gpu.func).

    Args:
        few_blocks: A thread may take registers that leave room for few blocks.
    """
    module = ir.Module.create(kernel.function.operation.location)
    module.operation.attributes["gpu.container_module"] = ir.UnitAttr.get()
    tensors = [*kernel.inputs, *kernel.outputs]
    byte = ir.IntegerType.get_signless(8)
    types = [argument_type(v, kernel) for v in tensors]
    types.append(ir.MemRefType.get([max(scratch_bytes, 1)], byte))
    types += [ir.IntegerType.get_signless(64)] * len(kernel.ranges)
    with ir.InsertionPoint(module.body):
        holder = gpu.GPUModuleOp(ir.StringAttr.get(KERNELS))
        holder.operation.attributes["ix.index_bits"] = ir.IntegerAttr.get(
            ir.IntegerType.get_signless(64), bits
        )
        # MLIR would align i64 to 4 bytes, and an access would fall into two.
        holder.operation.attributes["dlti.dl_spec"] = ir.Attribute.parse(
            "#dlti.dl_spec<i64 = dense<64> : vector<2xi64>>"
        )
        body = holder.regions[0].blocks.append()
    with ir.InsertionPoint(body):
        function = gpu.GPUFuncOp(
            ir.FunctionType.get(types, []),
            KERNEL,
            arg_attrs=_argument_attributes(types, len(kernel.inputs), len(tensors)),
            kernel=True,
            known_block_size=[threads, 1, 1],
        )
    if few_blocks or threads <= SMALL_BLOCK:
        # One block at least: ptxas would rather spill a little than hold fewer.
        i32 = ir.IntegerType.get_signless(32)
        one = ir.IntegerAttr.get(i32, 1)
        function.operation.attributes["nvvm.minctasm"] = one
    return module, body, function


def _argument_attributes(
    types: list[Any], inputs: int, tensors: int
) -> list[dict[str, Any]]:
    """Buffers do not overlap, but inputs that are the same memory, read only.

    Their alignment is said at the accesses that need it: LLVM would widen loads up to
    it, past the end of a tensor.
    """
    unit = ir.UnitAttr.get()
    entries = []
    for number in range(len(types)):
        entry: dict[str, Any] = {}
        if number <= tensors:
            entry["llvm.noalias"] = unit
        if number < inputs:
            entry["llvm.readonly"] = unit
        entries.append(entry)
    return entries


def build_kernel(
    kernel: Kernel,
    emit: Callable[[GpuFrame], None],
    *,
    family: str,
    blocks: Size,
    threads: int,
    lanes: int = 1,
    scratch_bytes: int = 0,
    dynamic_shared_bytes: int = 0,
    flops: int = 0,
    in_place: bool = False,
    few_blocks: bool = False,
) -> GpuCode:
    """Builds @kernel around what `emit` emits for one thread.

    Args:
        lanes: Elements of the vectors that a thread loads and stores.
        dynamic_shared_bytes: What `GpuFrame.dynamic_shared` may use.
        few_blocks: See `open_kernel`.
    """
    with kernel.location:
        bits = index_bits(kernel, blocks)
        module, body, function = open_kernel(
            kernel, threads, scratch_bytes, bits, few_blocks
        )
        index = ir.IndexType.get()
        count = len(kernel.inputs) + len(kernel.outputs)
        with ir.InsertionPoint(function.add_entry_block()):
            arguments = list(function.entry_block.arguments)
            sizes = [arith.index_cast(index, a) for a in arguments[count + 1 :]]
            ids = gpu.block_id(gpu.Dimension.x), gpu.thread_id(gpu.Dimension.x)
            frame = GpuFrame.of(
                kernel, arguments[:count], arguments[count], sizes, ids, lanes, body
            )
            emit(frame)
            gpu.ReturnOp([])
    return GpuCode(
        module,
        family,
        blocks,
        threads,
        scratch_bytes,
        dynamic_shared_bytes,
        flops,
        in_place=in_place,
    )


def element_bits(value: Any) -> int:
    """Bits of a tensor's element in memory."""
    return 8 * storage.element_bytes(value.type.element_type)
