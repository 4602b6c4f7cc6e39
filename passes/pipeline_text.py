"""Textual pass pipelines, as `mlir-opt` writes them, with ix passes among the others.

pipeline  ::=  element ("," element)*
element   ::=  pass-name ("{" options "}")?  |  op-name "(" pipeline ")"

`builtin.module(ix-fold-transpose,func.func(cse,ix-tile{m=8}))` becomes a tree, since
the upstream parser knows no Python pass.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ix.errors import InputError
from ix.passes.definition import Pass

__all__ = ["Anchor", "Leaf", "Node", "join", "parse_options", "parse_pipeline"]


@dataclass(frozen=True)
class Leaf:
    """One pass: an ix pass, or an upstream pass as text."""

    text: str
    ix_pass: Pass | None = None

    @property
    def name(self) -> str:
        """The pass's name without options."""
        return self.text.partition("{")[0]

    def is_upstream(self) -> bool:
        """Whether the upstream pass manager can run it."""
        return self.ix_pass is None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Anchor:
    """Passes that run on each op named `op_name` directly inside the current op."""

    op_name: str
    children: tuple[Node, ...]

    def is_upstream(self) -> bool:
        """Whether the upstream pass manager can run all of it."""
        return all(child.is_upstream() for child in self.children)

    def __str__(self) -> str:
        return f"{self.op_name}({join(self.children)})"


Node = Leaf | Anchor


def join(nodes: Sequence[Node]) -> str:
    """The text of a pipeline."""
    return ",".join(str(node) for node in nodes)


def parse_pipeline(
    text: str, find_pass: Callable[[str], Pass | None]
) -> tuple[Node, ...]:
    """Reads a textual pipeline.

    Args:
        text: Elements separated by commas.
        find_pass: Gives the ix pass of a name, or None for upstream's to judge.

    Raises:
        InputError: The text is no pipeline, or an option is unknown or malformed.
    """
    reader = _Reader(text, find_pass)
    nodes = reader.elements()
    if reader.rest():
        raise reader.error("',' or the end")
    return nodes


def parse_options(text: str) -> dict[str, str]:
    """Splits `a=1 b=[1, 2] c='x y' flag` into names and texts; a flag reads `true`.

    Raises:
        InputError: A quote or bracket is not closed.
    """
    options: dict[str, str] = {}
    position = 0
    while match := re.compile(r"\s*([^\s=]+)").match(text, position):
        position = match.end()
        value = "true"
        if text[position : position + 1] == "=":
            end = _end_of_value(text, position + 1)
            if end is None:
                raise InputError(f"pass options '{text}' leave a quote or bracket open")
            value, position = text[position + 1 : end], end
        options[match[1]] = value
    return options


_CLOSING = {"[": "]", "{": "}", "(": ")", "'": "'", '"': '"'}


def _end_of_value(text: str, start: int, *, stop_at_braces: bool = False) -> int | None:
    """Where the option value that begins at `start` ends; None if a bracket is open.

    It ends at a space outside quotes and brackets, or, for `stop_at_braces`, behind
    the bracket that closes the one at `start`.
    """
    closing: list[str] = []
    for position in range(start, len(text)):
        char = text[position]
        if closing and char == closing[-1]:
            closing.pop()
            if stop_at_braces and not closing:
                return position + 1
        elif closing and closing[-1] in "'\"":
            continue
        elif char in _CLOSING:
            closing.append(_CLOSING[char])
        elif char.isspace() and not closing:
            return position
    return None if closing else len(text)


class _Reader:
    """A recursive-descent reader over one pipeline text."""

    def __init__(self, text: str, find_pass: Callable[[str], Pass | None]) -> None:
        self._text = text
        self._position = 0
        self._find_pass = find_pass

    def rest(self) -> str:
        """What has not been read."""
        return self._text[self._position :]

    def error(self, wanted: str) -> InputError:
        """The error that something else than `wanted` comes next."""
        found = f"'{self.rest()[:20]}'" if self.rest() else "the end"
        return InputError(
            f"pass pipeline '{self._text}' needs {wanted} at column "
            f"{self._position + 1}, but found {found}"
        )

    def elements(self) -> tuple[Node, ...]:
        """Reads `element ("," element)*`; nothing at all is an empty pipeline."""
        self._skip_spaces()
        if not self.rest() or self.rest()[0] == ")":
            return ()
        nodes = [self._element()]
        while self._take(","):
            nodes.append(self._element())
        return tuple(nodes)

    def _element(self) -> Node:
        self._skip_spaces()
        match = re.match(r"[^,(){}\s]+", self.rest())
        if match is None:
            raise self.error("a pass or op name")
        name = match[0]
        self._position += match.end()
        if self._take("("):
            children = self.elements()
            if not self._take(")"):
                raise self.error("')'")
            return Anchor(name, children)
        return self._leaf(name, self._braces())

    def _leaf(self, name: str, options: str) -> Leaf:
        ix_pass = self._find_pass(name)
        if ix_pass is None:
            return Leaf(f"{name}{{{options}}}" if options else name)
        values: dict[str, Any] = {}
        for key, text in parse_options(options).items():
            option = ix_pass.option(key)
            try:
                values[option.name] = option.parse(text)
            except ValueError as error:
                raise InputError(f"pass '{name}': {error}") from None
        ix_pass = ix_pass.with_options(**values)
        return Leaf(str(ix_pass), ix_pass)

    def _braces(self) -> str:
        """Reads `{options}` if it is next; the text between the braces."""
        if not self.rest().startswith("{"):
            self._skip_spaces()
            return ""
        end = _end_of_value(self._text, self._position, stop_at_braces=True)
        if end is not None:
            inner = self._text[self._position + 1 : end - 1]
            self._position = end
            self._skip_spaces()
            return inner
        raise self.error("a '}' for each '{'")

    def _take(self, char: str) -> bool:
        self._skip_spaces()
        if not self.rest().startswith(char):
            return False
        self._position += 1
        return True

    def _skip_spaces(self) -> None:
        self._position += len(self.rest()) - len(self.rest().lstrip())
