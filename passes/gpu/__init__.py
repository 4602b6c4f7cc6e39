"""Kernels on tensors → gpu modules."""
