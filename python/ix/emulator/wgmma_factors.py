"""The factors of a wgmma: descriptors of shared memory, registers, and metadata."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from ix.emulator.access import Access, gather
from ix.emulator.batch import WARP, Active, Array, Batch
from ix.emulator.descriptors import (
    CHUNK,
    DescriptorError,
    matrix_of_chunks,
    parse_descriptor,
)
from ix.emulator.element_types import ELEMENT_TYPES
from ix.emulator.fragments import (
    SparsityError,
    a_matrix,
    check_chunks,
    metadata_chunks,
)
from ix.emulator.kernel_code import KernelCode, Reader
from ix.emulator.syntax import Immediate, Instruction, Operand, Vector
from ix.emulator.tensor_errors import MatrixDescriptorError, SparseMetadataError
from ix.emulator.wgmma_queue import WARPGROUP, WgmmaQueue

__all__ = [
    "Factor",
    "WgmmaForm",
    "WgmmaModes",
    "factor_a",
    "shared_factor",
    "sparsity_of",
]


@dataclass(frozen=True, slots=True)
class WgmmaForm:
    """Shape and types of an mma_async; `k` of the whole A of a sparse product."""

    n: int
    k: int
    d: str
    a: str
    b: str
    is_sparse: bool

    @property
    def bits(self) -> int:
        """Bits of an element of A."""
        return ELEMENT_TYPES[self.a].bits

    @property
    def stored_depth(self) -> int:
        """Columns of A that are stored."""
        return self.k // 2 if self.is_sparse else self.k


@dataclass(frozen=True, slots=True)
class WgmmaModes:
    """Signs of the factors, and which of them are stored MN-major."""

    sign: float = 1.0
    transposed_a: bool = False
    transposed_b: bool = False


# What loads a factor's codes, for each of the active warpgroups.
Factor = Callable[[Batch, Active], list[Callable[[], Array]]]


def factor_a(
    kernel: KernelCode, operand: Operand, form: WgmmaForm, modes: WgmmaModes
) -> Factor:
    """Compiles A: a descriptor, or registers."""
    if not isinstance(operand, Vector):
        shape = (64, form.stored_depth)
        return shared_factor(kernel, operand, shape, form.a, modes.transposed_a)
    readers = kernel.readers(operand, "b32")

    def load(batch: Batch, active: Active) -> list[Callable[[], Array]]:
        stacked = np.stack([active.select(read(batch)) for read in readers], -1)
        by_warp = a_matrix(stacked.reshape(-1, WARP, len(readers)), form.bits)
        matrices = by_warp.reshape(-1, 64, form.stored_depth)
        return [partial(_same, matrix) for matrix in matrices]

    return load


def _same(matrix: Array) -> Array:
    return matrix


@dataclass(frozen=True, slots=True)
class SharedFactor:
    """Loads a factor from shared memory.

    Attributes:
        read: Reads its descriptor.
        rows: M of A or N of B.
        depth: Columns that are stored.
        element_bytes: 1, 2 or 4.
        transposed: Whether it is stored MN-major.
    """

    read: Reader
    rows: int
    depth: int
    element_bytes: int
    transposed: bool

    def __call__(self, batch: Batch, active: Active) -> list[Callable[[], Array]]:
        """What gives the codes `[rows, depth]`, for each of the active warpgroups."""
        values = active.select(self.read(batch)).reshape(-1, WARPGROUP)
        loaders: list[Callable[[], Array]] = []
        for lanes, first in zip(values, active.lanes[::WARPGROUP], strict=True):
            if (lanes != lanes[0]).any():
                raise batch.error(
                    MatrixDescriptorError,
                    "needs one descriptor in all threads of a warpgroup, but they "
                    "differ; compute it from uniform values",
                    int(first),
                )
            access, index = self._piece(batch, int(first), int(lanes[0]))
            _note_read(batch, int(first), access, index)
            loaders.append(partial(self._codes, batch, access, index))
        return loaders

    def _piece(self, batch: Batch, first: int, bits: int) -> tuple[Access, Array]:
        """Where the chunks lie that a descriptor stands for."""
        # A ring of stages uses the same few descriptors over and over.
        pieces = batch.extensions.setdefault("wgmma_pieces", {})
        shape = (self.rows, self.depth, self.element_bytes, self.transposed)
        key = (first, bits, *shape)
        found: tuple[Access, Array] | None = pieces.get(key)
        if found is None:
            try:
                chunks = parse_descriptor(bits).chunks(*shape)
            except DescriptorError as error:
                raise batch.error(MatrixDescriptorError, str(error), first) from None
            found = pieces[key] = _locate(batch, first, chunks)
        return found

    def _codes(self, batch: Batch, access: Access, index: Array) -> Array:
        batch.memory.require_written(access, index)
        found = gather(batch.memory.shared, index, CHUNK).view(np.uint8)
        return matrix_of_chunks(
            found.reshape(-1, CHUNK),
            self.rows,
            self.depth,
            self.element_bytes,
            self.transposed,
        )


def shared_factor(
    kernel: KernelCode,
    operand: Operand,
    shape: tuple[int, int],
    type_name: str,
    transposed: bool,
) -> Factor:
    """Compiles a factor in shared memory, of a shape (rows, columns)."""
    size = ELEMENT_TYPES[type_name].bits // 8
    return SharedFactor(kernel.reader(operand, "b64"), *shape, size, transposed)


def _locate(batch: Batch, first: int, chunks: Array) -> tuple[Access, Array]:
    """Where the chunks of a matrix lie in the batch's shared memory.

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
    access.is_collective = True
    _, index = memory.locate(access)
    return access, index


def _note_read(batch: Batch, first: int, access: Access, index: Array) -> None:
    """Checks what a warpgroup may read from now on, and notes that it does."""
    batch.memory.require_written(access, index)
    if batch.race.enabled:
        group = WgmmaQueue.of(batch).warpgroups[first // WARPGROUP].committed
        batch.race.issue_mma(access, index, group)


def sparsity_of(
    instruction: Instruction,
    kernel: KernelCode,
    form: WgmmaForm,
    operands: list[Operand],
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
            check_chunks(chunks, form.bits)
        except SparsityError as error:
            raise batch.error(
                SparseMetadataError, str(error), active.lanes[0]
            ) from None
        return chunks.reshape(-1, 64, chunks.shape[-1])

    return load
