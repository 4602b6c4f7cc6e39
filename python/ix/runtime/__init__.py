"""A plan and its code → results. NumPy (and CuPy) only: never MLIR."""
