"""Values of a row that stay in shared memory between the sweeps over it.

    first sweep:    x = …;  kept[step, thread] = x
    later sweeps:   x = kept[step, thread]

A thread reads only what it wrote itself: nobody waits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ix.mlir import defining_op
from ix.passes.gpu.kernel import GpuFrame
from ix.passes.schedule import storage
from ix.passes.schedule.body import widen
from ix.passes.schedule.elemental import Lanes
from ix.passes.schedule.index import Index
from ix.passes.schedule.kernel import Kernel
from ix.passes.schedule.rules.row import Row
from ix.passes.schedule.structure import kind_of, tensor_operands

__all__ = ["KeptRow", "element_bytes", "kept_values"]


def kept_values(kernel: Kernel, row: Row) -> list[Any]:
    """What to keep, so that no sweep but the first one reads the row from memory.

    Inputs that more than one sweep reads, or what is made of them at the same point
    where nothing else needs them.
    """
    inputs = _read_again(kernel, row, ())
    size = element_bytes(inputs)
    reduced = {v for ops, _ in row.phases for op in ops for v in op.operation.results}
    for op in kernel.ops:
        if kind_of(op) != "loop" or len(inputs) < 2:
            continue
        value = op.operation.results[0]
        if (
            kernel.shape(value) == row.domain
            and not reduced & _reached([value], ())
            and not _read_again(kernel, row, (value,))
            and element_bytes([value]) <= size
        ):
            return [value]
    return inputs


def element_bytes(values: Sequence[Any]) -> int:
    """Bytes of one element of each."""
    return sum(storage.element_bytes(v.type.element_type) for v in values)


def _read_again(kernel: Kernel, row: Row, kept: Sequence[Any]) -> list[Any]:
    """Inputs of a row's shape that several sweeps reach other than through `kept`."""
    sweeps = [[v for op in ops for v in tensor_operands(op)] for ops, _ in row.phases]
    sweeps.append([v for v in kernel.outputs if kernel.shape(v) == row.domain])
    reached = [_reached(roots, kept) for roots in sweeps]
    return [
        v
        for v in kernel.inputs
        if kernel.shape(v) == row.domain and sum(v in each for each in reached) > 1
    ]


def _reached(roots: Sequence[Any], ends: Sequence[Any]) -> set[Any]:
    """The values that these are made of, up to reductions and to `ends`."""
    found: set[Any] = set()
    pending = list(roots)
    while pending:
        value = pending.pop()
        if value in found or value in ends:
            continue
        found.add(value)
        op = defining_op(value)
        if op is not None and kind_of(op) != "reduce":
            pending += tensor_operands(op)
    return found


class KeptRow:
    """Emits the reads and writes of kept values.

    Args:
        frame: Emits.
        values: What is kept.
        steps: Vectors of each thread that are kept of each value.
        threads, width: Of the block, and elements of a vector.
    """

    def __init__(
        self,
        frame: GpuFrame,
        values: Sequence[Any],
        steps: int,
        threads: int,
        width: int,
    ) -> None:
        self.frame, self.elemental = frame, frame.elemental
        self.threads, self.width = threads, width
        self.step: Any = None
        self.point: list[Index] = []
        self._is_filled = False
        self._arrays: dict[Any, Any] = {}
        offset = 0
        # The widest elements first: each array starts at a multiple of its element.
        for value in sorted(values, key=lambda v: -element_bytes([v])):
            element = storage.storage_type(value.type.element_type)
            shape = [steps * threads * width]
            self._arrays[value] = frame.dynamic_shared(offset, shape, element)
            offset += shape[0] * element_bytes([value])
            source = self.elemental.providers.get(value)
            self.elemental.providers[value] = self._provider(value, source)

    def at(self, step: Any, point: list[Index]) -> None:
        """From here on the thread is at this step of those kept, or at none."""
        self.step, self.point = step, point
        if step is None or self._is_filled:
            return
        lanes = Lanes(self.width, self.width)
        for value, array in self._arrays.items():
            found = widen(self.elemental.value_at(value, point, lanes), self.width)
            element = value.type.element_type
            self.elemental.store(found, array, [self._place()], lanes, element)

    def end_sweep(self) -> None:
        """From here on the values are read."""
        self._is_filled = True

    def _provider(self, value: Any, source: Any) -> Callable[..., Any]:
        elemental = self.elemental

        def provide(indices: Sequence[Index], lanes: Lanes) -> Any:
            is_here = self.step is not None and list(indices) == self.point
            if is_here and self._is_filled:
                found = elemental.load(self._arrays[value], [self._place()], lanes)
                return storage.from_storage(found, value.type.element_type)
            if source is not None:
                return source(indices, lanes)
            return elemental._computed(value, indices, lanes)

        return provide

    def _place(self) -> Index:
        math = self.frame.math
        line = math.compute("mul", self.step, self.threads)
        vector = math.compute("add", line, self.frame.thread)
        start = math.compute("mul", vector, self.width)
        return Index(start, int(self.width > 1), self.width)
