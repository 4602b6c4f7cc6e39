"""mma.sync, dense and sparse: one matrix product for each warp.

    mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32  d, a, b, c
    mma.sp::ordered_metadata.sync.aligned....            d, a, b, c, metadata, selector

Registers never change in place, so the matrices that they hold are kept as long as the
registers are: a fragment of A that meets eight of B is decoded once.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from ix.emulator.batch import WARP, Active, Array, Batch
from ix.emulator.element_types import ELEMENT_TYPES, decode
from ix.emulator.fragments import (
    SparsityError,
    a_matrix,
    accumulator_matrix,
    accumulator_registers,
    b_matrix,
    expand_sparse,
    metadata_chunks,
)
from ix.emulator.kernel_code import KernelCode, Reader, Writer
from ix.emulator.mma_quads import compile_quads
from ix.emulator.outcome import Step
from ix.emulator.syntax import Immediate, Instruction
from ix.emulator.tensor_errors import SparseMetadataError
from ix.emulator.tensorcore import Operation, fused_sum, multiply_add

__all__ = ["INSTRUCTIONS", "FragmentCache", "operation_of", "sm_of"]

# Factor type → shapes (m, k) with n = 8; of sparse products, k of the whole A.
_DENSE: Final = {
    "f16": ((16, 8), (16, 16)),
    "bf16": ((16, 8), (16, 16)),
    "tf32": ((16, 4), (16, 8)),
    "e4m3": ((16, 16), (16, 32)),
    "e5m2": ((16, 16), (16, 32)),
    "s8": ((8, 16), (16, 16), (16, 32)),
    "u8": ((8, 16), (16, 16), (16, 32)),
    "s4": ((8, 32), (16, 32), (16, 64)),
    "u4": ((8, 32), (16, 32), (16, 64)),
    "b1": ((8, 128), (16, 128), (16, 256)),
    "f64": ((8, 4), (16, 4), (16, 8), (16, 16)),
}
_SPARSE: Final = {
    "f16": ((16, 16), (16, 32)),
    "bf16": ((16, 16), (16, 32)),
    "tf32": ((16, 8), (16, 16)),
    "e4m3": ((16, 64),),
    "e5m2": ((16, 64),),
    "s8": ((16, 32), (16, 64)),
    "u8": ((16, 32), (16, 64)),
}
_CACHED = 256  # matrices


@dataclass(frozen=True, slots=True)
class _Form:
    """Shape and types of an instruction."""

    m: int
    k: int
    a: str
    b: str
    d: str
    is_sparse: bool

    @property
    def bits(self) -> int:
        """Bits of an element of A."""
        return ELEMENT_TYPES[self.a].bits

    @property
    def register_type(self) -> str:
        """The type in which factors are read."""
        return "b64" if self.a == "f64" else "b32"


class FragmentCache:
    """Matrices by the registers that hold them; both are kept alive together."""

    def __init__(self, batch: Batch) -> None:
        self._entries: dict[tuple[int, ...], tuple[object, Array]] = {}

    @staticmethod
    def of(batch: Batch) -> FragmentCache:
        """The cache of a batch."""
        return batch.extension(FragmentCache)

    def get(
        self,
        kind: int,
        active: Active,
        registers: list[Array],
        make: Callable[[Array], Array],
    ) -> Array:
        """The matrix of some registers; `make` decodes them, [warps, 32, R].

        Args:
            kind: Stands for how registers are decoded.
        """
        # Numbers of objects that the entry holds on to are not given out again.
        who = 0 if active.mask is None else id(active)
        key = (kind, who, *map(id, registers))
        found = self._entries.get(key)
        if found is not None:
            return found[1]
        stacked = np.stack([active.select(each) for each in registers], -1)
        matrix = make(stacked.reshape(-1, WARP, len(registers)))
        if len(self._entries) >= _CACHED:
            self._entries.clear()
        self._entries[key] = ((active, registers), matrix)
        return matrix


def sm_of(kernel: KernelCode) -> int:
    """The compute capability that a kernel is written for: 90 of `sm_90a`."""
    digits = re.search(r"\d+", kernel.target)
    return int(digits[0]) if digits else 80


def operation_of(
    kernel: KernelCode, instruction: Instruction, a: str, b: str, d: str
) -> tuple[Operation, Operation]:
    """The arithmetic in fast and in exact mode."""
    bit_operation = next((o for o in ("xor", "and") if instruction.has(o)), "")
    saturate = instruction.has("satfinite")
    fused = fused_sum(sm_of(kernel), instruction.opcode, a, d)
    return (
        Operation(a, b, d, saturate, bit_operation),
        Operation(a, b, d, saturate, bit_operation, fused),
    )


def _form_of(instruction: Instruction, kernel: KernelCode) -> _Form:
    names = [name for name in instruction.modifiers if name in ELEMENT_TYPES]
    shape = next(
        (re.fullmatch(r"m(\d+)n8k(\d+)", name) for name in instruction.modifiers
         if re.fullmatch(r"m\d+n8k\d+", name)),
        None,
    )  # fmt: skip
    if shape is None or len(names) != 4:
        raise kernel.unsupported(instruction, "its shape or types are not known")
    d, a, b, c = names
    form = _Form(
        int(shape[1]),
        int(shape[2]),
        a,
        b,
        d,
        any(name.startswith("sp") for name in instruction.modifiers),
    )
    known = (_SPARSE if form.is_sparse else _DENSE).get(a, ())
    if (form.m, form.k) not in known or c != d:
        raise kernel.unsupported(
            instruction, f"{shape[0]} of {a} into {d} is not among its shapes"
        )
    return form


def compile_mma(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles `mma` and `mma.sp`."""
    if instruction.has("m8n8k4") and not instruction.has("f64"):
        return compile_quads(instruction, kernel)
    form = _form_of(instruction, kernel)
    result, left, right, accumulator = instruction.operands[:4]
    kind = form.register_type
    read_a, read_b = kernel.readers(left, kind), kernel.readers(right, kind)
    packed = form.d == "f16"
    type_d = "b32" if packed else form.d
    read_c = kernel.readers(accumulator, type_d)
    write_d = kernel.writers(result, type_d)
    fast, exact = operation_of(kernel, instruction, form.a, form.b, form.d)
    flops = 2 * form.m * 8 * form.k
    in_registers = form.d == "f32"  # adding there saves turning C into a matrix
    make_a, make_b = _decoders(form)
    load_a = _sparse_reader(instruction, kernel, form) if form.is_sparse else None
    kind_a, kind_b = hash((form, "a")), hash((form, "b"))

    def step(batch: Batch, active: Active) -> None:
        counter, warps = batch.counter, active.warp_count
        counter.add(batch.pc, "tensor_operations", warps)
        counter.add(batch.pc, "tensor_flops", warps * flops)
        cache = FragmentCache.of(batch)
        registers = [read(batch) for read in read_a]
        if load_a is None:
            a = cache.get(kind_a, active, registers, make_a)
        else:
            a = load_a(batch, active, registers)
        b = cache.get(kind_b, active, [read(batch) for read in read_b], make_b)
        if in_registers and not batch.exact:
            _add_product(batch, active, np.matmul(a, b), read_c, write_d)
            return
        c = _accumulator(batch, active, read_c, packed, form.m)
        d = multiply_add(a, b, c, exact if batch.exact else fast)
        _write_accumulator(batch, active, d, packed, write_d)

    return step


