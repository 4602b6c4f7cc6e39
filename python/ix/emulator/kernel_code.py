"""A kernel as the emulator runs it, and how steps read and write their operands.

While instructions are compiled, `KernelCode` turns operands into closures:

    reader(operand, "f32")    batch → values, (threads,) or 0-d, dtype of the type
    writer(operand, "f32")    (batch, values, active) → None
    address(operand)          batch → uint64 addresses, (threads,) or 0-d

Values of a writer are 0-d, of all threads, or of the active threads alone, in order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ix.emulator.batch import Active, Array, Batch
from ix.emulator.errors import UnsupportedInstruction
from ix.emulator.layout import FUNCTION_BASE, Layout, Placed, parameter_layout
from ix.emulator.outcome import Step
from ix.emulator.ptx_types import STORAGE, dtype_of, storage_of
from ix.emulator.special_registers import special_register
from ix.emulator.syntax import (
    Address,
    Function,
    Immediate,
    Instruction,
    Module,
    Negated,
    Operand,
    Pair,
    Register,
    Sink,
    SpecialRegister,
    Symbol,
    Vector,
)

__all__ = ["Compiled", "KernelCode", "Reader", "Writer"]

Reader = Callable[[Batch], Array]
Writer = Callable[[Batch, Array, Active], None]


@dataclass(slots=True)
class Compiled:
    """One instruction, ready to run.

    predicate:  index of the predicate register, or -1
    target:     index of the instruction that a `bra` goes to, or -1
    aligned:    how many threads must execute it together: 1, 32 or 128
    patience:   steps by which it shortens the turn of a group: what polls memory may
                wait for threads that do not run meanwhile
    """

    instruction: Instruction
    step: Step | None
    predicate: int = -1
    negated: bool = False
    target: int = -1
    aligned: int = 1
    patience: int = 0


class KernelCode:
    """An entry with all functions that it may call, linked and compiled.

    Attributes:
        name: The entry.
        code: The instructions of all functions, one after the other.
        starts: Function → index of its first instruction.
        positions: Function → where each of its instructions stands behind that.
        register_dtypes: Storage dtype of each register.
        poison: What each register holds before it is written.
        function: The function that is being compiled.
        index: The index of the instruction that is being compiled.
    """

    def __init__(
        self,
        module: Module,
        entry: Function,
        functions: list[Function],
        global_addresses: Mapping[str, int],
        target: str,
    ) -> None:
        self.name = entry.name
        self.module = module
        self.entry = entry
        self.target = target
        self.functions = {function.name: function for function in functions}
        self.layout = Layout.of(module, functions)
        self.parameters, self.parameter_bytes = parameter_layout(entry.parameters)
        self.global_addresses = global_addresses
        self.code: list[Compiled] = []
        self.starts: dict[str, int] = {}
        self.positions: dict[str, list[int]] = {}
        self.register_dtypes: list[np.dtype[Any]] = []
        self._registers: dict[str, int] = {}
        self.function = entry
        self.index = 0
        for function in functions:
            self._number_registers(function)
        self._carry = len(self.register_dtypes)
        self.register_dtypes.append(np.dtype(np.bool_))
        self.poison = [_poison(dtype) for dtype in self.register_dtypes]

    def _number_registers(self, function: Function) -> None:
        for name, type_name in function.registers.items():
            self._registers[f"{function.name}:{name}"] = len(self.register_dtypes)
            self.register_dtypes.append(storage_of(type_name))

    def register(self, name: str) -> int:
        """The index of a register of the function that is being compiled."""
        return self._registers[f"{self.function.name}:{name}"]

    def label(self, name: str) -> int:
        """The index of the instruction behind a label of the function."""
        function = self.function
        inside = self.positions[function.name][function.labels[name]]
        return self.starts[function.name] + inside

    def unsupported(self, instruction: Instruction, fact: str) -> Exception:
        """An error for an instruction that the emulator cannot run."""
        return UnsupportedInstruction(
            f"kernel '{self.name}', PTX line {instruction.line} `{instruction.text}`: "
            f"'{instruction.name}' needs a form that is emulated, but {fact}; "
            "write it with other instructions"
        )

    # Operands

    def read_carry(self) -> Reader:
        """Reads the condition code of extended-precision arithmetic."""
        index = self._carry
        return lambda batch: batch.registers[index]

    def write_carry(self) -> Writer:
        """Writes the condition code of extended-precision arithmetic."""
        return _register_writer(self._carry, None)

    def reader(self, operand: Operand, type_name: str) -> Reader:
        """Compiles the reading of an operand as a type."""
        dtype = dtype_of(type_name)
        if isinstance(operand, Register):
            return self._register_reader(operand, dtype)
        if isinstance(operand, Immediate):
            return _constant(_immediate(operand, dtype))
        if isinstance(operand, Negated):
            read = self._register_reader(operand.operand, dtype)
            return lambda batch: ~read(batch)
        if isinstance(operand, SpecialRegister):
            return special_register(operand.name, dtype)
        if isinstance(operand, Symbol):
            return self._symbol_reader(operand, dtype)
        if isinstance(operand, Vector) and len(operand.elements) == 1:
            return self.reader(operand.elements[0], type_name)
        raise UnsupportedInstruction(
            f"kernel '{self.name}': an operand needs to be a value of type "
            f"{type_name}, but it is {operand}; write it as a register"
        )

    def readers(self, operand: Operand, type_name: str) -> list[Reader]:
        """One reader per element of a vector; one for anything else."""
        return [self.reader(each, type_name) for each in elements_of(operand)]

    def _register_reader(self, operand: Register, dtype: np.dtype[Any]) -> Reader:
        index = self.register(operand.name)
        stored = self.register_dtypes[index]
        if stored == dtype:
            return lambda batch: batch.registers[index]
        if stored.itemsize == dtype.itemsize:
            return lambda batch: batch.registers[index].view(dtype)
        # A narrower type reads the low bits, a wider one sees zeros above.
        unsigned = STORAGE[dtype.itemsize]
        return lambda batch: batch.registers[index].astype(unsigned).view(dtype)

    def _symbol_reader(self, symbol: Symbol, dtype: np.dtype[Any]) -> Reader:
        if symbol.name in self.parameters and self.function.is_entry:
            offset = self.parameters[symbol.name].offset + symbol.offset
            kind = dtype.type
            return lambda batch: kind(batch.launch.parameter_address + offset)
        value = self.address_of(symbol.name) + symbol.offset
        return _constant(_integer(value, dtype))

    def address_of(self, name: str) -> int:
        """The address of a variable in its own space, or of a function."""
        own = f"{self.function.name}:{name}"
        for places in (self.layout.local, self.layout.shared):
            if own in places:
                return places[own].offset
        if name in self.layout.shared:
            return self.layout.shared[name].offset
        if name in self.starts:
            return self.starts[name] + FUNCTION_BASE
        if name in self.global_addresses:
            return self.global_addresses[name]
        raise UnsupportedInstruction(
            f"kernel '{self.name}': '{name}' needs to be a variable or function of the "
            "module, but nothing declares it; link the module that does"
        )

    def place_of(self, name: str) -> Placed | None:
        """Where a parameter of the entry lies, or None if it is none."""
        return self.parameters.get(name) if self.function.is_entry else None

    def writer(self, operand: Operand, type_name: str) -> Writer:
        """Compiles the writing of a result of a type into an operand."""
        if isinstance(operand, Sink):
            return _discard
        if not isinstance(operand, Register):
            raise UnsupportedInstruction(
                f"kernel '{self.name}': a result needs a register, but it is "
                f"{operand}; write it as a register"
            )
        index = self.register(operand.name)
        stored, dtype = self.register_dtypes[index], dtype_of(type_name)
        return _register_writer(index, _conversion(dtype, stored))

    def writers(self, operand: Operand, type_name: str) -> list[Writer]:
        """One writer per element of a vector; one for anything else."""
        return [self.writer(each, type_name) for each in elements_of(operand)]

    def address(self, operand: Operand) -> Reader:
        """Compiles an address operand `[base+offset]`; bytes in its own space."""
        if not isinstance(operand, Address):
            raise UnsupportedInstruction(
                f"kernel '{self.name}': an address needs brackets, but it is "
                f"{operand}; write [register]"
            )
        base, offset = operand.base, operand.offset
        if isinstance(base, Symbol):
            return self.reader(Symbol(base.name, base.offset + offset), "u64")
        read = self.reader(base, "u64")
        if offset == 0:
            return read
        shift = np.uint64(offset & (2**64 - 1))
        return lambda batch: read(batch) + shift


def elements_of(operand: Operand) -> tuple[Operand, ...]:
    """The elements of a vector or pair; the operand itself if it is neither."""
    if isinstance(operand, Vector):
        return operand.elements
    if isinstance(operand, Pair):
        return (operand.first, operand.second)
    return (operand,)


def _register_writer(index: int, convert: Callable[[Array], Array] | None) -> Writer:
    def write(batch: Batch, values: Array, active: Active) -> None:
        if convert is not None:
            values = convert(values)
        mask = active.write_mask
        if mask is None and (values.ndim == 0 or len(values) == batch.threads):
            batch.registers[index] = values
        else:
            store_masked(batch, index, values, mask, active)

    return write


def store_masked(
    batch: Batch, index: int, values: Array, mask: Array | None, active: Active
) -> None:
    """Replaces a register by one whose active threads have new values."""
    old = batch.registers[index]
    if values.ndim and len(values) != batch.threads:
        new = np.array(np.broadcast_to(old, (batch.threads,)))
        new[active.lanes] = values
    else:
        new = np.where(active.full_mask if mask is None else mask, values, old)
    batch.registers[index] = new


def _poison(dtype: np.dtype[Any]) -> Array:
    """What a register holds before it is written: NaN, or false."""
    if dtype == np.bool_:
        return np.asarray(False)[()]
    bits = np.full(dtype.itemsize, 0xFF, np.uint8).view(dtype)
    return np.asarray(bits[0])[()]


def _discard(batch: Batch, values: Array, active: Active) -> None:
    """Writes nothing."""


def _constant(value: Array) -> Reader:
    return lambda batch: value


def _conversion(
    dtype: np.dtype[Any], stored: np.dtype[Any]
) -> Callable[[Array], Array] | None:
    """How values of a type become what a register stores; None if they are already."""
    if dtype == stored:
        return None
    if stored == np.bool_ or dtype == np.bool_:
        return lambda values: values.astype(stored)
    if dtype.itemsize == stored.itemsize:
        return lambda values: values.view(stored)
    # Wider registers hold signed values with their sign, all others with zeros.
    same = np.dtype(f"{'i' if dtype.kind == 'i' else 'u'}{dtype.itemsize}")
    wide = np.dtype(f"{same.kind}{stored.itemsize}")
    return lambda values: values.view(same).astype(wide).view(stored)


def _integer(value: int, dtype: np.dtype[Any]) -> Array:
    """The low bits of an integer as a 0-d value of a type."""
    if dtype == np.bool_:
        return np.bool_(value)  # type: ignore[return-value]
    unsigned = STORAGE[dtype.itemsize]
    bits = np.array(value & ((1 << 8 * dtype.itemsize) - 1), unsigned)
    return bits.view(dtype)[()]


def _immediate(operand: Immediate, dtype: np.dtype[Any]) -> Array:
    """A constant as a 0-d value of a type.

    A floating-point constant of another width is rounded to a floating-point type; for
    any other type it is its bits. An integer is numeric for f32 and f64, bits for f16.
    """
    if operand.kind == "int":
        if dtype.kind == "f" and dtype.itemsize > 2:
            return np.asarray(operand.value, dtype)[()]
        return _integer(int(operand.value), dtype)
    width = 4 if operand.kind == "f32" else 8
    if dtype.itemsize == width:
        return np.array(operand.bits, STORAGE[width]).view(dtype)[()]
    if dtype.kind == "f" or dtype.itemsize == 4:
        rounded = np.array(operand.value, np.float64)
        kind = dtype if dtype.kind == "f" else np.dtype(np.float32)
        return rounded.astype(kind).view(dtype)[()]
    return _integer(operand.bits, dtype)
