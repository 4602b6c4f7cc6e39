"""The MLIR dialects of ix, and the context that knows them."""

from typing import Any

from ix.dialects import ix
from ix.mlir import ir

__all__ = ["context"]


def context() -> Any:
    """An MLIR context with the ix dialects loaded and every upstream one available.

    It has no threads of its own, so that diagnostics and dumps come in program order.
    """
    created = ir.Context()
    created.enable_multithreading(False)
    ix.load(created)
    return created
