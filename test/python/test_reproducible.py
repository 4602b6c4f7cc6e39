"""Two processes with other hash seeds make the same file of the same model."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

BERT = """
def model():
    r = np.random.default_rng(0)
    w = {k: r.standard_normal(s).astype("f4") / 8
         for k, s in dict(q=(32, 32), k=(32, 32), v=(32, 32), o=(32, 32),
                          up=(32, 64), down=(64, 32), g=(32,), b=(32,)).items()}
    def layer(x):
        q, k, v = (np.swapaxes((x @ w[n]).reshape(2, -1, 4, 8), 1, 2) for n in "qkv")
        s = q @ np.swapaxes(k, -1, -2) / np.float32(8**0.5)
        p = np.exp(s - s.max(-1, keepdims=True))
        a = p / p.sum(-1, keepdims=True) @ v
        x = x + np.swapaxes(a, 1, 2).reshape(2, -1, 32) @ w["o"]
        c = x - x.mean(-1, keepdims=True)
        x = c / np.sqrt((c * c).mean(-1, keepdims=True) + 1e-5) * w["g"] + w["b"]
        return {"hidden": x + np.tanh(x @ w["up"]) @ w["down"], "mean": x.mean(1)}
    x = ix.ShapeDtype((2, 16, 32), np.float32)
    dims = {"x": {1: ix.Dim("length", 1, 64)}}
    return ix.jit(layer, dims=dims).lower(x).compile()
"""

CONVNET = """
def model():
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    r = np.random.default_rng(0)
    def weight(name, *shape):
        data = r.standard_normal(shape).astype("f4") / 8
        weights.append(numpy_helper.from_array(data, name))
        return name
    weights, nodes, x = [], [], "x"
    for n, (i, o) in enumerate([(3, 16), (16, 16), (16, 16)]):
        names = [weight(f"w{n}", o, i, 3, 3), weight(f"b{n}", o)]
        nodes.append(helper.make_node("Conv", [x, *names], [f"c{n}"], pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"c{n}"], [f"r{n}"]))
        x = f"r{n}"
    nodes += [
        helper.make_node("Add", ["r1", "r2"], ["s"]),
        helper.make_node("MaxPool", ["s"], ["p"], kernel_shape=[2, 2]),
        helper.make_node("GlobalAveragePool", ["p"], ["y"]),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "convnet", [value("x", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [value("y", TensorProto.FLOAT, ["batch", 16, 1, 1])], weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    made.ir_version = 10
    return ix.compile(made, dims={"batch": (1, 8)})
"""

TORCH = """
def model():
    import torch
    torch.manual_seed(0)
    block = torch.nn.TransformerEncoderLayer(32, 4, 64, batch_first=True).eval()
    return ix.compile(block, torch.ones(2, 8, 32))
"""

FIXED = """
import sys, numpy as np, ix
{model}
model().save(sys.argv[1])
"""


def saved(model: str, path: Path, seed: str) -> bytes:
    environment = {**os.environ, "PYTHONHASHSEED": seed, "IX_CACHE": "0"}
    code = FIXED.format(model=model)
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, env=environment)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("needs", "model"),
    [("numpy", BERT), ("onnx", CONVNET), ("torch", TORCH)],
    ids=["bert", "convnet", "torch"],
)
def test_files_do_not_depend_on_hashes(tmp_path: Path, needs: str, model: str) -> None:
    if importlib.util.find_spec(needs) is None:
        pytest.skip(f"{needs} is not installed")
    seeds = ("0", "1", "4242")
    files = [saved(model, tmp_path / f"{seed}.ix", seed) for seed in seeds]
    assert files[0] == files[1] == files[2]
