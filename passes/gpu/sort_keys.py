"""Keys that are sorted on a GPU: integers that order as the elements do, with places.

    elements of 32 bits at most    one i64: the rank · 2^32 + the place in the line
    elements of 64 bits            an i64, the rank, and an i32, the place

No two keys of a line are equal, so that every way to sort them is stable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ix.mlir import arith, ir, memref
from ix.passes.gpu.kernel import GpuFrame
from ix.passes.schedule.index import Index
from ix.passes.schedule.rules.sort import Sort

__all__ = ["Key", "KeyArrays", "Keys"]

Key = list[Any]
"""The values of one key."""

BANK_BYTES = 128
"""What shared memory serves at once: 32 banks of 4 bytes."""


class Keys:
    """The keys of a sort.

    Attributes:
        types: Of the values of a key.
        key_bytes: Of all of them.
    """

    def __init__(self, sort: Sort) -> None:
        self.sort = sort
        self.is_wide = sort.bits == 64
        i32, i64 = (ir.IntegerType.get_signless(bits) for bits in (32, 64))
        self.types = [i64, i32] if self.is_wide else [i64]
        self.key_bytes = sum(kind.width // 8 for kind in self.types)

    def at(self, frame: GpuFrame, outer: list[Index], j: Any) -> Key:
        """The key of element j of a line."""
        if not self.is_wide:
            return [self.sort.key_at(frame, outer, j)]
        place = arith.index_cast(self.types[1], frame.math.value(j))
        return [self.sort.rank_at(frame, outer, j), place]

    def greatest(self) -> Key:
        """Greater than every key."""
        return [arith.constant(t, (1 << (t.width - 1)) - 1) for t in self.types]

    def less(self, one: Key, other: Key) -> Any:
        """Whether a key comes first."""
        less = arith.CmpIPredicate.slt
        first = arith.cmpi(less, one[0], other[0])
        if not self.is_wide:
            return first
        equal = arith.cmpi(arith.CmpIPredicate.eq, one[0], other[0])
        second = arith.cmpi(less, one[1], other[1])
        return arith.ori(first, arith.andi(equal, second))

    def write(self, frame: GpuFrame, outer: list[Index], j: Any, key: Key) -> None:
        """Writes what the key stands for as element j of the results."""
        if not self.is_wide:
            self.sort.write_key(frame, outer, j, key[0])
            return
        number = arith.extui(self.types[0], key[1])
        self.sort.write(frame, outer, j, number)


class KeyArrays:
    """An array of keys: one memref for each of their values.

    Args:
        arrays: The memrefs.
        place: From an index to that of each memref.
    """

    def __init__(
        self, arrays: Sequence[Any], place: Callable[[Any, Any], Any] | None = None
    ) -> None:
        self.arrays = arrays
        self._place = place

    def load(self, at: Any) -> Key:
        """The key at an index."""
        return [memref.load(a, [self._at(at, a)]) for a in self.arrays]

    def store(self, key: Key, at: Any) -> None:
        """Writes a key."""
        for value, array in zip(key, self.arrays, strict=True):
            memref.store(value, array, [self._at(at, array)])

    def _at(self, at: Any, array: Any) -> Any:
        return at if self._place is None else self._place(at, array)

    @staticmethod
    def shared(keys: Keys, frame: GpuFrame, count: int) -> KeyArrays:
        """Keys in shared memory, turned so that a bitonic network has no conflicts.

        A group of threads that shared memory serves at once is at 2^p indices, among
        whose low p + 1 bits one is 0: where bit p is 1 the p bits below are inverted,
        and no two threads of the group meet at a bank.
        """
        arrays = [
            frame.shared(f"keys_{number}", [count], kind)
            for number, kind in enumerate(keys.types)
        ]
        math = frame.math

        def turned(at: Any, array: Any) -> Any:
            group = BANK_BYTES * 8 // array.type.element_type.width
            bit = group.bit_length() - 1
            at = math.value(at)
            if count <= group:
                return at
            high = arith.shrui(at, math.value(bit))
            ones = arith.subi(math.value(0), arith.andi(high, math.value(1)))
            return arith.xori(at, arith.andi(ones, math.value(group - 1)))

        return KeyArrays(arrays, turned)
