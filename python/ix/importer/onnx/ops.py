"""All handlers: (domain, op type) → handler. What is missing may have a function body."""

from __future__ import annotations

from ix.importer.onnx.node import Handler
from ix.importer.onnx.ops_contraction import CONTRACTION
from ix.importer.onnx.ops_control import CONTROL
from ix.importer.onnx.ops_elementwise import ELEMENTWISE
from ix.importer.onnx.ops_indexing import INDEXING
from ix.importer.onnx.ops_movement import MOVEMENT
from ix.importer.onnx.ops_normalization import NORMALIZATION
from ix.importer.onnx.ops_pooling import POOLING
from ix.importer.onnx.ops_quantization import QUANTIZATION
from ix.importer.onnx.ops_recurrent import RECURRENT
from ix.importer.onnx.ops_reduction import REDUCTION

__all__ = ["HANDLERS"]

_ONNX: dict[str, Handler] = {
    **CONTRACTION,
    **CONTROL,
    **ELEMENTWISE,
    **INDEXING,
    **MOVEMENT,
    **NORMALIZATION,
    **POOLING,
    **QUANTIZATION,
    **RECURRENT,
    **REDUCTION,
}

HANDLERS: dict[tuple[str, str], Handler] = {
    **{("", name): handler for name, handler in _ONNX.items()},
}
"""(domain, op type) → handler; the domain "ai.onnx" is ""."""
