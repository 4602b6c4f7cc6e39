"""Sort and top-k along one axis, by a stable merge sort of integer keys.

    key[j] = (order-preserving integer of x[j]) · 2^bits + j
    sort the keys; their low bits are the indices, the values are read again

Equal elements keep their order because the index is part of the key. NaN counts as
greater than every number. The keys of a line lie in scratch, twice; lines are the work
items.
"""

from __future__ import annotations

from typing import Any

from ix.mlir import arith, ir, memref, scf
from ix.passes.schedule.elemental import Lanes
from ix.passes.schedule.index import Index
from ix.passes.schedule.kernel import Frame, Kernel, KernelCode, build, carry, loop
from ix.runtime.sizes import Size, product
from ix.target import Target

__all__ = ["Sort", "apply"]


def apply(kernel: Kernel, target: Target) -> KernelCode | None:
    """Takes ix.sort and ix.topk."""
    if kernel.family not in ("sort", "topk"):
        return None
    sort = Sort(kernel)
    lines = product(sort.outer)
    size = kernel.most(sort.size)
    return build(
        kernel,
        target,
        lambda frame: frame.for_items(lambda item: sort.emit(frame, item)),
        family="sort",
        items=lines,
        item_ns=3.0 * size * max(size.bit_length(), 1),
        lanes=target.lanes(32),
        scratch_bytes=2 * sort.array_bytes,
    )


