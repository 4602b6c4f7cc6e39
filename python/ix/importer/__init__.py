"""Importers: a NumPy-style function, an ONNX file or a PyTorch module becomes ix."""
