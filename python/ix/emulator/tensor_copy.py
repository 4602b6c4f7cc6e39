"""cp.async.bulk.tensor and cp.reduce.async.bulk.tensor: tiles through a tensor map.

A tile lies packed in shared memory, innermost dimension first, its chunks of 16 bytes
moved by the map's swizzle. Elements out of bounds are filled when loaded and skipped
when stored; an mbarrier counts the whole tile in any case.

Source: PTX ISA, "Data Movement and Conversion Instructions: Tensor copy".
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from ix.emulator.batch import Active, Array, Batch
from ix.emulator.bulk_queue import CHUNK, BulkQueue, SharedPiece
from ix.emulator.bulk_reduce import reduce_bytes
from ix.emulator.bulk_transfer import copy_to_ctas, one, owner, write_global
from ix.emulator.descriptors import swizzle
from ix.emulator.errors import MisalignedError
from ix.emulator.kernel_code import KernelCode, Reader
from ix.emulator.outcome import Step
from ix.emulator.ptx_types import STORAGE
from ix.emulator.syntax import Address, Instruction, Operand
from ix.emulator.tensor_errors import TensorMapError
from ix.errors import InputError
from ix.runtime.tensor_map import SIZE, TensorMap

__all__ = ["compile_tensor_copy", "compile_tensor_prefetch", "compile_tensor_reduce"]

_MAP_ALIGN = 64  # bytes
_TILE_ALIGN = 128  # bytes of shared memory
_REDUCTIONS = ("add", "min", "max", "and", "or", "xor", "inc", "dec")


@dataclass(frozen=True, slots=True)
class _Tile:
    """The units of a tile, in the order of shared memory.

    addresses:  uint64, of each unit in global memory
    inside:     which units are in bounds
    unit:       bytes of a unit: 16, or an element where bounds may cut a chunk
    """

    addresses: Array
    inside: Array
    unit: int


def tile_of(tensor: TensorMap, coordinates: tuple[int, ...]) -> _Tile:
    """Where the elements of a tile lie.

    Args:
        coordinates: Of its first element, innermost first; may be out of bounds.
    """
    size = tensor.element_bytes
    inner, first = tensor.tile[0] * size, coordinates[0] * size
    bound = tensor.dims[0] * size
    unit = size if inner % CHUNK or first % CHUNK or bound % CHUNK else CHUNK
    offsets = first + np.arange(0, inner, unit, dtype=np.int64)
    inside = (offsets >= 0) & (offsets < bound)
    address = np.int64(tensor.address) + offsets
    for axis in range(1, tensor.rank):
        step = tensor.element_strides[axis]
        index = coordinates[axis] + step * np.arange(tensor.tile[axis], dtype=np.int64)
        ok = (index >= 0) & (index < tensor.dims[axis])
        stride = tensor.strides[axis - 1]
        address = (index * stride)[:, None] + address.reshape(1, -1)
        inside = ok[:, None] & inside.reshape(1, -1)
    return _Tile(address.reshape(-1).view(np.uint64), inside.reshape(-1), unit)


@functools.lru_cache(256)
def _decode(data: bytes) -> TensorMap:
    return TensorMap.from_bytes(data)


def _read_map(batch: Batch, address: int, thread: int, rank: int) -> TensorMap:
    """The tensor map at an address, checked against the instruction.

    Raises:
        MisalignedError: Its address is no multiple of 64.
        TensorMapError: It is no map, or one of another rank.
    """
    if address % _MAP_ALIGN:
        raise batch.error(
            MisalignedError,
            f"needs a tensor map at a multiple of {_MAP_ALIGN} bytes, but it is at "
            f"{address:#x}; align the parameter",
            thread,
        )
    words = np.uint64(address) + np.arange(0, SIZE, 8, dtype=np.uint64)
    data = batch.memory.load(
        "global", words, np.uint64, 1, np.full(len(words), thread), counted=False
    )
    try:
        tensor = _decode(data.tobytes())
    except InputError as error:
        message = str(error).removeprefix("'tensor map' ")
        raise batch.error(TensorMapError, message, thread) from None
    if tensor.rank != rank:
        raise batch.error(
            TensorMapError,
            f"needs a tensor map of {rank} dimensions, but it has {tensor.rank}; use "
            f".{tensor.rank}d",
            thread,
        )
    if tensor.interleave:
        raise batch.error(
            TensorMapError,
            "needs a map without interleaving, but it has "
            f"{tensor.interleave} bytes; interleaved layouts are not emulated",
            thread,
        )
    return tensor


@dataclass(frozen=True, slots=True)
class _Source:
    """Reads the tensor map and the coordinates of an operand `[map, {c0, c1, ...}]`."""

    address: Reader
    coordinates: tuple[Reader, ...]

    @classmethod
    def of(
        cls, instruction: Instruction, kernel: KernelCode, operand: Operand
    ) -> _Source:
        if instruction.has("im2col", "im2col::w", "tile::gather4", "tile::scatter4"):
            raise kernel.unsupported(instruction, "only tiles are emulated")
        assert isinstance(operand, Address)
        readers = tuple(kernel.reader(each, "s32") for each in operand.coordinates)
        if not instruction.has(f"{len(readers)}d"):
            raise kernel.unsupported(
                instruction, f"it has {len(readers)} coordinates for its dimensions"
            )
        return cls(kernel.address(Address(operand.base, operand.offset)), readers)

    def read(
        self, batch: Batch, active: Active, index: int, thread: int
    ) -> tuple[TensorMap, tuple[int, ...]]:
        """Map and coordinates of one of the active threads."""
        place = tuple(one(batch, active, each, index) for each in self.coordinates)
        address = one(batch, active, self.address, index)
        return _read_map(batch, address, thread, len(place)), place


def _places(batch: Batch, thread: int, tensor: TensorMap, address: int) -> Array:
    """Shared (cluster) addresses of a tile's chunks, int64.

    Raises:
        MisalignedError: The tile does not begin at a multiple of 128 bytes.
    """
    if address % _TILE_ALIGN:
        raise batch.error(
            MisalignedError,
            f"needs a tile at a multiple of {_TILE_ALIGN} bytes of shared memory, but "
            f"it is at {address:#x}; align the buffer",
            thread,
        )
    linear = address + np.arange(0, tensor.tile_bytes, CHUNK, dtype=np.int64)
    return swizzle(linear, tensor.swizzle)


def compile_tensor_copy(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles a load to shared memory, or a store from it."""
    if instruction.has("bulk_group"):
        return _compile_store(instruction, kernel, None)
    return _compile_load(instruction, kernel)


