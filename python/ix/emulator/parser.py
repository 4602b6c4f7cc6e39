"""Parses PTX modules.

    module    = directive* (variable | entry | func)*
    entry     = .entry name ( parameters ) directive* { body }
    func      = .func [( returns )] name ( parameters ) directive* ({ body } | ;)

Source: PTX ISA, "Syntax" and "Directives".
"""

from __future__ import annotations

import re

from ix.emulator.function_body import BodyParser
from ix.emulator.syntax import Function, Module
from ix.emulator.tokens import TokenStream
from ix.emulator.variables import SPACES, parse_parameters, parse_variables

__all__ = ["parse_module"]

_FILE = re.compile(r'^\s*\.file\s+(\d+)\s+"([^"]*)"', re.M)


def parse_module(text: str) -> Module:
    """Parses the text of a module.

    Raises:
        PtxSyntaxError: Something is no PTX, or PTX that the emulator does not know.
    """
    stream, module = TokenStream(text), Module()
    # Files may be declared behind the functions that refer to them.
    module.files = {int(n): name for n, name in _FILE.findall(text)}
    while stream.peek():
        _parse_directive(stream, module)
    return module


def _parse_directive(stream: TokenStream, module: Module) -> None:
    token = stream.peek()
    if token == ".version":
        stream.next()
        major, _, minor = stream.next().partition(".")
        module.version = (int(major), int(minor or "0"))
    elif token == ".target":
        stream.next()
        module.target = stream.next()
        while stream.accept(","):
            stream.next()
    elif token == ".address_size":
        stream.position += 2
    elif token == ".file":
        _skip_file(stream)
    elif token in (".section", ".pragma", ".alias"):
        _skip(stream)
    elif token == ";":
        stream.next()
    else:
        _parse_declaration(stream, module)


def _parse_declaration(stream: TokenStream, module: Module) -> None:
    """Parses a variable or function with the linking directives before it."""
    start = stream.position
    while stream.peek() in (".visible", ".extern", ".weak", ".common"):
        stream.next()
    token = stream.peek()
    if token in (".entry", ".func"):
        function = _parse_function(stream, module)
        known = module.functions.get(function.name)
        if known is None or not known.is_defined:
            module.functions[function.name] = function
        return
    if token not in SPACES:
        raise stream.error("a directive of a module")
    stream.position = start
    for variable in parse_variables(stream):
        module.variables[variable.name] = variable


def _parse_function(stream: TokenStream, module: Module) -> Function:
    line = stream.line
    is_entry = stream.next() == ".entry"
    returns = parse_parameters(stream) if stream.peek() == "(" else []
    function = Function(stream.next(), is_entry, line, returns=returns)
    if stream.peek() == "(":
        function.parameters = parse_parameters(stream)
    while stream.peek().startswith("."):
        _parse_function_directive(stream, function)
    if stream.accept(";"):
        function.is_defined = False
        return function
    BodyParser(stream, module, function).parse()
    return function


def _parse_function_directive(stream: TokenStream, function: Function) -> None:
    name = stream.next()[1:]
    if name == "pragma":
        stream.next()
        stream.accept(";")
        return
    numbers: list[int] = []
    while stream.peek()[:1].isdigit():
        numbers.append(stream.integer())
        stream.accept(",")
    function.directives[name] = tuple(numbers)


def _skip_file(stream: TokenStream) -> None:
    """Skips `.file 1 "name" [, time, size]`."""
    stream.position += 3
    while stream.accept(","):
        stream.integer()


def _skip(stream: TokenStream) -> None:
    """Skips a directive up to its semicolon, or with the block behind it."""
    while stream.peek() not in (";", "{"):
        stream.next()
    depth = 0
    while True:
        token = stream.next()
        depth += (token == "{") - (token == "}")
        if depth == 0:
            return
