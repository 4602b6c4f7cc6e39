"""Parses declarations of variables and parameters.

[.extern] .shared .align 16 .b8 buffer[1024] = {1, 2}, other;
.param .u64 .ptr .global .align 8 name
"""

from __future__ import annotations

from ix.emulator.ptx_types import bytes_of, is_type
from ix.emulator.syntax import Immediate, Symbol, Variable
from ix.emulator.tokens import TokenStream, parse_number

__all__ = ["SPACES", "parse_parameters", "parse_variables"]

SPACES = (".global", ".const", ".shared", ".local", ".param")
_LINKING = (".extern", ".visible", ".weak", ".common")


def parse_variables(stream: TokenStream) -> list[Variable]:
    """Parses one declaration, up to and with its semicolon."""
    is_extern = False
    while stream.peek() in _LINKING:
        is_extern |= stream.next() == ".extern"
    space = stream.next()[1:]
    type_name, align, width = _parse_type(stream)
    found: list[Variable] = []
    while True:
        found.append(_parse_declarator(stream, space, type_name, align, width))
        if not stream.accept(","):
            break
    stream.expect(";")
    return found


def parse_parameters(stream: TokenStream) -> list[Variable]:
    """Parses `( .param .u64 a, .reg .b32 b, ... )`; a `.reg` has the space "reg"."""
    stream.expect("(")
    found: list[Variable] = []
    while not stream.accept(")"):
        space = stream.next()[1:]
        type_name, align, width = _parse_type(stream)
        found.append(_parse_declarator(stream, space, type_name, align, width))
        stream.accept(",")
    return found


def _parse_type(stream: TokenStream) -> tuple[str, int, int]:
    """Type, alignment in bytes (0 if natural) and vector width of a declaration."""
    align, width, type_name = 0, 1, ""
    while stream.peek().startswith("."):
        token = stream.next()
        if token == ".align":
            # The alignment of `.ptr` is that of the pointee.
            value = stream.integer()
            align = align if type_name else value
        elif token == ".attribute":
            while not stream.accept(")"):
                stream.next()
        elif token in (".v2", ".v4", ".v8"):
            width = int(token[2:])
        elif is_type(token[1:]):
            type_name = token[1:]
        elif token not in (".ptr", *SPACES):
            stream.position -= 1
            raise stream.error("a type")
    if not type_name:
        raise stream.error("a type")
    return type_name, align, width


def _parse_declarator(
    stream: TokenStream, space: str, type_name: str, align: int, width: int
) -> Variable:
    line, name = stream.line, stream.next()
    count: int | None = width
    while stream.accept("["):
        if stream.accept("]"):
            count = None
            continue
        count = (count or 1) * stream.integer()
        stream.expect("]")
    values: list[int | float | Symbol] = []
    is_generic = False
    if stream.accept("="):
        is_generic = _parse_initialiser(stream, values)
        count = len(values) if count is None else count
    natural = bytes_of(type_name) * width
    return Variable(
        name, space, type_name, count, align or natural, tuple(values), is_generic, line
    )


def _parse_initialiser(stream: TokenStream, values: list[int | float | Symbol]) -> bool:
    """Appends the values; whether any is a generic address."""
    if stream.accept("{"):
        is_generic = False
        while not stream.accept("}"):
            is_generic |= _parse_initialiser(stream, values)
            stream.accept(",")
        return is_generic
    is_negative = stream.accept("-")
    token = stream.next()
    number = parse_number(token)
    if number is not None:
        values.append(_signed(number, is_negative))
        return False
    is_generic = token == "generic"
    if is_generic:
        stream.expect("(")
        token = stream.next()
    offset = _parse_offset(stream)
    if is_generic:
        stream.expect(")")
        offset += _parse_offset(stream)
    values.append(Symbol(token, offset))
    return is_generic


def _parse_offset(stream: TokenStream) -> int:
    """Parses `+4` or `-4` if it is there; bytes."""
    if stream.accept("+"):
        return stream.integer()
    if stream.accept("-"):
        return -stream.integer()
    return 0


def _signed(number: Immediate, is_negative: bool) -> int | float:
    return -number.value if is_negative else number.value
