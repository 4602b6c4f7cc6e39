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

from ix.emulator.batch import Active, Array, Batch
from ix.emulator.element_types import ELEMENT_TYPES, decode
from ix.emulator.fragments import (
    expand_sparse,
)
from ix.emulator.kernel_code import KernelCode, Reader
from ix.emulator.mma import operation_of
from ix.emulator.outcome import Step
from ix.emulator.syntax import Immediate, Instruction, Operand, Register, Vector
from ix.emulator.tensorcore import Operation, multiply_add
from ix.emulator.wgmma_factors import (
    Factor,
    WgmmaForm,
    WgmmaModes,
    factor_a,
    shared_factor,
    sparsity_of,
)
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


def _form_of(instruction: Instruction, kernel: KernelCode) -> WgmmaForm:
    names = [name for name in instruction.modifiers if name in ELEMENT_TYPES]
    shapes = [re.fullmatch(r"m64n(\d+)k(\d+)", m) for m in instruction.modifiers]
    shape = next((each for each in shapes if each), None)
    if shape is None or len(names) != 3 or names[0] not in _ACCUMULATORS:
        raise kernel.unsupported(instruction, "its shape or types are not known")
    d, a, b = names
    sparse = any(name.startswith("sp") for name in instruction.modifiers)
    form = WgmmaForm(int(shape[1]), int(shape[2]), d, a, b, sparse)
    if form.stored_depth != _DEPTH.get(a) or form.n % 8 or not 8 <= form.n <= 256:
        raise kernel.unsupported(instruction, f"{shape[0]} of {a} is not among its sh"
                                 "apes")  # fmt: skip
    return form


def _modes_of(
    instruction: Instruction,
    kernel: KernelCode,
    operands: list[Operand],
    a_is_shared: bool,
) -> WgmmaModes:
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
    return WgmmaModes(sign, bool(a), bool(b))


def _accumulator_of(
    kernel: KernelCode, operand: Operand, form: WgmmaForm, instruction: Instruction
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


@dataclass(frozen=True, slots=True)
class _Product:
    """An mma_async, compiled.

    Attributes:
        arithmetic: In fast and in exact mode.
        read_scale: Reads whether D counts (scale-d).
        held: The registers of A.
        sparsity: Reads the chunks of a sparse A.
    """

    form: WgmmaForm
    sign: float
    accumulator: Accumulator
    arithmetic: tuple[Operation, Operation]
    load_a: Factor
    load_b: Factor
    read_scale: Reader
    held: tuple[int, ...]
    sparsity: Callable[[Batch, Active], Array] | None

    def __call__(self, batch: Batch, active: Active) -> None:
        """Issues the product of every active warpgroup."""
        queue, numbers = WgmmaQueue.of(batch), warpgroups_of(active)
        batch.counter.add(batch.pc, "tensor_operations", len(numbers))
        flops = 2 * 64 * self.form.n * self.form.k * len(numbers)
        batch.counter.add(batch.pc, "tensor_flops", flops)
        factors_a, factors_b = self.load_a(batch, active), self.load_b(batch, active)
        scales = active.select(self.read_scale(batch))[::WARPGROUP]
        chunks = None if self.sparsity is None else self.sparsity(batch, active)
        chains = _chains_of(queue, batch, active, self.accumulator, self.held)
        for i, number in enumerate(numbers):
            compute = partial(
                _compute,
                form=self.form,
                operation=self.arithmetic[batch.exact],
                sign=self.sign,
                load_a=factors_a[i],
                load_b=factors_b[i],
                chunks=None if chunks is None else chunks[i],
                accumulates=bool(scales[i]),
            )
            held = {index: batch.registers[index] for index in self.held}
            queue.issue(Pending(batch.pc, number, chains[i], compute, held))
        if batch.completion == "late":
            marks = self.accumulator.poison(batch, active)
            for chain in chains:
                chain.marks = marks
        else:
            _finish_early(queue, numbers)


def _compile_mma(instruction: Instruction, kernel: KernelCode) -> Step:
    form = _form_of(instruction, kernel)
    target, left, right, *rest = instruction.operands
    sparsity = None
    if form.is_sparse:
        sparsity, rest = sparsity_of(instruction, kernel, form, rest), rest[2:]
    elements = left.elements if isinstance(left, Vector) else ()
    held = [kernel.register(e.name) for e in elements if isinstance(e, Register)]
    modes = _modes_of(instruction, kernel, rest[1:], not isinstance(left, Vector))
    return _Product(
        form,
        modes.sign,
        _accumulator_of(kernel, target, form, instruction),
        operation_of(kernel, instruction, form.a, form.b, form.d),
        factor_a(kernel, left, form, modes),
        shared_factor(kernel, right, (form.n, form.k), form.b, modes.transposed_b),
        kernel.reader(rest[0], "pred"),
        tuple(held),
        sparsity,
    )


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
    form: WgmmaForm,
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


INSTRUCTIONS = {"wgmma": compile_wgmma}
