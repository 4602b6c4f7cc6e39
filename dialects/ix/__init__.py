"""The ops of the dialect `ix`: passes write `ix.MatmulOp` as IR writes `ix.matmul`."""

from typing import Any

from ix.dialects.ix import (
    attention,
    contraction,
    convolution,
    elementwise,
    indexing,
    movement,
    normalization,
    pooling,
    program,
    reduction,
    resampling,
    slicing,
)
from ix.dialects.ix.dialect import Ix, IxOp
from ix.mlir import ir

__all__ = [
    "Ix",
    "IxOp",
    "attention",
    "contraction",
    "convolution",
    "elementwise",
    "indexing",
    "load",
    "movement",
    "normalization",
    "pooling",
    "program",
    "reduction",
    "resampling",
    "slicing",
]

# Half of the classes come from tables, so they are not imported by name.
globals().update({op.__name__: op for op in Ix.operations})


def __getattr__(name: str) -> Any:
    raise AttributeError(f"the dialect ix has no op class {name}")


def load(context: ir.Context) -> None:
    """Registers the dialect in a context; does nothing where it is there already."""
    if context.is_dialect_loaded(Ix.DIALECT_NAMESPACE):
        return
    with context, ir.Location.unknown():
        Ix.load()
