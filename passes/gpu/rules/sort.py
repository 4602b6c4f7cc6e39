"""Sort and top-k of lines that fit shared memory: a bitonic network of keys.

    key[j] = (rank of x[j], j)                                     padded to 2^p
    for k = 2, 4 … 2^p:  for j = k/2 … 2, 1:
      each thread orders one pair (i, i ⊕ j), upwards where i & k is 0; barrier

A block takes a line. Equal elements keep their order because the place is part of the
key (`sort_keys.py`); padding is greater than every key. Longer lines are sorted in
parts, which are merged (`long_sort.py`).
Source: Batcher, "Sorting Networks and Their Applications", 1968.
"""

from __future__ import annotations

from typing import Any

from ix.mlir import arith, gpu, ir, scf
from ix.passes.gpu.kernel import GpuCode, GpuFrame, build_kernel
from ix.passes.gpu.sort_keys import Key, KeyArrays, Keys
from ix.passes.schedule.index import Index
from ix.passes.schedule.kernel import Kernel, loop
from ix.passes.schedule.rules.sort import Sort
from ix.runtime.sizes import product
from ix.target import Target

__all__ = ["BitonicCode", "apply", "longest"]

MOST_THREADS = 512


def longest(keys: Keys) -> int:
    """Keys that a block sorts: 32 KiB of shared memory at most."""
    return 2048 if keys.is_wide else 4096


def apply(kernel: Kernel, target: Target) -> GpuCode | None:
    """Takes ix.sort and ix.topk of lines that one block holds."""
    if kernel.family not in ("sort", "topk"):
        return None
    sort = Sort(kernel)
    keys = Keys(sort)
    size = kernel.most(sort.size)
    if size < 2 or not kernel.needs(size <= longest(keys), "long-line"):
        return None
    slots = 1 << (size - 1).bit_length()
    threads = max(min(slots // 2, MOST_THREADS), 32)
    return build_kernel(
        kernel,
        lambda frame: _emit(sort, keys, frame, slots, threads),
        family="sort",
        blocks=product(sort.outer),
        threads=threads,
    )


def _emit(sort: Sort, keys: Keys, frame: GpuFrame, slots: int, threads: int) -> None:
    elemental = frame.elemental
    sizes = [elemental.base(s) for s in sort.outer]
    outer = frame.math.delinearize(Index(frame.block), sizes) if sizes else []
    code = BitonicCode(keys, frame, slots, threads)
    code.sort(outer, 0, elemental.base(sort.size))
    kept = elemental.base(sort.kept)
    code.each_sorted(kept, lambda j, key: keys.write(frame, outer, j, key))


class BitonicCode:
    """Emits the code of one thread.

    Args:
        slots: Keys in shared memory, a power of two.
        threads: Threads of the block.
    """

    def __init__(self, keys: Keys, frame: GpuFrame, slots: int, threads: int) -> None:
        self.keys, self.frame, self.slots, self.threads = keys, frame, slots, threads
        self.elemental, self.math = frame.elemental, frame.math
        self.array = KeyArrays.shared(keys, frame, slots)

    def sort(self, outer: list[Index], first: Any, count: Any) -> None:
        """Sorts `count` elements of a line, from `first` on."""

        def fill(j: Any) -> None:
            inside = self._below(j, count)
            branch = scf.IfOp(inside, self.keys.types, has_else=True)
            with ir.InsertionPoint(branch.then_block), self.elemental.scope():
                at = self.math.compute("add", first, j)
                scf.YieldOp(self.keys.at(self.frame, outer, at))
            with ir.InsertionPoint(branch.else_block):
                scf.YieldOp(self.keys.greatest())
            self.array.store(list(branch.results), self.math.value(j))

        self._strided(self.slots, fill)
        gpu.BarrierOp()
        self._network()

    def each_sorted(self, count: Any, body: Any) -> None:
        """body(j, key) for the first keys in order, shared by the threads."""
        self._strided(count, lambda j: body(j, self.array.load(self.math.value(j))))

    def _strided(self, count: Any, body: Any) -> None:
        """body(j) for j = thread, thread + threads, … below count."""
        loop(self.frame.thread, count, self.threads, body, self.elemental)

    def _below(self, number: Any, limit: Any) -> Any:
        return arith.cmpi(
            arith.CmpIPredicate.ult, self.math.value(number), self.math.value(limit)
        )

    def _network(self) -> None:
        """All stages of the network; both loops count down by shifts."""
        math = self.math
        stages = self.slots.bit_length() - 1

        def stage(number: Any) -> None:
            number = math.value(number)
            two = arith.shli(math.value(2), number)
            depth = math.compute("add", number, 1)

            def pass_(step: Any) -> None:
                exponent = arith.subi(number, math.value(step))
                self._pass(arith.shli(math.value(1), exponent), two)
                gpu.BarrierOp()

            loop(0, depth, 1, pass_, self.elemental)

        loop(0, stages, 1, stage, self.elemental)

    def _pass(self, distance: Any, block: Any) -> None:
        """Orders every pair at this distance, in blocks of alternating direction."""
        math = self.math

        def pair(number: Any) -> None:
            number = math.value(number)
            # The pair's lower place: a 0 is put into the number where distance has a 1.
            low = arith.andi(number, arith.subi(distance, math.value(1)))
            high = arith.shli(arith.subi(number, low), math.value(1))
            i = arith.ori(high, low)
            j = arith.ori(i, distance)
            a, b = self.array.load(i), self.array.load(j)
            upwards = arith.cmpi(
                arith.CmpIPredicate.eq, arith.andi(i, block), math.value(0)
            )
            # Exchanged where the order is not the one of the block.
            stays = arith.cmpi(arith.CmpIPredicate.eq, self.keys.less(a, b), upwards)
            self.array.store(_chosen(stays, a, b), i)
            self.array.store(_chosen(stays, b, a), j)

        self._strided(self.slots // 2, pair)


def _chosen(condition: Any, one: Key, other: Key) -> Key:
    return [arith.select(condition, a, b) for a, b in zip(one, other, strict=True)]
