"""Whole models through ONNX: equal to ONNX Runtime's outputs to 1e-4."""

from __future__ import annotations

import warnings
from collections.abc import Callable
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

SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}
TEXT = {**SMALL, "vocab_size": 100, "max_position_embeddings": 64}


def tokens() -> dict[str, Any]:
    """Ids and a mask of two sequences, the second shorter."""
    mask = torch.ones(2, 12, dtype=torch.int64)
    mask[1, 7:] = 0
    return {"input_ids": torch.randint(3, 100, (2, 12)), "attention_mask": mask}


def image(size: int) -> dict[str, Any]:
    return {"pixel_values": torch.randn(2, 3, size, size)}


def bert(attention: str) -> Any:
    config = transformers.BertConfig(**TEXT, attn_implementation=attention)
    return transformers.BertModel(config), tokens()


def resnet() -> Any:
    config = transformers.ResNetConfig(
        embedding_size=16,
        hidden_sizes=[32, 64, 128, 256],
        depths=[2, 1, 1, 1],
        num_labels=10,
    )
    model = transformers.ResNetForImageClassification(config)
    for module in model.modules():  # fresh statistics would leave the norms idle
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
    return model, image(64)


def t5() -> Any:
    config = transformers.T5Config(
        vocab_size=100, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4
    )
    return transformers.T5EncoderModel(config), tokens()


def vit() -> Any:
    config = transformers.ViTConfig(**SMALL, image_size=32, patch_size=8)
    return transformers.ViTModel(config), image(32)


def swin() -> Any:
    config = transformers.SwinConfig(
        image_size=32,
        patch_size=2,
        embed_dim=16,
        depths=[2, 2],
        num_heads=[2, 4],
        window_size=4,
    )
    return transformers.SwinModel(config), image(32)


def convnext() -> Any:
    config = transformers.ConvNextConfig(
        hidden_sizes=[16, 32, 64, 64], depths=[1, 1, 1, 1]
    )
    return transformers.ConvNextModel(config), image(64)


def whisper() -> Any:
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    config = transformers.WhisperConfig(
        d_model=32,
        encoder_layers=2,
        encoder_attention_heads=4,
        encoder_ffn_dim=64,
        max_source_positions=50,
        num_mel_bins=16,
    )
    return WhisperEncoder(config), {"input_features": torch.randn(2, 16, 100)}


def segformer() -> Any:
    config = transformers.SegformerConfig(
        depths=[1, 1, 1, 1],
        hidden_sizes=[16, 16, 32, 32],
        num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=32,
        num_labels=5,
    )
    return transformers.SegformerForSemanticSegmentation(config), image(64)


MODELS: dict[str, Callable[[], Any]] = {
    "bert-eager": lambda: bert("eager"),
    "bert-sdpa": lambda: bert("sdpa"),
    "convnext": convnext,
    "resnet": resnet,
    "segformer": segformer,
    "swin": swin,
    "t5": t5,
    "vit": vit,
    "whisper": whisper,
}


class FirstOutput(torch.nn.Module):
    """Passes its inputs by keyword and gives the first output."""

    def __init__(self, model: Any, names: list[str]) -> None:
        super().__init__()
        self.model = model
        self.names = names

    def forward(self, *inputs: Any) -> Any:
        return self.model(**dict(zip(self.names, inputs, strict=True)))[0]


def export(model: Any, inputs: dict[str, Any], path: Path) -> None:
    """Writes a model; the batch and the length of sequences stay open."""
    axes = {
        name: {0: "batch", 1: "length"} if tensor.ndim == 2 else {0: "batch"}
        for name, tensor in inputs.items()
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own age
        torch.onnx.export(
            FirstOutput(model, list(inputs)).eval(),
            tuple(inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=["y"],
            dynamic_axes=axes,
            opset_version=17,
            dynamo=False,
        )


@pytest.fixture(scope="module", params=MODELS)
def exported(request: Any, tmp_path_factory: Any) -> tuple[Path, dict[str, Any]]:
    """A model's file and inputs for it."""
    torch.manual_seed(0)
    model, inputs = MODELS[request.param]()
    path = tmp_path_factory.mktemp("models") / f"{request.param}.onnx"
    export(model, inputs, path)
    return path, {name: tensor.numpy() for name, tensor in inputs.items()}


@pytest.mark.parametrize("dims", [None, {"batch": (1, 8), "length": (1, 32)}])
def test_model(exported: tuple[Path, dict[str, Any]], dims: Any) -> None:
    path, feed = exported
    (want,) = onnxruntime.InferenceSession(str(path)).run(None, feed)
    (got,) = InferenceSession(path, dims=dims).run(None, feed)
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    assert np.abs(want).max() > 1e-3, "the model computes something"
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4 * np.abs(want).max())
