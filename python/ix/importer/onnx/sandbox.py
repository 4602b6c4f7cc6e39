"""Parses a model from outside in a child process with limits on memory and time.

A parser is the first code that hostile bytes meet. A crash, a loop or an allocation
without end then costs a child, and the user gets an error that says what happened.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from ix.errors import ModelImportError, UnsupportedError
from ix.importer.onnx.wire import Span

__all__ = ["MAX_BYTES", "parse"]

MAX_BYTES = (1 << 31) - 1
"""The largest protobuf message: 2 GiB less one byte."""

_ADDRESS_BYTES = 2 << 30
_CPU_SECONDS = 30
_BYTES_PER_SECOND = 50_000_000  # a slow disk, and the parser several times over

_REMEDY = (
    "if you trust the file, pass onnx.load(path) instead of the path, "
    "which is parsed in this process"
)


def parse(descriptor: int, what: str) -> tuple[bytes, list[Span]]:
    """Validates the model behind an open file descriptor.

    Returns:
        The model as a protobuf without its large initializers, and where those lie.

    Raises:
        ModelImportError: The model is damaged or too large, or the child exceeded its
            limits or crashed.
    """
    size = os.fstat(descriptor).st_size
    if size > MAX_BYTES:
        raise ModelImportError(
            f"{what} needs at most {MAX_BYTES} bytes, but has {size}; "
            "export it with external data"
        )
    seconds = _CPU_SECONDS + size // _BYTES_PER_SECOND
    command = [sys.executable, "-m", "ix.importer.onnx.child"]
    limits = [str(descriptor), str(_ADDRESS_BYTES + 4 * size), str(seconds)]
    environment = {
        **os.environ,
        "OPENBLAS_NUM_THREADS": "1",  # each thread's stack counts as address space
        "PYTHONSAFEPATH": "1",  # nothing in the working directory is imported
    }
    try:
        child = subprocess.run(
            command + limits,
            pass_fds=[descriptor],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=4 * seconds,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ModelImportError(
            f"{what} needs to parse within {4 * seconds} s, but did not; {_REMEDY}"
        ) from error
    return _answer(child, what)


def _answer(
    child: subprocess.CompletedProcess[bytes], what: str
) -> tuple[bytes, list[Span]]:
    """What the child reported, or the reason why it did not."""
    head, _, compact = child.stdout.partition(b"\n")
    if child.returncode != 0 or not head:
        raise ModelImportError(
            f"{what} needs to parse, but the parser {_ending(child)}; {_REMEDY}"
        )
    report = json.loads(head)
    if "error" in report:
        raise ModelImportError(f"{what}: {report['error']}")
    if "unsupported" in report:
        raise UnsupportedError(report["unsupported"], report["remedy"])
    return compact, [Span(*span) for span in report["spans"]]


def _ending(child: subprocess.CompletedProcess[bytes]) -> str:
    """How the child ended, in words."""
    if child.returncode < 0:
        return f"was stopped by signal {-child.returncode}"
    last = child.stderr.decode(errors="replace").strip().rpartition("\n")[2]
    if "MemoryError" in last or "bad_alloc" in last:
        return "ran out of the memory that it is allowed"
    return f"ended with status {child.returncode} ({last[:200]})"
