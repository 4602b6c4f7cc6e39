"""What ix-opt writes: text or bytecode, whole or not at all."""

from __future__ import annotations

import argparse
import io
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ix.errors import CompileError, InputError
from ix.mlir import ir

__all__ = ["encoded", "require_roundtrip", "write_output"]


def encoded(
    op: Any, options: argparse.Namespace, print_options: Mapping[str, Any]
) -> bytes:
    """The op as the flags want it: text, or bytecode of some version."""
    if not options.emit_bytecode:
        return f"{op.get_asm(**print_options)}".rstrip("\n").encode() + b"\n"
    if options.elide_resource_data_from_bytecode:
        # The bytecode writer of the bindings cannot elide; the text printer can.
        text = op.get_asm(enable_debug_info=True, large_resource_limit=0)
        op = _parsed(op, text)
    buffer = io.BytesIO()
    try:
        op.write_bytecode(buffer, options.emit_bytecode_version)
    except ValueError as error:
        raise InputError(f"--emit-bytecode-version: {error}") from None
    return buffer.getvalue()


def require_roundtrip(op: Any) -> None:
    """Raises unless the op survives being printed and parsed, as text and as bytecode.

    Raises:
        CompileError: What was read back differs.
        ir.MLIRError: What was printed does not parse.
    """
    buffer = io.BytesIO()
    op.write_bytecode(buffer)
    text = op.get_asm(enable_debug_info=True)
    want = op.get_asm(enable_debug_info=True, print_generic_op_form=True)
    for form, source in (("text", text), ("bytecode", buffer.getvalue())):
        again = _parsed(op, source)
        if again.get_asm(enable_debug_info=True, print_generic_op_form=True) != want:
            raise CompileError(op, f"needs to survive a round trip through {form}")


def write_output(path: str, content: bytes) -> None:
    """Writes to standard output (`-`), or to a file that appears whole."""
    if path == "-":
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    target = Path(path)
    if target.exists() and not target.is_file():  # a pipe or a device
        target.write_bytes(content)
        return
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)  # mkstemp makes it private
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _parsed(like: Any, source: str | bytes) -> Any:
    with like.context:
        if like.name == "builtin.module":
            return ir.Module.parse(source).operation
        return ir.Operation.parse(source).operation
