"""The exceptions that ix raises.

IxError
├── InputError        an argument does not fit the model: dtype, rank, shape, name, layout
├── ModelImportError  a model that cannot be read
│   └── UnsupportedError   every unsupported op, dtype or opset of the model, listed at once
├── CompileError      a pass or the code generator refuses the program
├── ArtifactError     a saved executable that is damaged, foreign or of another version
└── RuntimeFailure    an executable that could not run: memory, device, a closed session

Each message names the op or argument, the requirement, the fact and the remedy:

    <where>: '<op>' needs <requirement>, but <fact>; <remedy>
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "ArtifactError",
    "CompileError",
    "InputError",
    "IxError",
    "ModelImportError",
    "RuntimeFailure",
    "UnsupportedError",
]


class IxError(Exception):
    """The base of every error that ix raises on purpose."""


class InputError(IxError):
    """An argument does not fit the model; raised before any kernel runs."""


class ModelImportError(IxError):
    """A model cannot be read: not found, corrupt, too large or malformed."""


class UnsupportedError(ModelImportError):
    """The model needs something that ix does not have; lists all of it.

    Args:
        items: One sentence for each unsupported thing, with its source location.
    """

    def __init__(self, items: list[str], remedy: str = "") -> None:
        self.items = items
        count = len(items)
        head = f"the model needs {count} thing{'s' * (count != 1)} that ix does not support"
        lines = "".join(f"\n  - {item}" for item in items)
        super().__init__(f"{head}:{lines}" + (f"\n{remedy}" if remedy else ""))


class CompileError(IxError):
    """A pass or the code generator refuses the program.

    Args:
        op: The MLIR operation at fault, or None; its location leads the message.
        message: `needs <requirement>, but <fact>; <remedy>`.
    """

    def __init__(self, op: Any, message: str) -> None:
        self.op_name = "" if op is None else op.operation.name
        where = "" if op is None else f"{_location(op)}: error: '{self.op_name}' "
        super().__init__(where + message)


class ArtifactError(IxError):
    """A saved executable is damaged, foreign, or of another version or machine."""


class RuntimeFailure(IxError):
    """An executable could not run: memory, device, or it was closed."""


def _location(op: Any) -> str:
    """`file:line:col` of an operation, or its location's text."""
    location = op.operation.location
    if hasattr(location, "filename"):
        return f"{location.filename}:{location.start_line}:{location.start_col}"
    text = str(location)
    return text[4:-1] if text.startswith("loc(") else text
