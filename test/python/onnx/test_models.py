"""Whole models through ONNX: equal to ONNX Runtime's outputs to 1e-4."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
onnxruntime = pytest.importorskip("onnxruntime")

from ix.session import InferenceSession  # noqa: E402

pytestmark = [pytest.mark.onnx, pytest.mark.torch, pytest.mark.slow]

PROVIDERS = ["ReferenceExecutionProvider", "CPUExecutionProvider"]


def export(module: Any, inputs: dict[str, Any], outputs: list[str], path: Path) -> None:
    """Writes a module, whose first axes of all inputs stay open."""
    axes = {
        name: {axis: f"d{axis}" for axis in range(2 if tensor.ndim == 2 else 1)}
        for name, tensor in inputs.items()
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own age
        torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=outputs,
            dynamic_axes=axes,
            opset_version=17,
            dynamo=False,
        )


def compare(path: Path, feed: dict[str, Any], provider: str, dims: Any) -> None:
    session = InferenceSession(path, providers=[provider], dims=dims)
    wanted = onnxruntime.InferenceSession(str(path)).run(None, feed)
    for got, want in zip(session.run(None, feed), wanted, strict=True):
        assert got.dtype == want.dtype and got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


class Encoder(torch.nn.Module):
    """Passes its inputs by keyword."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Any, mask: Any) -> Any:
        result = self.model(input_ids=ids, attention_mask=mask)
        return result.last_hidden_state, result.pooler_output


@pytest.fixture(scope="module", params=["eager", "sdpa"])
def bert(request: Any, tmp_path_factory: Any) -> Path:
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=100,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=64,
        attn_implementation=request.param,
    )
    ids = torch.zeros(2, 16, dtype=torch.int64)
    path = tmp_path_factory.mktemp("bert") / "bert.onnx"
    inputs = {"ids": ids, "mask": torch.ones_like(ids)}
    export(Encoder(transformers.BertModel(config)), inputs, ["hidden", "pooled"], path)
    return path


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("dims", [None, {"d0": (1, 8), "d1": (1, 64)}])
def test_bert(bert: Path, provider: str, dims: Any) -> None:
    rng = np.random.default_rng(0)
    mask = np.ones((3, 12), np.int64)
    mask[1, 7:] = 0
    feed = {"ids": rng.integers(0, 100, (3, 12)), "mask": mask}
    compare(bert, feed, provider, dims)


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: Any) -> Path:
    torch.manual_seed(0)
    config = transformers.ResNetConfig(
        embedding_size=16,
        hidden_sizes=[32, 64, 128, 256],
        depths=[2, 1, 1, 1],
        num_labels=10,
    )
    model = transformers.ResNetForImageClassification(config)
    for module in model.modules():  # fresh statistics would leave the norms idle
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    path = tmp_path_factory.mktemp("resnet") / "resnet.onnx"
    export(model, {"image": torch.zeros(1, 3, 64, 64)}, ["logits"], path)
    return path


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("dims", [None, {"d0": (1, 4)}])
def test_resnet(resnet: Path, provider: str, dims: Any) -> None:
    rng = np.random.default_rng(0)
    feed = {"image": rng.normal(size=(2, 3, 64, 64)).astype(np.float32)}
    compare(resnet, feed, provider, dims)
