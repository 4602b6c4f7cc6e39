"""Counts the lines of Python that hold code, and holds them to a limit.

    python -m ix.tools.ix_size --max 400 --budget 40000

A line counts if it holds a token other than a comment or a docstring: neither blank
lines nor explanations are discouraged.
"""

from __future__ import annotations

import argparse
import sys
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path

__all__ = ["code_lines", "main"]

FOLDERS = ("python", "dialects", "passes", "tools")

_LAYOUT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the code lines of each file; returns 1 if a limit is broken."""
    parser = argparse.ArgumentParser(prog="ix_size", description=__doc__)
    parser.add_argument("paths", nargs="*", default=FOLDERS, help="files or folders")
    parser.add_argument("--max", type=int, metavar="N", help="most lines in one file")
    parser.add_argument("--budget", type=int, metavar="N", help="most lines in all")
    options = parser.parse_args(arguments)
    sizes = {file: code_lines(file) for file in _files(options.paths)}
    if not sizes:
        print(f"ix_size: no Python file in {', '.join(options.paths)}", file=sys.stderr)
        return 1
    for file, size in sorted(sizes.items(), key=lambda item: (-item[1], item[0])):
        print(f"{size:6}  {file}")
    total = sum(sizes.values())
    print(f"{total:6}  in {len(sizes)} files")
    problems = [
        f"{file} has {size} lines of code, the limit is {options.max}; split it"
        for file, size in sizes.items()
        if options.max is not None and size > options.max
    ]
    if options.budget is not None and total > options.budget:
        problems.append(f"all files have {total} lines, the budget is {options.budget}")
    for problem in problems:
        print(f"ix_size: {problem}", file=sys.stderr)
    return 1 if problems else 0


def code_lines(file: Path) -> int:
    """The number of lines of a Python file that hold code."""
    lines: set[int] = set()
    statement: list[tokenize.TokenInfo] = []
    with tokenize.open(file) as source:
        for token in tokenize.generate_tokens(source.readline):
            if token.type not in _LAYOUT:
                statement.append(token)
            elif token.type in (tokenize.NEWLINE, tokenize.ENDMARKER):
                # A statement of strings alone is a docstring.
                if any(part.type != tokenize.STRING for part in statement):
                    for part in statement:
                        lines.update(range(part.start[0], part.end[0] + 1))
                statement = []
    return len(lines)


def _files(paths: Sequence[str]) -> Iterator[Path]:
    for path in map(Path, paths):
        yield from [path] if path.is_file() else sorted(path.rglob("*.py"))


if __name__ == "__main__":
    sys.exit(main())
