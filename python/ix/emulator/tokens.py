"""Splits PTX text into tokens and hands them out one after the other."""

from __future__ import annotations

import re
import struct

from ix.emulator.errors import PtxSyntaxError
from ix.emulator.syntax import Immediate

__all__ = ["TokenStream", "parse_number"]

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)
_TOKEN = re.compile(
    r'"(?:[^"\\]|\\.)*"'  # string
    r"|0[fF][0-9a-fA-F]{8}|0[dD][0-9a-fA-F]{16}"  # bits of a float
    r"|0[xX][0-9a-fA-F]+U?|0[bB][01]+U?"
    r"|\d+\.\d*(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\d+U?"
    r"|\.[A-Za-z0-9_]+(?:::[A-Za-z0-9_]+)*"  # directive or modifier
    r"|[A-Za-z_$%][\w$]*"  # name
    r"|\S"  # punctuation
)

# Spaces that an instruction does not have between its tokens.
_SPACE = re.compile(r" (?=\.[A-Za-z0-9_])| (?=[,;\])}|>+])|(?<=[\[({@!|<+-]) ")


def _blank(comment: re.Match[str]) -> str:
    """What replaces a comment: its line breaks, so that line numbers hold."""
    return "\n" * comment[0].count("\n") or " "


class TokenStream:
    """The tokens of a text, with the line that each stands on.

    Attributes:
        tokens: All tokens, with an empty string behind the last.
        position: Index of the next token.
    """

    def __init__(self, text: str) -> None:
        self.tokens: list[str] = []
        self.lines: list[int] = []
        body = _COMMENT.sub(_blank, text)
        for number, line in enumerate(body.split("\n"), start=1):
            found = _TOKEN.findall(line)
            if found:
                self.tokens += found
                self.lines += [number] * len(found)
        self.lines.append(self.lines[-1] if self.lines else 1)
        self.tokens.append("")
        self.position = 0

    def peek(self) -> str:
        """The next token, which stays; empty at the end."""
        return self.tokens[self.position]

    def next(self) -> str:
        """Takes the next token."""
        token = self.tokens[self.position]
        if not token:
            raise self.error("the rest of a statement")
        self.position += 1
        return token

    def accept(self, token: str) -> bool:
        """Takes the next token if it is this one."""
        if self.tokens[self.position] != token:
            return False
        self.position += 1
        return True

    def expect(self, token: str) -> None:
        """Takes a token that must be this one."""
        if not self.accept(token):
            raise self.error(repr(token))

    def integer(self) -> int:
        """Takes an integer, with an optional sign."""
        sign = -1 if self.accept("-") else 1
        value = parse_number(self.next())
        if value is None or not isinstance(value.value, int):
            self.position -= 1
            raise self.error("an integer")
        return sign * value.value

    @property
    def line(self) -> int:
        """The line of the next token, from 1."""
        return self.lines[self.position]

    def text_of(self, start: int, stop: int) -> str:
        """The tokens from start to before stop, spaced as an instruction is."""
        return _SPACE.sub("", " ".join(self.tokens[start:stop]))

    def error(self, wanted: str) -> PtxSyntaxError:
        """An error that says what is wanted here, and what is there."""
        found = self.peek()
        fact = f"{found!r} is there" if found else "the text ends"
        return PtxSyntaxError(
            f"PTX line {self.line}: 'parser' needs {wanted}, but {fact}; "
            "pass a complete PTX module"
        )


def parse_number(token: str) -> Immediate | None:
    """The constant that a token is, or None if it is none."""
    head = token[0]
    if not head.isdigit():
        return None
    kind = token[1:2]
    if kind in ("f", "F"):
        bits = int(token[2:], 16)
        return Immediate(
            struct.unpack("<f", bits.to_bytes(4, "little"))[0], "f32", bits
        )
    if kind in ("d", "D"):
        bits = int(token[2:], 16)
        return Immediate(
            struct.unpack("<d", bits.to_bytes(8, "little"))[0], "f64", bits
        )
    digits = token.rstrip("U")
    if kind in ("x", "X"):
        return Immediate(int(digits, 16))
    if kind in ("b", "B"):
        return Immediate(int(digits, 2))
    if "." in token or "e" in token or "E" in token:
        value = float(token)
        return Immediate(
            value, "f64", int.from_bytes(struct.pack("<d", value), "little")
        )
    is_octal = head == "0" and len(digits) > 1
    return Immediate(int(digits, 8 if is_octal else 10))
