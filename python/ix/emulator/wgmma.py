"""wgmma: asynchronous matrix products of warpgroups (sm_90a).

    wgmma.fence.sync.aligned
    wgmma.mma_async[.sp].sync.aligned.m64nNkK.d.a.b  d, a, b, [metadata, selector,]
                                            scale-d[, scale-a, scale-b[, trans...]]
    wgmma.commit_group.sync.aligned
    wgmma.wait_group.sync.aligned N

A is in shared memory (a descriptor) or in registers; B is in shared memory.

Source: PTX ISA, "Asynchronous Warpgroup Level Matrix Instructions".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from ix.emulator.access import Access, gather
from ix.emulator.batch import WARP, Active, Array, Batch
from ix.emulator.descriptors import (
    CHUNK,
    DescriptorError,
    matrix_of_chunks,
    parse_descriptor,
)
from ix.emulator.element_types import ELEMENT_TYPES, decode
from ix.emulator.fragments import (
    SparsityError,
    a_matrix,
    expand_sparse,
    metadata_chunks,
)
from ix.emulator.kernel_code import KernelCode, Reader
from ix.emulator.mma import operation_of
from ix.emulator.outcome import Step
from ix.emulator.syntax import Immediate, Instruction, Operand, Register, Vector
from ix.emulator.tensor_errors import MatrixDescriptorError, SparseMetadataError
from ix.emulator.tensorcore import Operation, multiply_add
from ix.emulator.wgmma_queue import (
    WARPGROUP,
    Accumulator,
    Chain,
    Pending,
    WgmmaQueue,
    warpgroups_of,
)

__all__ = ["INSTRUCTIONS"]

_DEPTH: Final = {"tf32": 8, "f16": 16, "bf16": 16, "e4m3": 32, "e5m2": 32, "s8": 32,
                 "u8": 32}  # fmt: skip
_ACCUMULATORS: Final[dict[str, np.dtype[Any]]] = {
    "f32": np.dtype(np.float32),
    "f16": np.dtype(np.float16),
    "s32": np.dtype(np.int32),
}


@dataclass(frozen=True, slots=True)
class _Form:
    """Shape and types of an mma_async; `k` of the whole A of a sparse product."""

    n: int
    k: int
    d: str
    a: str
    b: str
    is_sparse: bool

    @property
    def bits(self) -> int:
        return ELEMENT_TYPES[self.a].bits

    @property
    def stored_depth(self) -> int:
        """Columns of A that are stored."""
        return self.k // 2 if self.is_sparse else self.k


@dataclass(frozen=True, slots=True)
class _Modes:
    """Signs of the factors, and which of them are stored MN-major."""

    sign: float = 1.0
    transposed_a: bool = False
    transposed_b: bool = False


def compile_wgmma(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles every instruction of wgmma."""
    what = instruction.modifiers[0]
    if what == "mma_async":
        return _compile_mma(instruction, kernel)
    if what == "fence":
        return lambda batch, active: WgmmaQueue.of(batch).fence(active)
    if what == "commit_group":
        return _commit
    if what == "wait_group":
        return _compile_wait(instruction)
    raise kernel.unsupported(instruction, "its operation is not known")


def _commit(batch: Batch, active: Active) -> None:
    WgmmaQueue.of(batch).commit(active)


def _compile_wait(instruction: Instruction) -> Step:
    operand = instruction.operands[0]
    left = int(operand.value) if isinstance(operand, Immediate) else 0

    def step(batch: Batch, active: Active) -> None:
        queue = WgmmaQueue.of(batch)
        queue.wait(active, left)
        if batch.race.enabled:
            groups = [queue.warpgroups[n].committed for n in warpgroups_of(active)]
            limits = np.repeat(np.array(groups) - left, WARPGROUP)
            batch.race.wait_mma(active.lanes, limits)

    return step


def _form_of(instruction: Instruction, kernel: KernelCode) -> _Form:
    names = [name for name in instruction.modifiers if name in ELEMENT_TYPES]
    shapes = [re.fullmatch(r"m64n(\d+)k(\d+)", m) for m in instruction.modifiers]
    shape = next((each for each in shapes if each), None)
    if shape is None or len(names) != 3 or names[0] not in _ACCUMULATORS:
        raise kernel.unsupported(instruction, "its shape or types are not known")
    d, a, b = names
    sparse = any(name.startswith("sp") for name in instruction.modifiers)
    form = _Form(int(shape[1]), int(shape[2]), d, a, b, sparse)
    if form.stored_depth != _DEPTH.get(a) or form.n % 8 or not 8 <= form.n <= 256:
        raise kernel.unsupported(instruction, f"{shape[0]} of {a} is not among its sh"
                                 "apes")  # fmt: skip
    return form


