"""Parses the body of a function: declarations, labels and instructions.

Scopes may nest (`{ ... }` of inline assembly); what they declare gets the number of the
scope (`%r1#3`), so that names are unique within the function.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from ix.emulator.operands import OperandParser
from ix.emulator.syntax import (
    Function,
    Instruction,
    Module,
    Operand,
    Predicate,
    SourceLocation,
)
from ix.emulator.tokens import TokenStream
from ix.emulator.variables import SPACES, parse_variables

__all__ = ["BodyParser"]

_NAME = re.compile(r"[A-Za-z_$%][\w$]*\Z")


@dataclass(slots=True)
class Scope:
    """The names that a block declares: as written → unique."""

    number: int
    names: dict[str, str] = field(default_factory=dict)

    def declare(self, name: str) -> str:
        """The unique name of a name that this block declares."""
        unique = f"{name}#{self.number}" if self.number else name
        self.names[name] = unique
        return unique


class BodyParser:
    """Fills a function from the tokens of its body."""

    def __init__(self, stream: TokenStream, module: Module, function: Function) -> None:
        self.stream = stream
        self.module = module
        self.function = function
        self.scopes: list[Scope] = []
        self.scope_count = 0
        self.location: SourceLocation | None = None
        self.operands = OperandParser(stream, self._resolve, function.registers)

    def parse(self) -> None:
        """Parses from `{` to the `}` that closes the function."""
        self.stream.expect("{")
        self._open_scope()
        for parameter in (*self.function.returns, *self.function.parameters):
            if parameter.space == "reg":
                self.function.registers[parameter.name] = parameter.type
                self.scopes[0].declare(parameter.name)
        while self.scopes:
            self._parse_statement()

    def _resolve(self, name: str) -> str:
        """The unique name of what a name means here; itself if a global name."""
        for scope in reversed(self.scopes):
            unique = scope.names.get(name)
            if unique is not None:
                return unique
        return name

    def _open_scope(self) -> None:
        """Opens a block; its labels come first, for branches that go forward."""
        scope = Scope(self.scope_count)
        self.scope_count += 1
        self.scopes.append(scope)
        tokens, position, depth = self.stream.tokens, self.stream.position, 1
        while depth:
            token = tokens[position]
            if token == "{":
                depth += 1
            elif token == "}":
                depth -= 1
            elif token == ":" and depth == 1:
                scope.declare(tokens[position - 1])
            elif not token:
                raise self.stream.error("'}' at the end of the function")
            position += 1

    def _parse_statement(self) -> None:
        stream = self.stream
        token = stream.peek()
        if token == "{":
            stream.next()
            self._open_scope()
        elif token == "}":
            stream.next()
            self.scopes.pop()
        elif token == ";":
            stream.next()
        elif token.startswith("."):
            self._parse_directive(token)
        elif stream.tokens[stream.position + 1] == ":":
            self._parse_label()
        else:
            self._parse_instruction()

    def _parse_label(self) -> None:
        stream = self.stream
        name = self._resolve(stream.next())
        stream.expect(":")
        if stream.peek() in (".branchtargets", ".calltargets"):
            stream.next()
            targets = [self._resolve(stream.next())]
            while stream.accept(","):
                targets.append(self._resolve(stream.next()))
            stream.expect(";")
            self.function.branch_targets[name] = tuple(targets)
        elif stream.peek() == ".callprototype":
            self._parse_prototype()
        else:
            self.function.labels[name] = len(self.function.instructions)

    def _parse_prototype(self) -> None:
        """Skips `.callprototype (returns) _ (parameters);`: calls copy all bytes."""
        while not self.stream.accept(";"):
            self.stream.next()

    def _parse_directive(self, token: str) -> None:
        stream = self.stream
        if token == ".reg":
            self._parse_registers()
        elif token == ".loc":
            self._parse_location()
        elif token in SPACES or token == ".extern":
            for variable in parse_variables(stream):
                unique = self.scopes[-1].declare(variable.name)
                self.function.variables[unique] = replace(variable, name=unique)
        elif token == ".pragma":
            stream.position += 2
            stream.accept(";")
        else:
            raise stream.error("a directive of a function")

    def _parse_registers(self) -> None:
        """Parses `.reg .type a, %b<10>;`."""
        stream = self.stream
        stream.next()
        token = stream.next()
        width = int(token[2:]) if token in (".v2", ".v4") else 0
        type_name = stream.next()[1:] if width else token[1:]
        while True:
            name = stream.next()
            names = [name]
            if stream.accept("<"):
                names = [f"{name}{i}" for i in range(stream.integer())]
                stream.expect(">")
            if width:
                names = [f"{n}.{c}" for n in names for c in "xyzw"[:width]]
            for each in names:
                self.function.registers[self.scopes[-1].declare(each)] = type_name
            if not stream.accept(","):
                break
        stream.expect(";")

    def _parse_location(self) -> None:
        """Parses `.loc file line column [, function_name ..., inlined_at f l c]`."""
        stream = self.stream
        line = stream.line
        stream.next()
        file, at, column = stream.integer(), stream.integer(), stream.integer()
        name = self.module.files.get(file, f"file {file}")
        # Line 0 is the compiler's word for code that no line stands for.
        self.location = SourceLocation(name, at, column) if at else None
        while stream.line == line and stream.peek():
            stream.next()

    def _parse_instruction(self) -> None:
        stream = self.stream
        start, line, predicate = stream.position, stream.line, None
        if stream.accept("@"):
            negated = stream.accept("!")
            predicate = Predicate(self._resolve(stream.next()), negated)
            if predicate.register not in self.function.registers:
                stream.position -= 1
                raise stream.error("a declared predicate")
        opcode = stream.next()
        if not _NAME.match(opcode):
            stream.position -= 1
            raise stream.error("an instruction")
        modifiers: list[str] = []
        while stream.peek().startswith("."):
            modifiers.append(stream.next()[1:])
        operands: list[Operand] = []
        while not stream.accept(";"):
            operands.append(self.operands.parse())
            if not stream.accept(",") and stream.peek() != ";":
                raise stream.error("',' or ';' behind an operand")
        text = stream.text_of(start, stream.position)
        self.function.instructions.append(
            Instruction(
                opcode,
                tuple(modifiers),
                tuple(operands),
                predicate,
                line,
                text,
                self.location,
            )
        )
