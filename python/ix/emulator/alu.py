"""The arithmetic of the emulator: from an instruction's name to a NumPy function.

    lookup("fma", ("rn", "f32")).function(a, b, c)  →  a · b + c, rounded once

Rounding, flushing, saturation and types are decided at the look-up; the function that
it gives runs over all threads at once. Results have the bits that the PTX ISA defines.
Where the ISA only bounds an error (`.approx`, `.full`), the result is computed in
float64 and rounded, so a GPU may differ within the ISA's bound. NaN results of f16,
bf16 and f32 are the canonical NaN; those of f64 are quiet, and no more is defined.

The families: alu_integer, alu_carry, alu_packed, alu_bit, alu_field, alu_compare,
alu_float, alu_half, alu_minmax, alu_approx, alu_convert, alu_narrow. A line of their
tables `FORMS` is a line of the ISA's syntax, and a modifier out of order is unknown,
as it is to ptxas.

`setp` always gives both p and q. Extended precision (`add.cc`, `addc`, `madc`, ...)
takes and gives the carry as a last operand of type pred. What moves, loads, votes,
synchronises or jumps is not here.

Source: PTX ISA 9.0, chapter 9.7, Instructions.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

from ix.emulator import (
    alu_approx,
    alu_bit,
    alu_carry,
    alu_compare,
    alu_convert,
    alu_field,
    alu_float,
    alu_half,
    alu_integer,
    alu_minmax,
    alu_narrow,
    alu_packed,
)
from ix.emulator.alu_form import Form, Operation
from ix.emulator.errors import UnsupportedInstruction

__all__ = ["Operation", "lookup", "opcodes", "spellings"]

_FAMILIES = (
    alu_integer.FORMS,
    alu_carry.FORMS,
    alu_packed.FORMS,
    alu_bit.FORMS,
    alu_field.FORMS,
    alu_compare.FORMS,
    alu_float.FORMS,
    alu_half.FORMS,
    alu_minmax.FORMS,
    alu_approx.FORMS,
    alu_convert.FORMS,
    alu_narrow.FORMS,
)


@functools.cache
def lookup(
    opcode: str, modifiers: tuple[str, ...], inputs: int | None = None
) -> Operation:
    """The operation of an instruction, such as `add` with `("rn", "ftz", "f32")`.

    Args:
        opcode: The first word of the instruction.
        modifiers: The other words, in their order.
        inputs: How many inputs the instruction has. Only `min` and `max` of f32 need
            it: they take two unless it says three.

    Raises:
        UnsupportedInstruction: The ALU has no such instruction; says which modifiers
            the opcode takes, or that the opcode itself is unknown.
    """
    forms = _forms().get(opcode, ())
    for form in forms:
        words = form.match(modifiers)
        if words is not None and form.inputs in (None, inputs or 2):
            return form.make(words)
    name = ".".join((opcode, *modifiers))
    if not forms:
        raise UnsupportedInstruction(
            f"'{name}' needs an opcode of the ALU, but '{opcode}' is none; "
            "correct the spelling"
        )
    known = " or ".join(f"'{form}'" for form in forms)
    raise UnsupportedInstruction(
        f"'{name}' needs the modifiers of {known}, in this order, but they are "
        f"'{'.'.join(modifiers)}'; correct them"
    )


def opcodes() -> frozenset[str]:
    """Every opcode that the ALU has."""
    return frozenset(_forms())


def spellings() -> Iterator[tuple[str, tuple[str, ...], int | None]]:
    """All arguments of `lookup` that it knows."""
    for forms in _forms().values():
        for form in forms:
            for modifiers in form.spellings():
                yield form.opcode, modifiers, form.inputs


@functools.cache
def _forms() -> dict[str, tuple[Form, ...]]:
    table: dict[str, tuple[Form, ...]] = {}
    for forms in _FAMILIES:
        for form in forms:
            table[form.opcode] = (*table.get(form.opcode, ()), form)
    return table
