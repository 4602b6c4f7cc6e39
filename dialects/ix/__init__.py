"""The ops of the dialect `ix`: passes write `ix.MatmulOp` as IR writes `ix.matmul`."""

import importlib
import importlib.util
from typing import Any

from ix.dialects.ix.dialect import Ix, IxOp
from ix.mlir import ir

__all__ = ["Ix", "IxOp", "load"]

FAMILIES = (
    "program",
    "elementwise",
    "movement",
    "slicing",
    "indexing",
    "resampling",
    "reduction",
    "normalization",
    "contraction",
    "convolution",
    "pooling",
    "convolution",
    "pooling",
    "attention",
)

for _family in FAMILIES:
    if importlib.util.find_spec(f"{__name__}.{_family}"):
        importlib.import_module(f"{__name__}.{_family}")

globals().update({op.__name__: op for op in Ix.operations})


def __getattr__(name: str) -> Any:
    raise AttributeError(f"the dialect ix has no op class {name}")


def load(context: ir.Context) -> None:
    """Registers the dialect in a context; does nothing where it is there already."""
    if context.is_dialect_loaded(Ix.DIALECT_NAMESPACE):
        return
    with context, ir.Location.unknown():
        Ix.load()
