"""Which instructions the ALU has: one line of the ISA's syntax each, and its maker.

A line lists the modifiers of an opcode in their order, separated by spaces:

    rnd=rn|rz          one of these words, which the maker finds under `rnd`
    ftz                this word, found under its own name
    [sat]              may be missing, and is then the empty string

so `Form("add", "[rnd=rn|rz|rm|rp] [ftz] [sat] type=f32", make)` is
`add{.rnd}{.ftz}{.sat}.f32`. `Form.match` reads the modifiers of one instruction;
`Form.spellings` lists all that a line allows, which is what the tests go through.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

__all__ = ["Array", "Form", "Operation", "Words", "same_type"]

Array = NDArray[Any]
Words = Mapping[str, str]


@dataclass(frozen=True)
class Operation:
    """What one ALU instruction computes.

    Attributes:
        sources: The PTX types of the operands.
        results: The PTX types of the results.
        function: Takes one value for each source, a NumPy scalar or an array over
            threads with the dtype of its type (`ptx_types.DTYPES`), and changes none of
            them. Gives the result, or a tuple where there are several. It may
            overflow and divide by zero: call it under `np.errstate(all="ignore")`.
    """

    sources: tuple[str, ...]
    results: tuple[str, ...]
    function: Callable[..., Any]


class Form:
    """One line of the syntax of an opcode.

    Args:
        opcode: The first word of the instruction.
        modifiers: The other words, as the module's docstring describes them.
        make: Gives the operation for the words that were chosen.
        inputs: The number of inputs where the modifiers alone do not tell it, as for
            `min` of two or three f32; None elsewhere.
    """

    def __init__(
        self,
        opcode: str,
        modifiers: str,
        make: Callable[[Words], Operation],
        inputs: int | None = None,
    ) -> None:
        self.opcode = opcode
        self.make = make
        self.inputs = inputs
        self._slots = [_Slot.parse(text) for text in modifiers.split()]

    def __str__(self) -> str:
        return self.opcode + "".join(map(str, self._slots))

    def match(self, modifiers: tuple[str, ...]) -> Words | None:
        """The chosen words by name; None if the modifiers are not of this form."""
        words: dict[str, str] = {}
        rest = list(modifiers)
        for slot in self._slots:
            if rest and rest[0] in slot.choices:
                words[slot.name] = rest.pop(0)
            elif slot.optional:
                words[slot.name] = ""
            else:
                return None
        return None if rest else words

    def spellings(self) -> Iterator[tuple[str, ...]]:
        """Every tuple of modifiers that this form allows."""
        choices = [("",) * slot.optional + slot.choices for slot in self._slots]
        for chosen in itertools.product(*choices):
            yield tuple(word for word in chosen if word)


@dataclass(frozen=True)
class _Slot:
    """A place in the list of modifiers."""

    name: str
    choices: tuple[str, ...]
    optional: bool

    def __str__(self) -> str:
        words = "|".join(self.choices)
        return f"{{.{words}}}" if self.optional else f".{words}"

    @staticmethod
    def parse(text: str) -> _Slot:
        optional = text.startswith("[")
        name, _, choices = text.strip("[]").rpartition("=")
        return _Slot(name or choices, tuple(choices.split("|")), optional)


def same_type(kind: str, count: int, function: Callable[..., Any]) -> Operation:
    """An operation whose `count` sources and one result have the same type."""
    return Operation((kind,) * count, (kind,), function)