def _decoders(
    form: _Form,
) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """What makes factors of registers: A[W, M, K] and B[W, K, 8], decoded."""

    def make_a(registers: Array) -> Array:
        return decode(a_matrix(registers, form.bits, form.m), form.a)

    def make_b(registers: Array) -> Array:
        return decode(b_matrix(registers, form.bits), form.b)

    return make_a, make_b


def _sparse_reader(
    instruction: Instruction, kernel: KernelCode, form: _Form
) -> Callable[[Batch, Active, list[Array]], Array]:
    """What makes A[W, M, K] of its kept half and the metadata."""
    read = kernel.reader(instruction.operands[4], "b32")
    operand = instruction.operands[5]
    if not isinstance(operand, Immediate):
        raise kernel.unsupported(instruction, "its selector is no constant")
    selector = int(operand.value)

    def load(batch: Batch, active: Active, registers: list[Array]) -> Array:
        stacked = np.stack([active.select(each) for each in registers], -1)
        kept = a_matrix(stacked.reshape(-1, WARP, len(registers)), form.bits)
        metadata = active.select(read(batch)).reshape(-1, WARP)
        try:
            chunks = metadata_chunks(metadata, selector, form.k, form.bits)
            return decode(expand_sparse(kept, chunks, form.bits), form.a)
        except SparsityError as error:
            raise batch.error(
                SparseMetadataError, str(error), active.lanes[0]
            ) from None

    return load


def _add_product(
    batch: Batch,
    active: Active,
    product: Array,
    read_c: list[Reader],
    write_d: list[Writer],
) -> None:
    """D = product + C in the registers; see `fragments` for the layout."""
    parts = product.reshape(len(product), -1, 8, 4, 2)
    # All are read before any is written: D may be C's registers in another order.
    results = [
        parts[:, index // 2, :, :, index % 2].reshape(-1) + active.select(read(batch))
        for index, read in enumerate(read_c)
    ]
    for write, values in zip(write_d, results, strict=True):
        write(batch, values, active)


def _accumulator(
    batch: Batch, active: Active, read_c: list[Reader], packed: bool, rows: int
) -> Array:
    """C[W, rows, 8]."""
    stacked = np.stack([active.select(read(batch)) for read in read_c], -1)
    if packed:
        stacked = stacked.view(np.float16)
    return accumulator_matrix(stacked.reshape(-1, WARP, stacked.shape[-1]), rows)


def _write_accumulator(
    batch: Batch, active: Active, d: Array, packed: bool, write_d: list[Writer]
) -> None:
    values = accumulator_registers(d).reshape(active.count, -1)
    if packed:
        values = np.ascontiguousarray(values).view(np.uint32)
    for index, write in enumerate(write_d):
        write(batch, np.ascontiguousarray(values[:, index]), active)


INSTRUCTIONS = {"mma": compile_mma}
