"""Faults of tensor-core and asynchronous instructions; all are KernelFaults.

SparseMetadataError   metadata or selector of a sparse product without a meaning
MatrixDescriptorError a wgmma descriptor without a meaning
TensorMapError        a tensor map, or a copy through one, that hardware would refuse
ProxyFenceError       a RaceError: data that asynchronous operations read was stored by
                      ordinary ones, without fence.proxy.async in between
WgmmaOrderError       registers of a wgmma that are used while it may use them
"""

from __future__ import annotations

from ix.emulator.errors import KernelFault, RaceError

__all__ = [
    "MatrixDescriptorError",
    "ProxyFenceError",
    "SparseMetadataError",
    "TensorMapError",
    "WgmmaOrderError",
]


class SparseMetadataError(KernelFault):
    """Metadata or selector of a sparse product that the ISA gives no meaning."""


class MatrixDescriptorError(KernelFault):
    """A descriptor of a matrix in shared memory that no layout belongs to."""


class TensorMapError(KernelFault):
    """A tensor map, or a copy through one, that the hardware would refuse."""


class ProxyFenceError(RaceError):
    """Asynchronous operations read what ordinary ones wrote without a proxy fence."""


class WgmmaOrderError(KernelFault):
    """Registers of a wgmma are used while it may still read or write them."""
