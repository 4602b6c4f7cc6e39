"""ONNX → ix.

`import_onnx` gives a `Program`; `load_model` reads and checks a model once, for several
imports. Nothing here is imported before it is used: the child process that parses
models starts from this package and needs neither MLIR nor the tables of ops.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ix.importer.onnx.importer import import_onnx, require_supported_inputs
    from ix.importer.onnx.load import OnnxModel, load_model
    from ix.importer.onnx.node import ValuesNeeded

__all__ = [
    "OnnxModel",
    "ValuesNeeded",
    "import_onnx",
    "load_model",
    "require_supported_inputs",
]

_PLACES = {
    "OnnxModel": "load",
    "ValuesNeeded": "node",
    "import_onnx": "importer",
    "load_model": "load",
    "require_supported_inputs": "importer",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_PLACES[name]}")
    return getattr(module, name)
