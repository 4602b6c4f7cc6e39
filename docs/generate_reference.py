"""Writes docs/reference/*.md from the docstrings of ops and passes.

python docs/generate_reference.py            writes the pages
python docs/generate_reference.py --check    exits 1 if they are not up to date
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from ix.dialects.ix import Ix
from ix.mlir import ext
from ix.passes.framework import Pass
from ix.passes.pipeline import STAGES
from ix.passes.registry import all_passes

REFERENCE = Path(__file__).parent / "reference"

_NOTE = "<!-- Written by docs/generate_reference.py from docstrings: edit those. -->"

_TARGETS = {"": "all", "cpu": "CPU", "cuda": "GPU"}

_KINDS = {
    "ArrayAttr": "list of numbers",
    "IntegerAttr": "integer or flag",
    "FloatAttr": "number",
    "StringAttr": "text",
    "TypeAttr": "type",
    "Any": "constant",
    "Attribute": "constant",
    "DenseElementsAttr": "constant",
}


def main() -> int:
    """Writes or checks the pages; returns 1 if `--check` finds a stale one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    stale = []
    for name, lines in (("ops.md", ops_page()), ("passes.md", passes_page())):
        page = REFERENCE / name
        text = "\n".join(lines).rstrip("\n") + "\n"
        if page.is_file() and page.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if not check:
            REFERENCE.mkdir(exist_ok=True)
            page.write_text(text, encoding="utf-8")
    if check and stale:
        print(
            f"stale: {', '.join(stale)}; run docs/generate_reference.py",
            file=sys.stderr,
        )
    return int(check and bool(stale))


def ops_page() -> Iterator[str]:
    """The lines of the page of ops, one section for each file of the dialect."""
    yield from (_NOTE, "", "# The ops of `ix`", "")
    yield "Whole-tensor ops with value semantics; every op is free of side effects."
    yield ""
    for module, ops in groupby(Ix.operations, key=lambda op: op.__module__):
        yield from (
            f"## {module.rpartition('.')[2].replace('_', ' ').capitalize()}",
            "",
        )
        yield from (_document(sys.modules[module]), "")
        for op in ops:
            yield from _op(op)


def passes_page() -> Iterator[str]:
    """The lines of the page of passes: the stages, then each pass by folder."""
    yield from (_NOTE, "", "# The passes", "")
    yield "| stage | targets | in → out | passes, in order |"
    yield "|---|---|---|---|"
    for stage in STAGES:
        names = ", ".join(f"`{_name(each)}`" for each in stage.passes) or "none"
        kind = _TARGETS[stage.kind]
        yield f"| {stage.name} | {kind} | {stage.summary} | {names} |"
    yield ""
    for folder, group in groupby(all_passes(), key=lambda item: item[0]):
        yield from (f"## passes/{folder}", "")
        for _, each in group:
            yield from _pass(folder, each)


def _op(op: Any) -> Iterator[str]:
    operands, attributes, results, _ = ext.partition_fields(op._fields)
    yield from (f"### `{op.OPERATION_NAME}`", "", _document(op), "")
    for title, fields in (("Operands", operands), ("Results", results)):
        names = ", ".join(f"`{field.name}`{_many(field)}" for field in fields)
        yield f"- {title}: {names or 'none'}"
    if attributes:
        kinds = ", ".join(f"`{field.name}` ({_kind(field)})" for field in attributes)
        yield f"- Attributes: {kinds}"
    yield ""


def _pass(folder: str, each: Pass) -> Iterator[str]:
    module = each.name.removeprefix("ix-").replace("-", "_")
    document = _document(sys.modules[f"ix.passes.{folder}.{module}"])
    yield from (f"### `{each.name}`", "", document.removeprefix(f"{each.name}: "), "")
    for option in each.options:
        kind = f"list of {option.kind}" if option.is_list else option.kind
        yield f"- `{option.name}`: {kind}, by default `{option.default}`"
    if each.options:
        yield ""


def _document(owner: Any) -> str:
    """A docstring as Markdown: aligned or indented paragraphs become literal blocks."""
    paragraphs = re.split(r"\n\s*\n", inspect.getdoc(owner) or "")
    blocks: list[str] = []
    for is_literal, group in groupby(paragraphs, key=_is_literal):
        text = "\n\n".join(group)
        blocks.append(f"```text\n{text}\n```" if is_literal else _prose(text))
    return "\n\n".join(blocks)


def _is_literal(paragraph: str) -> bool:
    """Whether the spaces of a paragraph carry meaning."""
    return re.search(r"(^|\S) {2,}", paragraph, re.MULTILINE) is not None


def _prose(text: str) -> str:
    """Text with the characters escaped that Markdown would read as markup."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"([<*_|\\])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


def _many(field: Any) -> str:
    return "" if field.variadicity == ext.Variadicity.single else "…"


def _kind(field: Any) -> str:
    name = getattr(field.constraint, "__name__", str(field.constraint))
    return _KINDS.get(name, name)


def _name(each: Pass | str) -> str:
    return each if isinstance(each, str) else str(each)


if __name__ == "__main__":
    sys.exit(main())
