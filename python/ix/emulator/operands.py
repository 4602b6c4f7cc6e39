"""Parses the operands of instructions."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ix.emulator.syntax import (
    Address,
    Immediate,
    Negated,
    Operand,
    Pair,
    Register,
    Sink,
    SpecialRegister,
    Symbol,
    Vector,
)
from ix.emulator.tokens import TokenStream, parse_number

__all__ = ["OperandParser"]

# Special registers whose name has no component behind it.
_WITH_COMPONENT = ("x", "y", "z", "w")


class OperandParser:
    """Parses operands from a stream.

    Args:
        resolve: Gives the unique name of a name as it is written.
        registers: The declared registers by unique name; may still grow.
    """

    def __init__(
        self,
        stream: TokenStream,
        resolve: Callable[[str], str],
        registers: Mapping[str, str],
    ) -> None:
        self.stream = stream
        self.resolve = resolve
        self.registers = registers

    def parse(self) -> Operand:
        """Parses one operand, or a pair `d|p`."""
        operand = self._parse_single()
        if self.stream.accept("|"):
            return Pair(operand, self._parse_single())
        return operand

    def _parse_single(self) -> Operand:
        stream = self.stream
        token = stream.next()
        if token == "[":
            return self._parse_address()
        if token in ("{", "("):
            return self._parse_list("}" if token == "{" else ")")
        if token == "!":
            return self._parse_not()
        if token in ("-", "+"):
            return self._parse_signed(token)
        number = parse_number(token)
        return self._parse_name(token) if number is None else number

    def _parse_list(self, close: str) -> Vector:
        elements: list[Operand] = []
        while not self.stream.accept(close):
            elements.append(self.parse())
            self.stream.accept(",")
        return Vector(tuple(elements))

    def _parse_not(self) -> Operand:
        operand = self._parse_single()
        if isinstance(operand, Register):
            return Negated(operand)
        if isinstance(operand, Immediate):
            return Immediate(int(not operand.value))
        raise self.stream.error("a predicate behind '!'")

    def _parse_signed(self, sign: str) -> Immediate:
        number = parse_number(self.stream.next())
        if number is None:
            self.stream.position -= 1
            raise self.stream.error("a number behind a sign")
        if sign == "+":
            return number
        if number.kind == "int":
            return Immediate(-number.value)
        top = 1 << (31 if number.kind == "f32" else 63)
        return Immediate(-number.value, number.kind, number.bits ^ top)

    def _parse_name(self, token: str) -> Operand:
        stream = self.stream
        if token == "_":
            return Sink()
        if not (token[0].isalpha() or token[0] in "_$%"):
            stream.position -= 1
            raise stream.error("an operand")
        unique = self.resolve(token)
        if unique in self.registers:
            return Register(unique)
        component = stream.peek()
        if component.startswith(".") and component[1:] in _WITH_COMPONENT:
            stream.next()
            whole = token + component
            unique = self.resolve(whole)
            if unique in self.registers:
                return Register(unique)
            return SpecialRegister(whole)
        if token.startswith("%") or token == "WARP_SZ":
            return SpecialRegister(token)
        return Symbol(unique, self._parse_offset())

    def _parse_offset(self) -> int:
        """Parses `+4`, `-4` or `+-4` if it is there; bytes."""
        if self.stream.accept("+"):
            return self.stream.integer()
        if self.stream.accept("-"):
            return -self.stream.integer()
        return 0

    def _parse_address(self) -> Address:
        base = self._parse_single()
        offset = self._parse_offset()
        coordinates: tuple[Operand, ...] = ()
        if isinstance(base, Symbol) and base.offset:
            base, offset = Symbol(base.name), base.offset + offset
        if self.stream.accept(","):
            rest = self._parse_single()
            coordinates = rest.elements if isinstance(rest, Vector) else (rest,)
        self.stream.expect("]")
        if not isinstance(base, Register | Symbol | Immediate):
            raise self.stream.error("a register or variable as the base of an address")
        return Address(base, offset, coordinates)
