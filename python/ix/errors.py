"""The exceptions that ix raises.

IxError
├── InputError        an argument does not fit: dtype, rank, shape, name, layout
├── ModelImportError  a model that cannot be read
│   └── UnsupportedError   every unsupported op, dtype or opset, all together
├── CompileError      a pass or the code generator refuses the program
├── ArtifactError     a saved executable that is damaged, foreign or of another version
└── RuntimeFailure    an executable that could not run: memory, device, a closed session
    ├── NoDevice          CuPy, a driver or a GPU is missing
    ├── OldDriver         the GPU's driver is older than what it has to run
    ├── OutOfMemory       a device has less memory than a program needs
    ├── WrongArchitecture code for another kind of GPU
    └── WrongDevice       an array on another GPU; an InputError too

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
    "NoDevice",
    "OldDriver",
    "OutOfMemory",
    "RuntimeFailure",
    "UnsupportedError",
    "WrongArchitecture",
    "WrongDevice",
    "place_of",
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
        self.remedy = remedy
        count = len(items)
        things = f"{count} thing{'s' * (count != 1)}"
        head = f"the model needs {things} that ix does not support"
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
        if op is not None:
            place, source_op = place_of(op.operation.location)
            of = f" of '{source_op}'" if place and source_op else ""
            where = place or source_op or "<unknown>"
            message = f"{where}: error: '{self.op_name}'{of} {message}"
        super().__init__(message)


class ArtifactError(IxError):
    """A saved executable is damaged, foreign, or of another version or machine."""


class RuntimeFailure(IxError):
    """An executable could not run: memory, device, or it was closed."""


class NoDevice(RuntimeFailure):
    """CuPy, a driver or the GPU is missing."""


class OldDriver(RuntimeFailure):
    """The driver of the GPU is older than the code that it has to run."""


class OutOfMemory(RuntimeFailure):
    """A device has less memory left than a program needs."""


class WrongArchitecture(RuntimeFailure):
    """A program was compiled for GPUs of another kind."""


class WrongDevice(InputError, RuntimeFailure):
    """An input lies in the memory of another GPU than the program."""


def place_of(location: Any) -> tuple[str, str]:
    """What an MLIR location says: `file:line:column`, and the name of the source op.

    Either is empty where the location does not have it. Of a fused location the first
    part that says anything counts; of a call, the callee.
    """
    if hasattr(location, "filename"):
        start = f"{location.start_line}:{location.start_col}"
        return f"{location.filename}:{start}", ""
    if hasattr(location, "child_loc"):
        return place_of(location.child_loc)[0], location.name_str
    if hasattr(location, "callee"):
        return place_of(location.callee)
    for part in getattr(location, "locations", ()):
        place, name = place_of(part)
        if place or name:
            return place, name
    return "", ""
