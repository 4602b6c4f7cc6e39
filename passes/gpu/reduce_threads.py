"""Combining the partial values of a block's threads.

Lanes of a warp exchange values by shuffles: after log2(32) steps each has the result of
all. Warps leave theirs in shared memory, where every thread reads them all, in order:
a result does not depend on which warp came first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ix.mlir import arith, gpu, ir, memref, scf, vector
from ix.passes.gpu.kernel import GpuFrame
from ix.passes.schedule.body import is_vector
from ix.passes.schedule.reduction import Combiner

__all__ = ["WARP", "Threads", "across_lanes", "shuffle_from", "shuffle_xor"]

WARP = 32


def across_lanes(combine: Combiner, value: Any) -> Any:
    """The elements of a thread's vector combined, in pairs; a scalar as it is."""
    if not is_vector(value):
        return value
    parts = [
        vector.extract(value, dynamic_position=[], static_position=[n])
        for n in range(value.type.shape[0])
    ]
    while len(parts) > 1:
        parts = [combine(parts[i], parts[i + 1]) for i in range(0, len(parts), 2)]
    return parts[0]


class Threads:
    """Threads that share one row: a part of a warp, a warp, or some warps of a block.

    Args:
        frame: Emits.
        count: How many threads; a power of two up to 32, or a multiple of 32.
        rows: How many such rows a block has.
    """

    def __init__(self, frame: GpuFrame, count: int, rows: int) -> None:
        self.frame = frame
        self.count = count
        self.rows = rows
        self._arrays = 0

    def reduce(self, combine: Combiner, value: Any) -> Any:
        """`value` of all threads combined, in each of them."""
        step = 1
        while step < min(self.count, WARP):
            value = combine(value, shuffle_xor(value, step))
            step *= 2
        if self.count > WARP:
            value = self._across_warps(combine, value)
        return value

    def _across_warps(self, combine: Combiner, value: Any) -> Any:
        frame, warps = self.frame, self.count // WARP
        math = frame.math
        kind = value.type
        stored = ir.IntegerType.get_signless(8) if str(kind) == "i1" else kind
        # An array of its own for each reduction: nobody waits for readers.
        array = frame.shared(f"partial_{self._arrays}", [self.rows * warps], stored)
        self._arrays += 1
        lane = math.compute("mod", frame.thread, WARP)
        warp = math.compute("div", frame.thread, WARP)
        row = math.compute("mul", math.compute("div", frame.thread, self.count), warps)
        first = arith.cmpi(arith.CmpIPredicate.eq, math.value(lane), math.value(0))
        branch = scf.IfOp(first)
        with ir.InsertionPoint(branch.then_block):
            kept = value if stored == kind else arith.extui(stored, value)
            memref.store(kept, array, [math.value(warp)])
            scf.YieldOp([])
        gpu.BarrierOp()
        if self.rows == 1:
            row = 0
        places = [math.value(math.compute("add", row, n)) for n in range(warps)]
        parts = [memref.load(array, [place]) for place in places]
        if stored != kind:
            parts = [arith.trunci(kind, part) for part in parts]
        while len(parts) > 1:
            pairs = [
                combine(parts[i], parts[i + 1]) for i in range(0, len(parts) - 1, 2)
            ]
            parts = pairs + parts[len(parts) & ~1 :]
        return parts[0]


def shuffle_xor(value: Any, mask: int) -> Any:
    """The value of the lane whose number differs by `mask`; any scalar type."""
    mode = gpu.ShuffleMode.XOR
    place = arith.constant(ir.IntegerType.get_signless(32), mask)
    return _by_words(value, lambda word: _shuffle(word, place, mode))


def shuffle_from(value: Any, lane: Any) -> Any:
    """The value of a lane, an int or an index; some lane's if there is none such."""
    i32 = ir.IntegerType.get_signless(32)
    if isinstance(lane, int):
        place = arith.constant(i32, lane)
    else:
        place = arith.index_cast(i32, lane)
    place = arith.andi(place, arith.constant(i32, WARP - 1))
    mode = gpu.ShuffleMode.IDX
    return _by_words(value, lambda word: _shuffle(word, place, mode))


def _by_words(value: Any, move: Callable[[Any], Any]) -> Any:
    """`move` applied to the 32-bit words of a scalar of any type."""
    kind = value.type
    width = 64 if isinstance(kind, ir.IndexType) else kind.width
    integer = ir.IntegerType.get_signless(width)
    bits = value if isinstance(kind, ir.IntegerType) else arith.bitcast(integer, value)
    i32 = ir.IntegerType.get_signless(32)
    if width < 32:
        moved = arith.trunci(integer, move(arith.extui(i32, bits)))
    elif width == 32:
        moved = move(bits)
    else:
        shift = arith.constant(integer, 32)
        low = move(arith.trunci(i32, bits))
        high = move(arith.trunci(i32, arith.shrui(bits, shift)))
        upper = arith.shli(arith.extui(integer, high), shift)
        moved = arith.ori(arith.extui(integer, low), upper)
    return moved if isinstance(kind, ir.IntegerType) else arith.bitcast(kind, moved)


def _shuffle(value: Any, place: Any, mode: Any) -> Any:
    width = arith.constant(ir.IntegerType.get_signless(32), WARP)
    return gpu.shuffle(value, place, width, mode)[0]
