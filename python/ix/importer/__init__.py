"""A model from Python, PyTorch or ONNX → ix."""
