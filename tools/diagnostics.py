"""Diagnostics as `mlir-opt` shows them, and as tests expect them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TextIO

from ix.mlir import ir

__all__ = ["Diagnostic", "ExpectedDiagnostics", "Printer", "from_mlir", "from_text"]

_LOCATED = re.compile(
    r"(?s)(?P<file>.+?):(?P<line>\d+):(?P<column>\d+): error: (?P<m>.*)"
)

_EXPECTED = re.compile(
    r"expected-(?P<severity>error|note|remark|warning)(?P<regex>-re)?"
    r" *(?:@(?P<where>[+-]\d+|above|below|unknown))? *\{\{(?P<text>.*)\}\}\s*$"
)


@dataclass(frozen=True)
class Diagnostic:
    """One message about a place in a file; line 0 means that the place is unknown."""

    severity: str  # error, warning, remark or note
    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else "<unknown>"
        return f"{where}: {self.severity}: {self.message}"


def from_mlir(diagnostic: Any, file_name: str) -> list[Diagnostic]:
    """An MLIR diagnostic and its notes; the unnamed source "-" becomes `file_name`."""
    location = ir.Location.from_attr(diagnostic.location.attr)  # of its own class
    file, line, column = _position(location)
    severity = diagnostic.severity.name.lower()
    found = Diagnostic(
        severity,
        file_name if file == "-" else file,
        line,
        column,
        str(diagnostic.message),
    )
    notes = [each for note in diagnostic.notes for each in from_mlir(note, file_name)]
    return [found, *notes]


def from_text(message: str) -> Diagnostic:
    """The diagnostic that the message of an ix error states."""
    match = _LOCATED.fullmatch(message)
    if match is None:
        return Diagnostic("error", "", 0, 0, message)
    line, column = int(match["line"]), int(match["column"])
    return Diagnostic("error", match["file"], line, column, match["m"])


@dataclass
class Printer:
    """Writes diagnostics with the source line and a caret below them.

    Args:
        lines: The lines of the file that is processed.
        file_name: Its name.
        print_op: Whether to show the notes that print the op at fault.
        stream: Where to; standard error by default.
    """

    lines: list[str]
    file_name: str
    print_op: bool = True
    stream: TextIO | None = None

    def show(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Writes the diagnostics, most often one and its notes."""
        stream = self.stream or sys.stderr
        for each in diagnostics:
            if each.message.startswith("see current operation") and not self.print_op:
                continue
            print(each, file=stream)
            if each.file == self.file_name and 0 < each.line <= len(self.lines):
                print(self.lines[each.line - 1], file=stream)
                print(" " * (each.column - 1) + "^", file=stream)


@dataclass
class _Expectation:
    """One `expected-…` comment."""

    severity: str
    line: int  # of the diagnostic; 0 for @unknown
    pattern: re.Pattern[str]
    text: str
    comment_line: int
    comment_column: int
    seen: bool = False


@dataclass
class ExpectedDiagnostics:
    """The diagnostics that the comments of a file ask for.

        expected-error {{text}}               on this line
        expected-note @+1 {{text}}            lines up or down; also @above, @below,
        expected-error @unknown {{text}}      and nowhere
        expected-warning-re {{up to {{[0-9]+}}}}   with regular expressions inside

    Args:
        file_name: The file that the comments are about.
        only_expected: Do not complain about diagnostics that no comment asks for.
    """

    file_name: str
    only_expected: bool = False
    problems: list[Diagnostic] = field(default_factory=list)
    _expected: list[_Expectation] = field(default_factory=list)

    def read(self, lines: Iterable[tuple[int, str]]) -> None:
        """Takes the comments of numbered lines."""
        last_code = 0
        waiting: list[_Expectation] = []  # for @below
        for number, line in lines:
            match = _EXPECTED.search(line)
            if match is None:
                last_code = number
                for each in waiting:
                    each.line = number
                waiting.clear()
                continue
            expectation = _expectation(match, number, last_code)
            self._expected.append(expectation)
            if match["where"] == "below":
                waiting.append(expectation)

    def check(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Compares diagnostics with the comments; differences become problems."""
        for each in diagnostics:
            if each.message.startswith("see current operation"):
                continue
            here = each.line if each.file == self.file_name or not each.line else -1
            matches = [
                e
                for e in self._expected
                if e.line == here and e.pattern.search(each.message)
            ]
            exact = [e for e in matches if e.severity == each.severity]
            if exact:
                unseen = [e for e in exact if not e.seen]
                (unseen or exact)[0].seen = True
            elif not self.only_expected:
                text = f"unexpected {each.severity}: {each.message}"
                self.problems.append(
                    Diagnostic("error", each.file, each.line, each.column, text)
                )

    def finish(self) -> list[Diagnostic]:
        """The problems, with those for expectations that were not met."""
        missing = [
            Diagnostic(
                "error",
                self.file_name,
                each.comment_line,
                each.comment_column,
                f'expected {each.severity} "{each.text}" was not produced',
            )
            for each in self._expected
            if not each.seen
        ]
        return self.problems + missing


def _expectation(match: re.Match[str], line: int, last_code: int) -> _Expectation:
    where = match["where"] or "+0"
    if where == "above":
        target = last_code
    elif where == "below" or where == "unknown":
        target = 0
    else:
        target = line + int(where)
    text = match["text"]
    pattern = _segmented(text) if match["regex"] else re.compile(re.escape(text))
    return _Expectation(
        match["severity"], target, pattern, text, line, match.start() + 1
    )


def _segmented(text: str) -> re.Pattern[str]:
    """Literal text with regular expressions between double braces."""
    parts = re.split(r"\{\{(.*?)\}\}", text)
    return re.compile(
        "".join(
            f"(?:{part})" if index % 2 else re.escape(part)
            for index, part in enumerate(parts)
        )
    )


def _position(location: Any) -> tuple[str, int, int]:
    """File, line and column of a location: of the first part that has them."""
    if isinstance(location, ir.FileLineColLoc):
        return location.filename, location.start_line, location.start_col
    if isinstance(location, ir.NameLoc):
        return _position(location.child_loc)
    if isinstance(location, ir.CallSiteLoc):
        return _position(location.callee)
    if isinstance(location, ir.FusedLoc):
        for part in location.locations:
            found = _position(part)
            if found[1]:
                return found
    return "", 0, 0
