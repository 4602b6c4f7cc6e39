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

__all__ = ["WARP", "Join", "Threads", "across_lanes", "shuffle_from", "shuffle_xor"]

WARP = 32

Join = Callable[[list[Any], list[Any]], list[Any]]
"""Combines what two threads have."""


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
        return self.join(lambda one, other: [combine(*one, *other)], [value])[0]

    def join(self, combine: Join, values: list[Any]) -> list[Any]:
        """As `reduce`, for values that only together can be combined."""
        step = 1
        while step < min(self.count, WARP):
            values = combine(values, [shuffle_xor(v, step) for v in values])
            step *= 2
        if self.count > WARP:
            values = self._across_warps(combine, values)
        return values

    def _across_warps(self, combine: Join, values: list[Any]) -> list[Any]:
        frame, warps = self.frame, self.count // WARP
        math = frame.math
        arrays = [self._array(value.type, warps) for value in values]
        lane = math.compute("mod", frame.thread, WARP)
        warp = math.compute("div", frame.thread, WARP)
        row = math.compute("mul", math.compute("div", frame.thread, self.count), warps)
        first = arith.cmpi(arith.CmpIPredicate.eq, math.value(lane), math.value(0))
        branch = scf.IfOp(first)
        with ir.InsertionPoint(branch.then_block):
            for value, array in zip(values, arrays, strict=True):
                kind = array.type.element_type
                kept = value if kind == value.type else arith.extui(kind, value)
                memref.store(kept, array, [math.value(warp)])
            scf.YieldOp([])
        gpu.BarrierOp()
        if self.rows == 1:
            row = 0
        places = [math.value(math.compute("add", row, n)) for n in range(warps)]
        if len(values) > 1:
            return self._by_shuffles(combine, values, arrays, row, warps)
        parts = [
            [_loaded(array, place, value.type)]
            for place in places
            for value, array in zip(values, arrays, strict=True)
        ]
        while len(parts) > 1:
            pairs = [
                combine(parts[i], parts[i + 1]) for i in range(0, len(parts) - 1, 2)
            ]
            parts = pairs + parts[len(parts) & ~1 :]
        return parts[0]

    def _by_shuffles(
        self, combine: Join, values: list[Any], arrays: list[Any], row: Any, warps: int
    ) -> list[Any]:
        """Each lane reads what one warp left: combining several values takes long."""
        math = self.frame.math
        place = math.compute("add", row, math.compute("mod", self.frame.thread, warps))
        parts = [
            _loaded(array, math.value(place), value.type)
            for value, array in zip(values, arrays, strict=True)
        ]
        step = 1
        while step < warps:
            parts = combine(parts, [shuffle_xor(v, step) for v in parts])
            step *= 2
        return parts

    def _array(self, kind: Any, warps: int) -> Any:
        """An array of its own for each reduction: nobody waits for readers."""
        stored = ir.IntegerType.get_signless(8) if str(kind) == "i1" else kind
        self._arrays += 1
        shape = [self.rows * warps]
        return self.frame.shared(f"partial_{self._arrays - 1}", shape, stored)


def _loaded(array: Any, place: Any, kind: Any) -> Any:
    found = memref.load(array, [place])
    return found if found.type == kind else arith.trunci(kind, found)


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
