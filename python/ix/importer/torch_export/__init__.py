"""PyTorch → ix, from what `torch.export` gives.

    exported = torch.export.export(model, args, dynamic_shapes=...)
    program = import_exported(exported).program

Weights keep their names and their memory. Ops that ix lacks are first taken apart by
PyTorch's own decompositions; what remains unknown is listed in one error.
"""

from ix.importer.torch_export.exported import Exported, Result, import_exported
from ix.importer.torch_export.ops import HANDLERS

__all__ = ["HANDLERS", "Exported", "Result", "import_exported"]
