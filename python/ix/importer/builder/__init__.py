"""Whole-tensor functions with NumPy's semantics that emit `ix` ops.

They work at the insertion point of the innermost open `Module`. Operands are MLIR
Values, NumPy arrays, Python scalars (weakly typed, NEP 50) and sizes (`DimExpr`); see
`values.py`. Names are those of the ops, and NumPy's or PyTorch's where these differ.

What each file names in `__all__` is here.
"""

from ix.importer.builder.activation import *
from ix.importer.builder.composite import *
from ix.importer.builder.contraction import *
from ix.importer.builder.convolution import *
from ix.importer.builder.creation import *
from ix.importer.builder.einsum import *
from ix.importer.builder.elementwise import *
from ix.importer.builder.indexing import *
from ix.importer.builder.joining import *
from ix.importer.builder.movement import *
from ix.importer.builder.normalization import *
from ix.importer.builder.reduction import *
from ix.importer.builder.scattering import *
from ix.importer.builder.values import *
