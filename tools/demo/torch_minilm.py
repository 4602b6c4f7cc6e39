"""all-MiniLM-L6-v2 as PyTorch code, for the comparison."""

from __future__ import annotations

import io
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from ix.tools.demo.minilm import EPSILON, HEADS, LAYERS, WIDTH, Weights, load_weights

__all__ = ["embed", "export_onnx", "tensors"]


def tensors() -> Weights:
    """The weights by name, as tensors."""
    return {name: torch.tensor(array) for name, array in load_weights().items()}


def embed(w: Weights, tokens: Any, mask: Any) -> Any:
    """Sentence embeddings of unit length: tokens, mask i64[b, s] → f32[b, 384]."""
    length = tokens.shape[1]
    x = F.embedding(tokens, w["embeddings.word_embeddings.weight"])
    x = x + w["embeddings.position_embeddings.weight"][:length]
    x = x + w["embeddings.token_type_embeddings.weight"][0]
    x = _norm(x, w, "embeddings.LayerNorm")
    kept = mask.to(x.dtype)
    added = (1.0 - kept[:, None, None, :]) * -1e9
    for number in range(LAYERS):
        x = _layer(x, added, w, f"encoder.layer.{number}.")
    mean = (x * kept[:, :, None]).sum(1) / kept.sum(1, keepdim=True).clamp(min=1e-9)
    return F.normalize(mean, dim=-1)


def _norm(x: Any, w: Weights, name: str) -> Any:
    scale, bias = w[f"{name}.weight"], w[f"{name}.bias"]
    return F.layer_norm(x, (WIDTH,), scale, bias, EPSILON)


def _dense(x: Any, w: Weights, name: str) -> Any:
    return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])


def _layer(x: Any, added: Any, w: Weights, at: str) -> Any:
    batch, length, width = x.shape

    def project(name: str) -> Any:
        heads = _dense(x, w, f"{at}attention.self.{name}")
        return heads.view(batch, length, HEADS, width // HEADS).transpose(1, 2)

    mixed = F.scaled_dot_product_attention(
        project("query"), project("key"), project("value"), attn_mask=added
    )
    mixed = mixed.transpose(1, 2).reshape(batch, length, width)
    mixed = _dense(mixed, w, f"{at}attention.output.dense")
    x = _norm(x + mixed, w, f"{at}attention.output.LayerNorm")
    hidden = F.gelu(_dense(x, w, f"{at}intermediate.dense"))
    out = _dense(hidden, w, f"{at}output.dense")
    return _norm(x + out, w, f"{at}output.LayerNorm")


def export_onnx(path: Path, batch: int, length: int) -> None:
    """Writes the model for one batch size and length as an ONNX file."""
    weights = tensors()

    class Model(torch.nn.Module):  # type: ignore[misc]
        def forward(self, tokens: Any, mask: Any) -> Any:
            return embed(weights, tokens, mask)

    arguments = tuple(torch.ones(batch, length, dtype=torch.int64) for _ in range(2))
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Model().eval(),
            arguments,
            str(path),
            input_names=["tokens", "mask"],
            output_names=["embedding"],
            dynamo=False,  # the other exporter needs one more package
        )
