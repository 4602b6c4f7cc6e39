"""Sort and top-k of lines that no block holds: parts in shared memory, then merges.

    block:                   sorts a part of a line → its first `kept` keys to scratch
    last of two neighbours:  merges both, `kept` keys at most; then of two pairs, …
    last of all:             writes the results

Nobody waits for another block: who comes second merges. It finds by bisection which
keys of either side a tile of the result is made of, brings these to shared memory, and
finds for each key how many of the other side's are less. Keys are unequal, so that the
result does not depend on who merges.
Source: Green, McColl, Bader, "GPU Merge Path", 2012.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ix.mlir import arith, gpu, ir, memref, scf
from ix.passes.gpu.kernel import GpuCode, GpuFrame, build_kernel
from ix.passes.gpu.last_block import MOST_COUNTERS, is_last
from ix.passes.gpu.rules.sort import BitonicCode, longest
from ix.passes.gpu.sort_keys import KeyArrays, Keys
from ix.passes.schedule.index import Index
from ix.passes.schedule.kernel import Kernel, carry, loop
from ix.passes.schedule.rules.sort import Sort
from ix.runtime.plan import COUNTER_BYTES
from ix.runtime.sizes import Size, combine, product
from ix.target import Target

__all__ = ["apply"]

THREADS = 512
SCRATCH_BYTES = 1 << 30
"""Global memory for keys at most."""


def apply(kernel: Kernel, target: Target) -> GpuCode | None:
    """Takes ix.sort and ix.topk whose keys are not too many for scratch."""
    if kernel.family not in ("sort", "topk"):
        return None
    sort = Sort(kernel)
    keys = Keys(sort)
    part, most = longest(keys), kernel.most
    if most(sort.size) <= part:
        return None
    lines = product(sort.outer)
    parts = combine("div", combine("add", sort.size, part - 1), part)
    slots = min(most(sort.kept), part)
    count = most(lines) * most(parts) * slots
    scratch = 2 * count * keys.key_bytes
    if not (
        kernel.needs(scratch <= SCRATCH_BYTES, "much-scratch")
        and kernel.needs(most(lines) * most(parts) <= MOST_COUNTERS, "many-counters")
    ):
        return None
    return build_kernel(
        kernel,
        lambda frame: _MergeCode(sort, keys, frame, parts, slots, count).emit(),
        family="long_sort",
        blocks=combine("mul", lines, parts),
        threads=THREADS,
        scratch_bytes=COUNTER_BYTES + scratch,
    )


class _MergeCode:
    """Emits the code of one thread.

    Args:
        parts: Of a line.
        slots: Keys that a part leaves at most.
        count: Keys that all parts leave at most.
    """

    def __init__(
        self,
        sort: Sort,
        keys: Keys,
        frame: GpuFrame,
        parts: Size,
        slots: int,
        count: int,
    ) -> None:
        self.sort, self.keys, self.frame = sort, keys, frame
        self.elemental, self.math = frame.elemental, frame.math
        self.slots, self.part = slots, longest(keys)
        self.parts = self.elemental.base(parts)
        self.size = self.elemental.base(sort.size)
        self.kept = self.elemental.base(sort.kept)
        sizes = [self.elemental.base(s) for s in [*sort.outer, parts]]
        *self.outer, number = self.math.delinearize(Index(frame.block), sizes)
        self.number = number.base
        # The number of the line's first part, of all lines' parts.
        self.line = self.math.compute("sub", frame.block, self.number)
        self.buffers = self._buffers(count)
        self.code = BitonicCode(keys, frame, self.part, THREADS)

    def _buffers(self, count: int) -> list[list[Any]]:
        """Two arrays of all keys in scratch: i64 first, so that each is aligned."""
        offset = COUNTER_BYTES
        buffers: list[list[Any]] = [[], []]
        for kind in self.keys.types:
            for buffer in buffers:
                shape = ir.MemRefType.get([count], kind)
                at = self.math.value(offset)
                buffer.append(memref.view(shape, self.frame.scratch, at, []))
                offset += count * kind.width // 8
        return buffers

    def emit(self) -> None:
        """The block's part; then merges, for as long as it is the last one to come."""
        code = self.code
        first = self.math.compute("mul", self.number, self.part)
        left = self.math.compute("sub", self.size, first)
        code.sort(self.outer, first, self.math.compute("min", left, self.part))
        start = self._start(self.number)
        array = KeyArrays(self.buffers[0])

        def leave(j: Any, key: Any) -> None:
            array.store(key, self.math.value(self.math.compute("add", start, j)))

        code.each_sorted(self._length(self.number, 1), leave)
        self._merge_all()

    def _start(self, part: Any) -> Any:
        """Where the run lies that begins with a part of the line."""
        number = self.math.compute("add", self.line, part)
        return self.math.compute("mul", number, self.slots)

    def _length(self, part: Any, parts: Any) -> Any:
        """Keys of the run of so many parts; 0 beyond the line."""
        math = self.math
        end = math.compute("mul", math.compute("add", part, parts), self.part)
        end = math.compute("min", end, self.size)
        first = math.compute("min", math.compute("mul", part, self.part), self.size)
        return math.compute("min", math.compute("sub", end, first), self.kept)

    def _merge_all(self) -> None:
        """Levels: runs of `width` parts become one of twice as many."""
        index, bit = ir.IndexType.get(), ir.IntegerType.get_signless(1)
        kinds = [t.type for t in [*self.buffers[0], *self.buffers[1]]]
        values = [self.math.value(1), self.math.value(self.number)]
        true = arith.constant(bit, 1)
        types = [index, index, bit, *kinds]
        start = [*values, true, *self.buffers[0], *self.buffers[1]]
        op = scf.WhileOp(types, start)
        before = op.before.blocks.append(*types)
        with ir.InsertionPoint(before), self.elemental.scope():
            width, _, is_mine, *_ = before.arguments
            parts = self.math.value(self.parts)
            more = arith.cmpi(arith.CmpIPredicate.ult, width, parts)
            scf.ConditionOp(arith.andi(more, is_mine), list(before.arguments))
        after = op.after.blocks.append(*types)
        with ir.InsertionPoint(after), self.elemental.scope():
            width, part, _, *arrays = after.arguments
            half = len(arrays) // 2
            source, target = arrays[:half], arrays[half:]
            first, last = self._merge(width, part, source, target)
            twice = arith.addi(width, width)
            scf.YieldOp([twice, first, last, *target, *source])
        _, _, is_mine, *arrays = op.results
        with self.frame.when(is_mine):
            gpu.BarrierOp()
            self._write(KeyArrays(arrays[: len(arrays) // 2]))

    def _merge(
        self, width: Any, part: Any, source: list[Any], target: list[Any]
    ) -> tuple[Any, Any]:
        """Merges the run of the block with its neighbour, if it comes second.

        Returns:
            The first part of both, and whether the block goes on.
        """
        twice = arith.addi(width, width)
        first = arith.muli(arith.divui(part, twice), twice)
        middle = arith.addi(first, width)
        last = self._is_last(middle)
        with self.frame.when(last):
            sides = [
                (self._start(first), self._length(first, width)),
                (self._start(middle), self._length(middle, width)),
            ]
            self._merge_runs(KeyArrays(source), sides, KeyArrays(target))
        return first, last

    def _is_last(self, middle: Any) -> Any:
        """Whether the neighbours that meet at a part are both there.

        Without a second one the first is merged with nothing.
        """
        bit = ir.IntegerType.get_signless(1)
        parts = self.math.value(self.parts)
        pair = arith.cmpi(arith.CmpIPredicate.ult, middle, parts)
        branch = scf.IfOp(pair, [bit], has_else=True)
        with ir.InsertionPoint(branch.then_block), self.elemental.scope():
            counter = arith.addi(self.math.value(self.line), middle)
            scf.YieldOp([is_last(self.frame, counter, 2)])
        with ir.InsertionPoint(branch.else_block):
            gpu.BarrierOp()
            scf.YieldOp([arith.constant(bit, 1)])
        return branch.results[0]

    def _merge_runs(
        self, source: KeyArrays, sides: list[tuple[Any, Any]], target: KeyArrays
    ) -> None:
        """source[sides] → target, from the first side's start on, tile by tile."""
        math = self.math
        (start, one), (_, other) = sides
        both = math.compute("min", math.compute("add", one, other), self.kept)

        def tile(low: Any, i: Any) -> list[Any]:
            count = math.compute("sub", both, low)
            count = math.compute("min", count, self.part)
            end = self._split(source, sides, math.compute("add", low, count))
            firsts = [i, math.compute("sub", low, i)]
            here = math.compute("sub", end, i)
            self._gather(source, sides, firsts, here, count)
            gpu.BarrierOp()
            to = math.compute("add", start, low)
            self._scatter(target, here, count, to)
            gpu.BarrierOp()
            return [end]

        carry(0, both, self.part, tile, [math.value(0)], self.elemental)

    def _gather(
        self,
        source: KeyArrays,
        sides: list[tuple[Any, Any]],
        firsts: list[Any],
        here: Any,
        count: Any,
    ) -> None:
        """A tile's keys → shared memory: `here` of the first side, then the other's."""
        math = self.math
        one, two = (
            math.compute("add", start, first)
            for (start, _), first in zip(sides, firsts, strict=True)
        )
        two = math.compute("sub", two, here)

        def key(t: Any) -> None:
            is_first = self._below(t, here)
            start = arith.select(is_first, math.value(one), math.value(two))
            at = arith.addi(start, math.value(t))
            self.code.array.store(source.load(at), math.value(t))

        loop(self.frame.thread, count, THREADS, key, self.elemental)

    def _scatter(self, target: KeyArrays, here: Any, count: Any, to: Any) -> None:
        """Each key of the tile → its place: those before it on both sides."""
        math = self.math

        def key(t: Any) -> None:
            found = self.code.array.load(math.value(t))
            is_first = self._below(t, here)
            zero, end = math.value(0), math.value(count)
            low = arith.select(is_first, math.value(here), zero)
            high = arith.select(is_first, end, math.value(here))
            # t counts the keys before it on its own side, and `here` for the second;
            # the bound counts the first side where it is looked up in the second.
            bound = self._bound(found, low, high)
            place = arith.subi(arith.addi(math.value(t), bound), math.value(here))
            target.store(found, arith.addi(math.value(to), place))

        loop(self.frame.thread, count, THREADS, key, self.elemental)

    def _bound(self, key: Any, low: Any, high: Any) -> Any:
        """The first place from low on, below high, of a key not less than this one."""
        return self._bisect(
            low, high, lambda middle: self.keys.less(self.code.array.load(middle), key)
        )

    def _below(self, number: Any, limit: Any) -> Any:
        return arith.cmpi(
            arith.CmpIPredicate.ult, self.math.value(number), self.math.value(limit)
        )

    def _bisect(self, low: Any, high: Any, is_before: Callable[[Any], Any]) -> Any:
        """The first place from low on, below high, where `is_before` does not hold."""
        math, index = self.math, ir.IndexType.get()
        op = scf.WhileOp([index, index], [math.value(low), math.value(high)])
        before = op.before.blocks.append(index, index)
        with ir.InsertionPoint(before):
            less = arith.CmpIPredicate.slt
            more = arith.cmpi(less, *before.arguments)
            scf.ConditionOp(more, list(before.arguments))
        after = op.after.blocks.append(index, index)
        with ir.InsertionPoint(after), self.elemental.scope():
            low, high = after.arguments
            middle = arith.shrui(arith.addi(low, high), math.value(1))
            found = is_before(middle)
            above = arith.addi(middle, math.value(1))
            scf.YieldOp(
                [arith.select(found, above, low), arith.select(found, high, middle)]
            )
        return op.results[0]

    def _split(
        self, source: KeyArrays, sides: list[tuple[Any, Any]], count: Any
    ) -> Any:
        """How many of the first `count` keys of both come from the first side."""
        math = self.math
        (one, length_one), (two, length_two) = sides
        low = math.compute("max", math.compute("sub", count, length_two), 0)

        def is_before(middle: Any) -> Any:
            a = source.load(arith.addi(math.value(one), middle))
            opposite = math.compute("sub", math.compute("sub", count, middle), 1)
            b = source.load(math.value(math.compute("add", two, opposite)))
            return self.keys.less(a, b)

        return self._bisect(low, math.compute("min", count, length_one), is_before)

    def _write(self, source: KeyArrays) -> None:
        def element(j: Any) -> None:
            at = self.math.compute("add", self._start(0), j)
            key = source.load(self.math.value(at))
            self.keys.write(self.frame, self.outer, j, key)

        loop(self.frame.thread, self.kept, THREADS, element, self.elemental)
