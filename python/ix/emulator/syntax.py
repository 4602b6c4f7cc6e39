"""What the parser makes of PTX text: modules, functions, variables, instructions.

Register names are unique within a function: those of nested scopes carry `#n`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = [
    "Address",
    "Function",
    "Immediate",
    "Instruction",
    "Module",
    "Negated",
    "Operand",
    "Pair",
    "Predicate",
    "Register",
    "Sink",
    "SourceLocation",
    "SpecialRegister",
    "Symbol",
    "Variable",
    "Vector",
]


@dataclass(frozen=True, slots=True)
class Register:
    """A register that the function declares."""

    name: str


@dataclass(frozen=True, slots=True)
class SpecialRegister:
    """A register that the machine has, such as `%tid.x`."""

    name: str


@dataclass(frozen=True, slots=True)
class Immediate:
    """A constant.

    kind:  "int" (value is an int), "f32" or "f64" (value is a float)
    bits:  the bits of a floating-point constant of that kind, exactly
    """

    value: int | float
    kind: str = "int"
    bits: int = 0


@dataclass(frozen=True, slots=True)
class Symbol:
    """The address of a variable or function plus bytes, or the name of a label."""

    name: str
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Negated:
    """A predicate operand with `!`."""

    operand: Register


@dataclass(frozen=True, slots=True)
class Sink:
    """`_`: a result that nobody wants, or an operand that is left out."""


@dataclass(frozen=True, slots=True)
class Vector:
    """`{a, b, ...}`, and the parenthesised lists of `call`."""

    elements: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """`d|p`: two results."""

    first: Operand
    second: Operand


@dataclass(frozen=True, slots=True)
class Address:
    """`[base+offset]`, or `[base, {c0, c1, ...}]` of a tensor map; offset in bytes."""

    base: Register | Symbol | Immediate
    offset: int = 0
    coordinates: tuple[Operand, ...] = ()


Operand = (
    Register
    | SpecialRegister
    | Immediate
    | Symbol
    | Negated
    | Sink
    | Vector
    | Pair
    | Address
)


@dataclass(frozen=True, slots=True)
class Predicate:
    """`@p` or `@!p`."""

    register: str
    negated: bool


@dataclass(frozen=True, slots=True)
class SourceLocation:
    """Where an instruction comes from, as `.loc` says."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction.

    opcode:     "ld" of `ld.global.v4.f32`
    modifiers:  ("global", "v4", "f32")
    line:       line of the PTX text, from 1
    text:       the instruction as it is written, in one line
    location:   the innermost `.loc` that covers it, if any
    """

    opcode: str
    modifiers: tuple[str, ...]
    operands: tuple[Operand, ...]
    predicate: Predicate | None
    line: int
    text: str
    location: SourceLocation | None = None

    @property
    def name(self) -> str:
        """The opcode with its modifiers, as it is written."""
        return ".".join((self.opcode, *self.modifiers))

    @property
    def type(self) -> str:
        """The last modifier, which is the type of most instructions."""
        return self.modifiers[-1] if self.modifiers else ""

    def has(self, *modifiers: str) -> bool:
        """Whether any of the modifiers is there."""
        return any(modifier in self.modifiers for modifier in modifiers)


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a module or function.

    space:        "global", "const", "shared", "local" or "param"
    type:         element type
    count:        elements; None for `extern` arrays of unknown size
    align:        bytes
    initialiser:  flat values: numbers, or Symbols for addresses (name, offset)
    is_generic:   whether the address initialisers are generic addresses
    """

    name: str
    space: str
    type: str
    count: int | None
    align: int
    initialiser: tuple[int | float | Symbol, ...] = ()
    is_generic: bool = False
    line: int = 0


@dataclass(slots=True)
class Function:
    """An entry or a `.func`.

    registers:       name → PTX type
    labels:          unique name → index of the instruction it stands before
    branch_targets:  label of a `.branchtargets` list → the labels in it
    directives:      numbers of `.maxntid`, `.reqntid`, `.minnctapersm`, ...
    """

    name: str
    is_entry: bool
    line: int
    parameters: list[Variable] = field(default_factory=list)
    returns: list[Variable] = field(default_factory=list)
    registers: dict[str, str] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)
    instructions: list[Instruction] = field(default_factory=list)
    labels: dict[str, int] = field(default_factory=dict)
    branch_targets: dict[str, tuple[str, ...]] = field(default_factory=dict)
    directives: dict[str, tuple[int, ...]] = field(default_factory=dict)
    is_defined: bool = True


@dataclass(slots=True)
class Module:
    """A parsed module; `version` as (major, minor)."""

    version: tuple[int, int] = (0, 0)
    target: str = ""
    functions: dict[str, Function] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)
    files: dict[int, str] = field(default_factory=dict)

    def entries(self) -> Iterator[Function]:
        """The kernels, in the order of the text."""
        return (f for f in self.functions.values() if f.is_entry)
