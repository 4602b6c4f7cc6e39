"""@main after ix-form-kernels → launches, and where each of their tensors lies."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ix.dialects.ix.program import elements_array
from ix.errors import place_of
from ix.mlir import defining_op, ir
from ix.passes.schedule import storage
from ix.passes.schedule.form_kernels import (
    main_of,
    main_sizes,
    memory_root,
    ranges_of,
)
from ix.passes.schedule.kernel import Packing
from ix.passes.schedule.memory import Buffer, place
from ix.passes.schedule.sources import sources_of
from ix.runtime.sizes import Size, bounds, product

__all__ = ["ConstantSource", "HostProgram", "Place", "Step", "host_program"]


@dataclass(frozen=True)
class ConstantSource:
    """What a constant is made from.

    name: The parameter's name; "" for a dense constant of the module.
    data: The dense constant's array.
    packing: How the kernel wants it laid out, or None for row-major.
    """

    key: str
    name: str
    data: np.ndarray | None
    packing: Packing | None


@dataclass(frozen=True)
class Place:
    """Where a tensor lies: an input, output or constant by number, or the arena."""

    kind: str  # "input", "output", "constant", "arena"
    number: int = 0
    buffer: Buffer | None = None

    @property
    def address(self) -> tuple[str, int]:
        """As a plan writes it."""
        if self.buffer is not None:
            return self.kind, self.buffer.offset
        return self.kind, self.number

    @property
    def label(self) -> str:
        """Its name in plans and explanations."""
        if self.buffer is not None:
            return self.buffer.name
        return f"{self.kind}{self.number}"


@dataclass(frozen=True)
class Step:
    """One launch: the kernel function's name, its buffers, its sizes.

    sources: What each op of the kernel function was in the model.
    """

    callee: str
    reads: tuple[Place, ...]
    writes: tuple[Place, ...]
    sizes: tuple[Size, ...]
    ops: tuple[str, ...]
    location: str
    sources: tuple[str, ...] = ()


@dataclass
class HostProgram:
    """Everything about a call but the kernels' code."""

    steps: list[Step] = field(default_factory=list)
    constants: list[ConstantSource] = field(default_factory=list)
    arena_bytes: int = 0


def host_program(
    module: Any, layout: Callable[[str], tuple[dict[int, Packing], bool]]
) -> HostProgram:
    """Reads @main and places its tensors.

    Args:
        module: A module after ix-form-kernels.
        layout: For a kernel function's name, how it wants which of its inputs packed,
            and whether it may write where an input lay.
    """
    return _Reader(module, layout).read()


class _Reader:
    def __init__(
        self, module: Any, layout: Callable[[str], tuple[dict[int, Packing], bool]]
    ) -> None:
        self.module = module
        self.main = main_of(module)
        self.sizes = main_sizes(self.main)
        self.ranges = ranges_of(module)
        self.layout = layout
        self.program = HostProgram()
        self.places: dict[Any, Place] = {}
        self.numbers: dict[str, int] = {}  # constant key → number
        self.buffers: list[Buffer] = []

    def read(self) -> HostProgram:
        block = self.main.entry_block
        for number, argument in enumerate(block.arguments):
            self.places[argument] = Place("input", number)
        ops = [op.operation.opview for op in block.operations]
        for number, value in enumerate(ops[-1].operation.operands):
            self.places[memory_root(value)] = Place("output", number)
        calls = [op for op in ops if op.operation.name == "func.call"]
        last_use = self._last_uses(calls)
        for number, call in enumerate(calls):
            self._step(number, call, last_use)
        self.program.arena_bytes = place(self.buffers)
        return self.program

    def _last_uses(self, calls: list[Any]) -> dict[Any, int]:
        last: dict[Any, int] = {}
        for number, call in enumerate(calls):
            for operand in call.operation.operands:
                last[memory_root(operand)] = number
        return last

    def _step(self, number: int, call: Any, last_use: dict[Any, int]) -> None:
        callee = ir.FlatSymbolRefAttr(call.operation.attributes["callee"]).value
        wanted, in_place = self.layout(callee)
        reads, sizes = [], []
        for index, operand in enumerate(call.operation.operands):
            if isinstance(operand.type, ir.IndexType):
                sizes.append(self.sizes.value(operand))
            else:
                reads.append(self._place(operand, wanted.get(index)))
        writes = []
        for result in call.operation.results:
            if result not in self.places:
                last = last_use.get(result, number)
                reused = self._reusable(number, call, result, last_use)
                if in_place and reused is not None:
                    reused.last = last
                    self.places[result] = Place("arena", 0, reused)
                else:
                    self.places[result] = self._new_buffer(number, result, last)
            writes.append(self.places[result])
        names = ir.ArrayAttr(call.operation.attributes["ix.ops"])
        where, name = place_of(call.operation.location)
        self.program.steps.append(
            Step(
                callee,
                tuple(reads),
                tuple(writes),
                tuple(sizes),
                tuple(ir.StringAttr(n).value for n in names),
                where or name,
                sources_of(call),
            )
        )

    def _new_buffer(self, number: int, result: Any, last: int) -> Place:
        name = f"t{len(self.buffers)}"
        buffer = Buffer(name, self._bytes(result), number, last)
        self.buffers.append(buffer)
        return Place("arena", 0, buffer)

    def _bytes(self, value: Any) -> int:
        count = bounds(product(self.sizes.shape(value)), self.ranges)[1]
        return count * storage.element_bytes(value.type.element_type)

    def _reusable(
        self, number: int, call: Any, result: Any, last_use: dict[Any, int]
    ) -> Buffer | None:
        """The buffer of an operand that dies here and is as large as the result."""
        for operand in call.operation.operands:
            root = memory_root(operand)
            place = self.places.get(root)
            if (
                place is not None
                and place.buffer is not None
                and place.buffer.last == number
                and self._bytes(root) == self._bytes(result)
                and root.type.element_type == result.type.element_type
            ):
                return place.buffer
        return None

    def _place(self, value: Any, packing: Packing | None) -> Place:
        root = memory_root(value)
        if root in self.places:
            return self.places[root]
        op = defining_op(root)
        name, data = "", None
        if op.operation.name == "ix.parameter":
            name = ir.StringAttr(op.operation.attributes["name"]).value
            key = name
        else:
            data = _dense_array(op)
            digest = hashlib.sha256(data.tobytes() + str(data.dtype).encode())
            key = f"dense:{digest.hexdigest()[:16]}:{'x'.join(map(str, data.shape))}"
        if packing is not None:
            key += f"|{packing.key}"
        if key not in self.numbers:
            self.numbers[key] = len(self.program.constants)
            self.program.constants.append(ConstantSource(key, name, data, packing))
        return Place("constant", self.numbers[key])


def _dense_array(op: Any) -> np.ndarray:
    """A dense constant as the kernels read it: one byte for i1, i4 and f8."""
    return np.ascontiguousarray(elements_array(op.operation.attributes["value"]))
