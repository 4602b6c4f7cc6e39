"""All handlers: (domain, op type) → handler. What lacks one may have a body."""

from __future__ import annotations

from ix.importer.onnx.node import Handler
from ix.importer.onnx.ops_attention import ATTENTION
from ix.importer.onnx.ops_contraction import CONTRACTION
from ix.importer.onnx.ops_control import CONTROL
from ix.importer.onnx.ops_elementwise import ELEMENTWISE
from ix.importer.onnx.ops_image import IMAGE
from ix.importer.onnx.ops_indexing import INDEXING
from ix.importer.onnx.ops_microsoft import MICROSOFT
from ix.importer.onnx.ops_movement import MOVEMENT
from ix.importer.onnx.ops_normalization import NORMALIZATION
from ix.importer.onnx.ops_pooling import POOLING
from ix.importer.onnx.ops_quantization import QUANTIZATION
from ix.importer.onnx.ops_recurrent import RECURRENT
from ix.importer.onnx.ops_reduction import REDUCTION
from ix.importer.onnx.ops_signal import SIGNAL

__all__ = ["HANDLERS"]

_ONNX: dict[str, Handler] = {
    **ATTENTION,
    **CONTRACTION,
    **CONTROL,
    **ELEMENTWISE,
    **IMAGE,
    **INDEXING,
    **MOVEMENT,
    **NORMALIZATION,
    **POOLING,
    **QUANTIZATION,
    **RECURRENT,
    **REDUCTION,
    **SIGNAL,
}

HANDLERS: dict[tuple[str, str], Handler] = {
    **{("", name): handler for name, handler in _ONNX.items()},
    **{("com.microsoft", name): handler for name, handler in MICROSOFT.items()},
    # ONNX Runtime registers this one in the domain of the standard.
    ("", "SimplifiedLayerNormalization"): MICROSOFT["SimplifiedLayerNormalization"],
}
"""(domain, op type) → handler; the domain "ai.onnx" is ""."""
