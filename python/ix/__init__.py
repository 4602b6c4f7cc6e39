"""ix: an AI-inference compiler that explains itself.

    @ix.jit
    def mlp(x, w1, w2):
        return np.maximum(x @ w1, 0) @ w2

`import ix` loads nothing heavy: MLIR, LLVM, PyTorch and CuPy come on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ix.version import __version__

if TYPE_CHECKING:
    from ix import nn
    from ix.api import Lowered, jit
    from ix.dim import Dim, ShapeDtype
    from ix.errors import (
        ArtifactError,
        CompileError,
        InputError,
        IxError,
        ModelImportError,
        RuntimeFailure,
        UnsupportedError,
    )
    from ix.models import compile
    from ix.runtime.artifact import load
    from ix.runtime.executable import Executable
    from ix.session import InferenceSession, OrtValue, RunOptions, SessionOptions
    from ix.target import Target

_HOMES = {
    "ArtifactError": "ix.errors",
    "CompileError": "ix.errors",
    "Dim": "ix.dim",
    "Executable": "ix.runtime.executable",
    "InferenceSession": "ix.session",
    "InputError": "ix.errors",
    "IxError": "ix.errors",
    "Lowered": "ix.api",
    "ModelImportError": "ix.errors",
    "OrtValue": "ix.session",
    "RunOptions": "ix.session",
    "RuntimeFailure": "ix.errors",
    "SessionOptions": "ix.session",
    "ShapeDtype": "ix.dim",
    "Target": "ix.target",
    "UnsupportedError": "ix.errors",
    "compile": "ix.models",
    "jit": "ix.api",
    "load": "ix.runtime.artifact",
}

__all__ = [
    "ArtifactError",
    "CompileError",
    "Dim",
    "Executable",
    "InferenceSession",
    "InputError",
    "IxError",
    "Lowered",
    "ModelImportError",
    "OrtValue",
    "RunOptions",
    "RuntimeFailure",
    "SessionOptions",
    "ShapeDtype",
    "Target",
    "UnsupportedError",
    "__version__",
    "compile",
    "jit",
    "load",
    "nn",
]


def __getattr__(name: str) -> Any:
    """Loads a public name from its module when it is first used."""
    import importlib

    if name == "nn":
        return importlib.import_module("ix.nn")
    if name not in _HOMES:
        raise AttributeError(f"module 'ix' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
