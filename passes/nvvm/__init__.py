"""gpu modules → NVVM → LLVM IR → PTX."""
