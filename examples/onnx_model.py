"""An ONNX file, run as ONNX Runtime runs it. Needs the package onnx.

    python examples/onnx_model.py [MODEL.onnx]

Without a file a small model is made first.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx

import ix


def make_model(path: Path) -> None:
    """y = softmax(x · w + b), for any number of rows."""
    random = np.random.default_rng(0)
    weights = [
        onnx.numpy_helper.from_array(random.standard_normal((8, 4), np.float32), "w"),
        onnx.numpy_helper.from_array(random.standard_normal(4, np.float32), "b"),
    ]
    nodes = [
        onnx.helper.make_node("Gemm", ["x", "w", "b"], ["scores"]),
        onnx.helper.make_node("Softmax", ["scores"], ["y"], axis=-1),
    ]
    tensor, kind = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes,
        "classifier",
        [tensor("x", kind, ["rows", 8])],
        [tensor("y", kind, ["rows", 4])],
        weights,
    )
    opset = onnx.helper.make_opsetid("", 20)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset]), path)


with tempfile.TemporaryDirectory() as folder:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "model.onnx"
    if len(sys.argv) == 1:
        make_model(path)
    session = ix.InferenceSession(str(path))
    feeds = {
        each.name: np.ones(
            [size if isinstance(size, int) else 3 for size in each.shape], np.float32
        )
        for each in session.get_inputs()
    }
    outputs = session.run(None, feeds)
for each, output in zip(session.get_outputs(), outputs, strict=True):
    print(each.name, output.shape, output.dtype)
if len(sys.argv) == 1:
    assert np.allclose(outputs[0].sum(-1), 1, atol=1e-5)