def _modes_of(
    instruction: Instruction,
    kernel: KernelCode,
    operands: list[Operand],
    a_is_shared: bool,
) -> _Modes:
    values: list[int] = []
    for operand in operands:
        if not isinstance(operand, Immediate):
            raise kernel.unsupported(instruction, "a scale or transpose is no constant")
        values.append(int(operand.value))
    if any(scale not in (1, -1) for scale in values[:2]):
        raise kernel.unsupported(instruction, "a scale is neither 1 nor -1")
    sign = float(np.prod(values[:2])) if values else 1.0
    transposes = values[2:]
    if not a_is_shared:
        transposes = [0, *transposes]
    a, b = (*transposes, 0, 0)[:2]
    return _Modes(sign, bool(a), bool(b))


def _accumulator_of(
    kernel: KernelCode, operand: Operand, form: _Form, instruction: Instruction
) -> Accumulator:
    dtype = _ACCUMULATORS[form.d]
    elements = operand.elements if isinstance(operand, Vector) else (operand,)
    count = form.n * 64 // WARPGROUP * dtype.itemsize // 4
    if len(elements) != count or not all(isinstance(e, Register) for e in elements):
        raise kernel.unsupported(
            instruction, f"its accumulator has {len(elements)} of {count} registers"
        )
    names = [e.name for e in elements if isinstance(e, Register)]
    return Accumulator(
        tuple(kernel.register(name) for name in names),
        kernel.readers(operand, "b32"),
        kernel.writers(operand, "b32"),
        dtype,
    )


def _compile_mma(instruction: Instruction, kernel: KernelCode) -> Step:
    form = _form_of(instruction, kernel)
    target, left, right, *rest = instruction.operands
    accumulator = _accumulator_of(kernel, target, form, instruction)
    sparsity = None
    if form.is_sparse:
        sparsity, rest = _sparsity_of(instruction, kernel, form, rest), rest[2:]
    read_scale = kernel.reader(rest[0], "pred")
    a_is_shared = not isinstance(left, Vector)
    modes = _modes_of(instruction, kernel, rest[1:], a_is_shared)
    arithmetic = operation_of(kernel, instruction, form.a, form.b, form.d)
    load_a = _factor_a(kernel, left, form, modes)
    load_b = _shared_factor(kernel, right, form.n, form.k, form.b, modes.transposed_b)
    held = (
        ()
        if a_is_shared
        else tuple(
            kernel.register(e.name)
            for e in (left.elements if isinstance(left, Vector) else ())
            if isinstance(e, Register)
        )
    )

    def step(batch: Batch, active: Active) -> None:
        queue = WgmmaQueue.of(batch)
        numbers = warpgroups_of(active)
        batch.counter.add(batch.pc, "tensor_operations", len(numbers))
        flops = 2 * 64 * form.n * form.k * len(numbers)
        batch.counter.add(batch.pc, "tensor_flops", flops)
        codes_a, codes_b = load_a(batch, active), load_b(batch, active)
        scales = active.select(read_scale(batch))[::WARPGROUP]
        chunks = None if sparsity is None else sparsity(batch, active)
        chains = _chains_of(queue, batch, active, accumulator, held)
        for i, number in enumerate(numbers):
            compute = partial(
                _compute,
                form=form,
                operation=arithmetic[batch.exact],
                sign=modes.sign,
                load_a=codes_a[i],
                load_b=codes_b[i],
                chunks=None if chunks is None else chunks[i],
                accumulates=bool(scales[i]),
            )
            queue.issue(number, Pending(batch.pc, chains[i], compute))
        if batch.completion == "late":
            marks = accumulator.poison(batch, active)
            for chain in chains:
                chain.marks = marks
        else:
            _finish_early(queue, numbers)

    return step


def _finish_early(queue: WgmmaQueue, numbers: list[int]) -> None:
    """Computes what has just been issued; the groups stay, empty."""
    for number in numbers:
        for operation in queue.warpgroups[number].open:
            queue.run(operation)
        queue.warpgroups[number].open.clear()
    queue.write_finished(numbers)


def _chains_of(
    queue: WgmmaQueue,
    batch: Batch,
    active: Active,
    accumulator: Accumulator,
    held: tuple[int, ...],
) -> list[Chain]:
    """The chain of each warpgroup; new ones begin with what the registers hold."""
    numbers = warpgroups_of(active)
    found = [queue.chain(number, accumulator) for number in numbers]
    new: Array | None = None
    for i, number in enumerate(numbers):
        queue.check_fenced(number, held)
        chain = found[i]
        if chain is not None:
            queue.check_poisoned(number, chain)
        else:
            queue.check_fenced(number, accumulator.registers)
            if new is None:
                new = accumulator.load(batch, active)
            found[i] = Chain(accumulator, new[i])
    return [chain for chain in found if chain is not None]