class Sort:
    """What a kernel sorts.

    input, results: The tensors; axis: the one that is sorted, of `size` elements.
    kept: Elements of the results along it; outer: sizes of the other axes.
    bits: Of an element's rank; a key has twice as many.
    """

    def __init__(self, kernel: Kernel) -> None:
        (op,) = [o for o in kernel.ops if o.operation.name in ("ix.sort", "ix.topk")]
        attributes = op.operation.attributes
        self.kernel = kernel
        self.input = op.operation.operands[0]
        self.results = list(op.operation.results)
        self.axis = ir.IntegerAttr(attributes["axis"]).value
        order = "descending" if op.operation.name == "ix.sort" else "largest"
        self.descending = ir.BoolAttr(attributes[order]).value
        shape = kernel.shape(self.input)
        self.size: Size = shape[self.axis]
        self.kept: Size = kernel.shape(self.results[0])[self.axis]
        self.outer = [*shape[: self.axis], *shape[self.axis + 1 :]]
        element = self.input.type.element_type
        self.bits = 64 if getattr(element, "width", 64) == 64 else 32
        self.key = ir.IntegerType.get_signless(2 * self.bits)
        self.count = max(kernel.most(self.size), 1)
        self.array_bytes = (self.count * self.bits // 4 + 63) // 64 * 64

    def emit(self, frame: Frame, item: Index) -> None:
        elemental = frame.elemental
        sizes = [elemental.base(s) for s in self.outer]
        outer = elemental.math.delinearize(item, sizes)
        kind = ir.MemRefType.get([self.count], self.key)
        arrays = [
            memref.view(
                kind, frame.scratch, elemental.math.value(n * self.array_bytes), []
            )
            for n in range(2)
        ]
        size = elemental.base(self.size)
        loop(0, size, 1, lambda j: self._fill(frame, outer, j, arrays[0]), elemental)
        done = self._merge_all(frame, elemental.math.value(size), arrays)
        kept = elemental.base(self.kept)
        loop(0, kept, 1, lambda j: self._write(frame, outer, j, done), elemental)

    def _at(self, outer: list[Index], j: Any) -> list[Index]:
        return [*outer[: self.axis], Index(j), *outer[self.axis :]]

    def _fill(self, frame: Frame, outer: list[Index], j: Any, keys: Any) -> None:
        memref.store(self.key_at(frame, outer, j), keys, [frame.math.value(j)])

    def key_at(self, frame: Any, outer: list[Index], j: Any) -> ir.Value:
        """The key of element j of a line."""
        rank = self.rank_at(frame, outer, j)
        high = arith.shli(
            arith.extsi(self.key, rank), arith.constant(self.key, self.bits)
        )
        at = frame.math.value(j)
        low = arith.index_cast(ir.IntegerType.get_signless(64), at)
        if self.bits == 64:
            low = arith.extui(self.key, low)
        return arith.ori(high, low)

    def rank_at(self, frame: Any, outer: list[Index], j: Any) -> ir.Value:
        """A signed integer of `bits` bits that orders as elements shall be ordered."""
        value = frame.elemental.value_at(self.input, self._at(outer, j), Lanes())
        rank = self._rank(value)
        if self.descending:
            rank = arith.xori(rank, arith.constant(rank.type, -1))
        return rank

    def _rank(self, value: ir.Value) -> ir.Value:
        """A signed integer that orders as the element does."""
        integer = ir.IntegerType.get_signless(self.bits)
        kind = value.type
        if isinstance(kind, ir.IntegerType):
            if kind.width == self.bits:
                return value
            # A bool is 0 or 1; every other integer is signed.
            extend = arith.extui if kind.width == 1 else arith.extsi
            return extend(integer, value)
        wide = ir.F64Type.get() if self.bits == 64 else ir.F32Type.get()
        if kind != wide:
            value = arith.extf(wide, value)
        # −0 + 0 is +0: the two zeros are equal.
        value = arith.addf(value, arith.constant(wide, 0.0))
        raw = arith.bitcast(integer, value)
        top = (1 << (self.bits - 1)) - 1
        sign = arith.shrsi(raw, arith.constant(integer, self.bits - 1))
        flipped = arith.xori(raw, arith.andi(sign, arith.constant(integer, top)))
        nan = arith.cmpf(arith.CmpFPredicate.UNO, value, value)
        return arith.select(nan, arith.constant(integer, top), flipped)

    def _merge_all(self, frame: Frame, size: ir.Value, arrays: list[Any]) -> Any:
        """Merges runs of 1, 2, 4 … keys; returns the array that holds the result."""
        index = ir.IndexType.get()
        kind = arrays[0].type
        one = frame.math.value(1)
        op = scf.WhileOp([index, kind, kind], [one, *arrays])
        before = op.before.blocks.append(index, kind, kind)
        with ir.InsertionPoint(before), frame.elemental.scope():
            more = arith.cmpi(arith.CmpIPredicate.slt, before.arguments[0], size)
            scf.ConditionOp(more, list(before.arguments))
        after = op.after.blocks.append(index, kind, kind)
        with ir.InsertionPoint(after), frame.elemental.scope():
            width, source, target = after.arguments
            self._merge_runs(frame, width, size, source, target)
            twice = arith.addi(width, width)
            scf.YieldOp([twice, target, source])
        return op.results[1]

    def _merge_runs(
        self, frame: Frame, width: Any, size: Any, source: Any, target: Any
    ) -> None:
        """Merges neighbouring runs of `width` keys from `source` into `target`."""
        last = arith.subi(size, frame.math.value(1))
        both = arith.addi(width, width)
        op = scf.ForOp(frame.math.value(0), size, both, [])
        with ir.InsertionPoint(op.body), frame.elemental.scope():
            low = op.induction_variable
            middle = arith.minsi(arith.addi(low, width), size)
            high = arith.minsi(arith.addi(low, both), size)

            def take(k: Any, i: Any, j: Any) -> list[Any]:
                left = memref.load(source, [arith.minsi(i, last)])
                right = memref.load(source, [arith.minsi(j, last)])
                less = arith.CmpIPredicate.slt
                some_left = arith.cmpi(less, i, middle)
                none_right = arith.cmpi(arith.CmpIPredicate.sge, j, high)
                smaller = arith.cmpi(arith.CmpIPredicate.sle, left, right)
                first = arith.andi(some_left, arith.ori(none_right, smaller))
                memref.store(arith.select(first, left, right), target, [k])
                one = frame.math.value(1)
                return [
                    arith.select(first, arith.addi(i, one), i),
                    arith.select(first, j, arith.addi(j, one)),
                ]

            carry(low, high, 1, take, [low, middle], frame.elemental)
            scf.YieldOp([])

    def _write(self, frame: Frame, outer: list[Index], j: Any, keys: Any) -> None:
        self.write_key(frame, outer, j, memref.load(keys, [frame.math.value(j)]))

    def write_key(self, frame: Any, outer: list[Index], j: Any, key: Any) -> None:
        """Writes element j of a sorted line, given its key."""
        i64 = ir.IntegerType.get_signless(64)
        if self.bits == 64:
            number = arith.trunci(i64, key)
        else:
            number = arith.andi(key, arith.constant(i64, (1 << 32) - 1))
        self.write(frame, outer, j, number)

    def write(self, frame: Any, outer: list[Index], j: Any, number: Any) -> None:
        """Writes element j of a sorted line: the input's element `number`, an i64."""
        elemental = frame.elemental
        position = arith.index_cast(ir.IndexType.get(), number)
        value = elemental.value_at(self.input, self._at(outer, position), Lanes())
        found = dict(zip(self.results, (value, number), strict=True))
        for output, buffer in zip(frame.kernel.outputs, frame.outputs, strict=True):
            elemental.store(
                found[output],
                buffer,
                self._at(outer, j),
                Lanes(),
                output.type.element_type,
            )
