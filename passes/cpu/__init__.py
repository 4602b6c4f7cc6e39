"""Kernels → LLVM → x86 objects."""
