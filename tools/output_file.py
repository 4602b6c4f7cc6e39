"""Files that a command line names for output."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ix.errors import InputError

__all__ = ["add_json_argument", "naming_the_file", "write_json"]


def add_json_argument(parser: argparse.ArgumentParser, what: str) -> None:
    """--json, or --json FILE."""
    parser.add_argument(
        "--json",
        nargs="?",
        const="-",
        metavar="FILE",
        help=f"write {what} as JSON; without FILE to standard output, and nothing else",
    )


@contextmanager
def naming_the_file(option: str, path: str) -> Iterator[None]:
    """Turns a failure to write into an error that names the option and the file.

    Raises:
        InputError: The body fails with an OSError.
    """
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{option} needs a file that can be written, but {error.strerror}: "
            f"'{path}'; check the folder"
        ) from error


def write_json(data: Any, path: str) -> None:
    """Writes data for --json; "-" is standard output.

    Raises:
        InputError: The file cannot be written.
    """
    text = json.dumps(data, indent=1, ensure_ascii=False)
    if path == "-":
        print(text)
        return
    with naming_the_file("--json", path):
        Path(path).write_text(text + "\n", encoding="utf-8")
