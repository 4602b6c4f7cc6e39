"""The MLIR host: the only file that names the package the bindings come from.

The wheel `torch-mlir` holds the upstream Python bindings and every upstream pass.
Importing this module takes about 0.15 s, so nothing on the path of `import ix` does.
The dialects that cost most are imported when they are first used.
"""

import ctypes
import importlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

from torch_mlir import ir, rewrite
from torch_mlir.dialects import arith, ext, func
from torch_mlir.passmanager import PassManager

if TYPE_CHECKING:
    from torch_mlir.dialects import (
        affine,
        cf,
        gpu,
        linalg,
        llvm,
        math,
        memref,
        scf,
        tensor,
        transform,
        vector,
    )

__all__ = [
    "DYNAMIC",
    "PassManager",
    "affine",
    "arith",
    "cf",
    "defining_op",
    "ext",
    "func",
    "gpu",
    "ir",
    "linalg",
    "llvm",
    "math",
    "memref",
    "op_key",
    "ops_in",
    "rewrite",
    "scf",
    "tensor",
    "transform",
    "vector",
]

_LAZY_DIALECTS = frozenset(
    {
        "affine",
        "cf",
        "gpu",
        "linalg",
        "llvm",
        "math",
        "memref",
        "scf",
        "tensor",
        "transform",
        "vector",
    }
)


def __getattr__(name: str) -> Any:
    """Imports an upstream dialect on first use: linalg and vector take 0.1 s."""
    if name not in _LAZY_DIALECTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"torch_mlir.dialects.{name}")
    globals()[name] = module
    return module


# The bindings look for a module of an op's dialect each time they make its Python
# object, and remember only what they find: without one, 0.1 ms for each ix op.
sys.modules.setdefault("torch_mlir.dialects.ix", ModuleType("torch_mlir.dialects.ix"))

DYNAMIC: int = ir.ShapedType.get_dynamic_size()
"""The value that stands for `?` in a shape, and for "given as an operand" in lists."""


def defining_op(value: Any, kind: type | None = None) -> Any:
    """The op that computes `value` as its own class, or None.

    None for a block argument, and for an op that is not of class `kind`.
    """
    if isinstance(value.owner, ir.Block):
        return None
    op = value.owner.opview
    return op if kind is None or isinstance(op, kind) else None


def op_key(op: Any) -> int:
    """A number that stands for an op as long as it is in the IR: its address.

    `hash(op)` is no such number: it changes with the op's operands.
    """
    return int(_address(op.operation._CAPIPtr, b"torch_mlir.ir.Operation._CAPIPtr"))


_address = ctypes.pythonapi.PyCapsule_GetPointer
_address.restype = ctypes.c_void_p
_address.argtypes = [ctypes.py_object, ctypes.c_char_p]


def ops_in(root: Any, kind: type | tuple[type, ...] | None = None) -> Iterator[Any]:
    """Yields the ops below `root` in program order, outer before inner.

    The list is taken before the first is yielded, so the caller may erase or replace.
    `Operation.walk` is not used: it turns an exception in its callback into text.
    """
    found: list[Any] = []
    _collect(root.operation, kind, found)
    yield from found


def _collect(op: Any, kind: type | tuple[type, ...] | None, found: list[Any]) -> None:
    for region in op.regions:
        for block in region.blocks:
            for inner in block.operations:
                view = inner.operation.opview
                if kind is None or isinstance(view, kind):
                    found.append(view)
                _collect(inner.operation, kind, found)
