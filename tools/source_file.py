"""Reads MLIR files in chunks, and gives their ops locations in the file itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ix.mlir import ir

__all__ = ["Chunk", "parse_chunk", "read_chunks", "reproduced_pipeline"]

_BYTECODE = b"ML\xefR"
_UNNAMED = "-"  # what the bindings call the source of a parsed text


@dataclass(frozen=True)
class Chunk:
    """A part of a file that is processed on its own.

    Args:
        content: Text, or bytes of MLIR bytecode.
        lines_before: Lines of the file before the chunk.
    """

    content: str | bytes
    lines_before: int = 0


def read_chunks(data: bytes, marker: str | None) -> list[Chunk]:
    """Splits a file at the lines that hold `marker`; None does not split.

    Bytecode is never split.

    Raises:
        UnicodeDecodeError: The file is neither bytecode nor UTF-8 text.
    """
    if data.startswith(_BYTECODE):
        return [Chunk(data)]
    text = data.decode("utf-8")
    if not marker:
        return [Chunk(text)]
    chunks: list[Chunk] = []
    start = 0
    pattern = re.compile(rf"^[ \t]*{re.escape(marker)}[^\n]*\n?", re.MULTILINE)
    for match in pattern.finditer(text):
        chunks.append(Chunk(text[start : match.start()], text.count("\n", 0, start)))
        start = match.end()
    chunks.append(Chunk(text[start:], text.count("\n", 0, start)))
    return chunks


def parse_chunk(
    chunk: Chunk, file_name: str, context: Any, *, implicit_module: bool = True
) -> Any:
    """Parses a chunk into an operation, a module unless `implicit_module` is off.

    Returns:
        The operation. Its locations name `file_name` and lines of the whole file.

    Raises:
        ir.MLIRError: The text does not parse, or the IR does not verify. The
            diagnostics name the source "-".
    """
    with context:
        if isinstance(chunk.content, bytes):
            return ir.Module.parse(chunk.content).operation
        text = "\n" * chunk.lines_before + chunk.content
        if not implicit_module:
            return ir.Operation.parse(text, source_name=file_name).operation
        module = ir.Module.parse(text)
        _name_source(module.operation, file_name)
        return module.operation


def reproduced_pipeline(chunk: Chunk) -> str | None:
    """The pipeline that a reproducer file asks for, or None."""
    if isinstance(chunk.content, bytes):
        return None
    match = re.search(
        r'mlir_reproducer:\s*\{\s*pipeline:\s*"((?:[^"\\]|\\.)*)"', chunk.content
    )
    return re.sub(r"\\(.)", r"\1", match[1]) if match else None


def _name_source(root: Any, file_name: str) -> None:
    """Renames the source "-" in the locations of an op and of all inside it."""
    for owner in _located(root):
        old = owner.location
        new = _renamed(old, file_name)
        if new is old:
            continue
        if isinstance(owner, ir.BlockArgument):
            owner.set_location(new)
        else:
            owner.location = new


def _located(root: Any) -> Iterator[Any]:
    """The op, the ops inside it, and the arguments of their blocks."""
    found: list[Any] = []

    def visit(op: Any) -> ir.WalkResult:
        found.append(op)
        for region in op.regions:
            for block in region:
                found.extend(block.arguments)
        return ir.WalkResult.ADVANCE

    root.walk(visit)
    yield from found


def _renamed(location: Any, file_name: str) -> Any:
    """The location with "-" renamed, or the very same one if it names no "-"."""
    if isinstance(location, ir.FileLineColLoc):
        if location.filename != _UNNAMED:
            return location
        return ir.Location.file(
            file_name,
            location.start_line,
            location.start_col,
            location.end_line,
            location.end_col,
        )
    if isinstance(location, ir.NameLoc):
        child = _renamed(location.child_loc, file_name)
        same = child is location.child_loc or child == location.child_loc
        return location if same else ir.Location.name(location.name_str, child)
    if isinstance(location, ir.CallSiteLoc):
        ends = [_renamed(end, file_name) for end in (location.callee, location.caller)]
        return ir.Location.callsite(ends[0], [ends[1]])
    if isinstance(location, ir.FusedLoc):
        parts = [_renamed(part, file_name) for part in location.locations]
        return ir.Location.fused(parts, location.metadata)
    return location