def _compute(
    old: Array,
    *,
    form: _Form,
    operation: Operation,
    sign: float,
    load_a: Callable[[], Array],
    load_b: Callable[[], Array],
    chunks: Array | None,
    accumulates: bool,
) -> Array:
    """D[64, N] = sign · A · B (+ D)."""
    codes = load_a()
    if chunks is not None:
        codes = expand_sparse(codes, chunks, form.bits)
    a, b = decode(codes, form.a), decode(load_b(), form.b)
    if sign < 0:
        a = -a
    c = old if accumulates else np.zeros_like(old)
    return multiply_add(a, b.T, c, operation)


# What loads a factor's codes, for each of the active warpgroups.
_Factor = Callable[[Batch, Active], list[Callable[[], Array]]]


def _factor_a(
    kernel: KernelCode, operand: Operand, form: _Form, modes: _Modes
) -> _Factor:
    if not isinstance(operand, Vector):
        depth, transposed = form.stored_depth, modes.transposed_a
        return _shared_factor(kernel, operand, 64, depth, form.a, transposed)
    readers = kernel.readers(operand, "b32")

    def load(batch: Batch, active: Active) -> list[Callable[[], Array]]:
        stacked = np.stack([active.select(read(batch)) for read in readers], -1)
        by_warp = a_matrix(stacked.reshape(-1, WARP, len(readers)), form.bits)
        matrices = by_warp.reshape(-1, 64, form.stored_depth)
        return [partial(_same, matrix) for matrix in matrices]

    return load


def _same(matrix: Array) -> Array:
    return matrix


def _shared_factor(
    kernel: KernelCode,
    operand: Operand,
    rows: int,
    depth: int,
    type_name: str,
    transposed: bool,
) -> _Factor:
    read = kernel.reader(operand, "b64")
    size = ELEMENT_TYPES[type_name].bits // 8

    def load(batch: Batch, active: Active) -> list[Callable[[], Array]]:
        values = active.select(read(batch)).reshape(-1, WARPGROUP)
        return [
            _prepare(batch, first, int(value[0]), (value == value[0]).all())
            for value, first in zip(values, active.lanes[::WARPGROUP], strict=True)
        ]

    def _prepare(
        batch: Batch, first: int, value: int, is_uniform: bool
    ) -> Callable[[], Array]:
        if not is_uniform:
            raise batch.error(
                MatrixDescriptorError,
                "needs one descriptor in all threads of a warpgroup, but they differ; "
                "compute it from uniform values",
                first,
            )
        try:
            chunks = parse_descriptor(value).chunks(rows, depth, size, transposed)
        except DescriptorError as error:
            raise batch.error(MatrixDescriptorError, str(error), first) from None
        access, index = _locate(batch, first, chunks)

        def matrix() -> Array:
            batch.memory.require_written(access, index)
            found = gather(batch.memory.shared, index, CHUNK).view(np.uint8)
            found = found.reshape(-1, CHUNK)
            return matrix_of_chunks(found, rows, depth, size, transposed)

        return matrix

    return load


def _locate(batch: Batch, first: int, chunks: Array) -> tuple[Access, Array]:
    """Checks chunks that a warpgroup may read from now on, and notes that it does.

    Args:
        first: The first thread of the warpgroup.
        chunks: Shared addresses of its CTA.
    """
    memory, count = batch.memory, len(chunks)
    access = memory.access(
        "shared",
        "read",
        chunks.astype(np.uint64),
        CHUNK,
        np.full(count, first),
        np.full(count, batch.cta[first]),
    )
    _, index = memory.locate(access)
    memory.require_written(access, index)
    if batch.race.enabled:
        group = WgmmaQueue.of(batch).warpgroups[first // WARPGROUP].committed
        batch.race.issue_mma(access, index, group)
    return access, index


def _sparsity_of(
    instruction: Instruction, kernel: KernelCode, form: _Form, operands: list[Operand]
) -> Callable[[Batch, Active], Array]:
    """What reads the metadata, `[warpgroups, 64, chunks]`."""
    read: Reader = kernel.reader(operands[0], "b32")
    operand = operands[1]
    if not isinstance(operand, Immediate):
        raise kernel.unsupported(instruction, "its selector is no constant")
    selector = int(operand.value)

    def load(batch: Batch, active: Active) -> Array:
        metadata = active.select(read(batch)).reshape(-1, WARP)
        try:
            chunks = metadata_chunks(metadata, selector, form.k, form.bits)
        except SparsityError as error:
            raise batch.error(
                SparseMetadataError, str(error), active.lanes[0]
            ) from None
        return chunks.reshape(-1, 64, chunks.shape[-1])

    return load


INSTRUCTIONS = {"wgmma": compile_wgmma}
