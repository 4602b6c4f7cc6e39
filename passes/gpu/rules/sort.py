"""Sort and top-k of lines that fit shared memory: a bitonic network of keys.

    key[j] = (order-preserving integer of x[j]) · 2^32 + j          padded to 2^p
    for k = 2, 4 … 2^p:  for j = k/2 … 2, 1:
      each thread orders one pair (i, i ⊕ j), upwards where i & k is 0; barrier

A block takes a line. Equal elements keep their order because the index is part of the
key; padding is greater than every key. Longer lines, and elements of 64 bits, are
merged by one thread each (`passes/schedule/rules/sort.py`).
Source: Batcher, "Sorting Networks and Their Applications", 1968.
"""

from __future__ import annotations

from typing import Any

from ix.mlir import arith, gpu, ir, memref, scf
from ix.passes.gpu.kernel import GpuCode, GpuFrame, build_kernel
from ix.passes.schedule.index import Index
from ix.passes.schedule.kernel import Kernel, loop
from ix.passes.schedule.rules.sort import Sort
from ix.runtime.sizes import product
from ix.target import Target

__all__ = ["apply"]

LONGEST = 4096
"""Keys of 8 bytes: 32 KiB of shared memory."""

MOST_THREADS = 512


def apply(kernel: Kernel, target: Target) -> GpuCode | None:
    """Takes ix.sort and ix.topk of elements of at most 32 bits."""
    if kernel.family not in ("sort", "topk"):
        return None
    sort = Sort(kernel)
    size = kernel.most(sort.size)
    if sort.bits != 32 or not 1 < size <= LONGEST:
        return None
    slots = 1 << (size - 1).bit_length()
    threads = max(min(slots // 2, MOST_THREADS), 32)
    return build_kernel(
        kernel,
        lambda frame: _BitonicCode(sort, frame, slots, threads).emit(),
        family="sort",
        blocks=product(sort.outer),
        threads=threads,
    )


class _BitonicCode:
    """Emits the code of one thread."""

    def __init__(self, sort: Sort, frame: GpuFrame, slots: int, threads: int) -> None:
        self.sort, self.frame, self.slots, self.threads = sort, frame, slots, threads
        self.elemental, self.math = frame.elemental, frame.math
        self.key = ir.IntegerType.get_signless(64)
        self.keys = frame.shared("keys", [slots], self.key)
        self.size = self.elemental.base(sort.size)
        sizes = [self.elemental.base(s) for s in sort.outer]
        self.outer = self.math.delinearize(Index(frame.block), sizes) if sizes else []

    def emit(self) -> None:
        """Fills the keys, sorts them, and writes what is kept."""
        self._strided(self.slots, self._fill)
        gpu.BarrierOp()
        self._sort()
        self._strided(self.elemental.base(self.sort.kept), self._write)

    def _strided(self, count: Any, body: Any) -> None:
        """body(j) for j = thread, thread + threads, … below count."""
        loop(self.frame.thread, count, self.threads, body, self.elemental)

    def _below(self, number: Any, limit: Any) -> Any:
        return arith.cmpi(
            arith.CmpIPredicate.ult, self.math.value(number), self.math.value(limit)
        )

    def _fill(self, j: Any) -> None:
        """The key of element j; beyond the line the greatest of all."""
        branch = scf.IfOp(self._below(j, self.size), [self.key], has_else=True)
        with ir.InsertionPoint(branch.then_block), self.elemental.scope():
            scf.YieldOp([self.sort.key_at(self.frame, self.outer, j)])
        with ir.InsertionPoint(branch.else_block):
            scf.YieldOp([arith.constant(self.key, (1 << 63) - 1)])
        memref.store(branch.results[0], self.keys, [self.math.value(j)])

    def _sort(self) -> None:
        """All stages of the network; both loops count down by shifts."""
        math = self.math
        stages = self.slots.bit_length() - 1

        def stage(number: Any) -> None:
            number = math.value(number)
            two = arith.shli(math.value(2), number)
            depth = math.compute("add", number, 1)

            def pass_(step: Any) -> None:
                exponent = arith.subi(number, step)
                self._pass(arith.shli(math.value(1), exponent), two)
                gpu.BarrierOp()

            loop(0, depth, 1, pass_, self.elemental)

        loop(0, stages, 1, stage, self.elemental)

    def _pass(self, distance: Any, block: Any) -> None:
        """Orders every pair at this distance, in blocks of alternating direction."""
        math = self.math

        def pair(number: Any) -> None:
            # The pair's lower place: a 0 is put into the number where distance has a 1.
            low = arith.andi(number, arith.subi(distance, math.value(1)))
            high = arith.shli(arith.subi(number, low), math.value(1))
            i = arith.ori(high, low)
            j = arith.ori(i, distance)
            a, b = memref.load(self.keys, [i]), memref.load(self.keys, [j])
            flag = arith.andi(i, block)
            upwards = arith.cmpi(arith.CmpIPredicate.eq, flag, math.value(0))
            least, most = arith.minsi(a, b), arith.maxsi(a, b)
            memref.store(arith.select(upwards, least, most), self.keys, [i])
            memref.store(arith.select(upwards, most, least), self.keys, [j])

        self._strided(self.slots // 2, pair)

    def _write(self, j: Any) -> None:
        key = memref.load(self.keys, [self.math.value(j)])
        self.sort.write_key(self.frame, self.outer, j, key)
