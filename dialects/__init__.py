"""The MLIR dialects of ix."""