def compile_tensor_reduce(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles a reduction of a tile in shared memory into global memory."""
    operation = next((o for o in _REDUCTIONS if instruction.has(o)), None)
    if operation is None:
        raise kernel.unsupported(instruction, "its reduction is not known")
    return _compile_store(instruction, kernel, operation)


def compile_tensor_prefetch(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles a prefetch of a tile: checks its map, changes nothing."""
    source = _Source.of(instruction, kernel, instruction.operands[0])

    def step(batch: Batch, active: Active) -> None:
        for i, thread in enumerate(active.lanes.tolist()):
            source.read(batch, active, i, thread)

    return step


def _compile_load(instruction: Instruction, kernel: KernelCode) -> Step:
    target, origin, barrier, *rest = instruction.operands
    source = _Source.of(instruction, kernel, origin)
    read_target, read_barrier = kernel.address(target), kernel.address(barrier)
    is_multicast = instruction.has("multicast::cluster")
    mask = kernel.reader(rest[0], "u16") if is_multicast else None

    def step(batch: Batch, active: Active) -> None:
        for i, thread in enumerate(active.lanes.tolist()):
            tensor, place = source.read(batch, active, i, thread)
            to = one(batch, active, read_target, i)
            copy_to_ctas(
                batch,
                thread,
                _places(batch, thread, tensor, to),
                to,
                one(batch, active, read_barrier, i),
                None if mask is None else one(batch, active, mask, i),
                _load_tile(batch, tensor, place, thread),
            )

    return step


def _load_tile(
    batch: Batch, tensor: TensorMap, place: tuple[int, ...], thread: int
) -> Array:
    """The bytes of a tile, (chunks, 16), filled where it is out of bounds."""
    tile = tile_of(tensor, place)
    kind = STORAGE[min(tile.unit, 8)]
    count = tile.unit // kind.itemsize
    if tile.inside.all():
        threads = np.full(len(tile.addresses), thread)
        found = batch.memory.load("global", tile.addresses, kind, count, threads)
        return found.view(np.uint8).reshape(-1, CHUNK)
    values = np.zeros((len(tile.addresses), tile.unit), np.uint8)
    if tensor.fill == "nan":
        values[:] = _nan_bytes(tensor, tile.unit)
    inside = tile.addresses[tile.inside]
    if len(inside):
        threads = np.full(len(inside), thread)
        found = batch.memory.load("global", inside, kind, count, threads)
        values[tile.inside] = found.view(np.uint8).reshape(-1, tile.unit)
    return values.reshape(-1, CHUNK)


def _nan_bytes(tensor: TensorMap, unit: int) -> Array:
    """A NaN of the map's type, over and over."""
    size = tensor.element_bytes
    code = {2: 0x7FFF, 4: 0x7FFFFFFF, 8: 0x7FFFFFFF_FFFFFFFF}[size]
    return np.frombuffer(code.to_bytes(size, "little") * (unit // size), np.uint8)


def _compile_store(
    instruction: Instruction, kernel: KernelCode, operation: str | None
) -> Step:
    target, origin = instruction.operands[:2]
    place_of = _Source.of(instruction, kernel, target)
    read_origin = kernel.address(origin)

    def step(batch: Batch, active: Active) -> None:
        for i, thread in enumerate(active.lanes.tolist()):
            tensor, place = place_of.read(batch, active, i, thread)
            start = one(batch, active, read_origin, i)
            chunks = _places(batch, thread, tensor, start)
            cta, offset = owner(batch, thread, start)
            piece = SharedPiece.of(batch, "read", cta, chunks - start + offset, thread)
            batch.counter.add(batch.pc, "bulk_copies", 1)
            batch.counter.add(batch.pc, "bulk_copy_bytes", tensor.tile_bytes)
            combine = None
            if operation is not None:
                combine = partial(
                    reduce_bytes, operation=operation, type_name=tensor.data_type
                )
            tile = tile_of(tensor, place)
            finish = partial(_write_tile, batch, batch.pc, tile, thread, combine)
            needed = None if tile.inside.all() else piece.part(tile.unit, tile.inside)
            BulkQueue.of(batch).copy_out(piece, finish, needed)

    return step


def _write_tile(
    batch: Batch,
    pc: int,
    tile: _Tile,
    thread: int,
    combine: Callable[[Array, Array], Array] | None,
    values: Array,
) -> None:
    """Writes a tile's bytes to global memory, those in bounds."""
    if tile.inside.any():
        rows = values.reshape(-1, tile.unit)[tile.inside]
        addresses = tile.addresses[tile.inside]
        write_global(batch, pc, addresses, thread, combine, rows)
