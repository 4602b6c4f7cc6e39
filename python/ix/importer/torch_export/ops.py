"""All handlers: the name of an ATen overload → what builds it."""

from __future__ import annotations

from ix.importer.torch_export.call import Handler
from ix.importer.torch_export.ops_activation import ACTIVATION
from ix.importer.torch_export.ops_contraction import CONTRACTION
from ix.importer.torch_export.ops_creation import CREATION
from ix.importer.torch_export.ops_elementwise import ELEMENTWISE
from ix.importer.torch_export.ops_image import IMAGE
from ix.importer.torch_export.ops_indexing import INDEXING
from ix.importer.torch_export.ops_movement import MOVEMENT
from ix.importer.torch_export.ops_normalization import NORMALIZATION
from ix.importer.torch_export.ops_reduction import REDUCTION

__all__ = ["HANDLERS", "IGNORED", "SIZES"]

HANDLERS: dict[str, Handler] = {
    **ACTIVATION,
    **CONTRACTION,
    **CREATION,
    **ELEMENTWISE,
    **IMAGE,
    **INDEXING,
    **MOVEMENT,
    **NORMALIZATION,
    **REDUCTION,
}
"""`str(torch.ops.aten.add.Tensor)` = "aten.add.Tensor" → handler."""

IGNORED = frozenset(
    {
        "aten._assert_tensor_metadata.default",
        "aten._assert_async.default",
        "aten._assert_async.msg",
        "aten._assert_scalar.default",
        "aten.sym_constrain_range.default",
        "aten.sym_constrain_range_for_size.default",
    }
)
"""Checks that torch.export leaves in the graph; their results are not read."""

SIZES = frozenset(
    {
        "aten.sym_size.int",
        "aten.sym_stride.int",
        "aten.sym_numel.default",
        "aten.sym_storage_offset.default",
    }
)
"""Questions about shapes, which the sizes that torch knows answer."""
