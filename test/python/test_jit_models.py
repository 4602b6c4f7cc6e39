"""Whole models written in NumPy, compiled, against the same functions in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ix import api
from ix.dim import Dim
from ix.importer.trace.pytree import flatten, unflatten

RANDOM = np.random.default_rng(3)


def draw(*shape: int) -> np.ndarray[Any, Any]:
    scale = 1 / np.sqrt(shape[0]) if len(shape) > 1 else 1.0
    return (RANDOM.standard_normal(shape) * scale).astype(np.float32)


def widened(nest: Any) -> Any:
    """The nest with its float32 arrays in float64."""
    leaves, tree = flatten(nest)
    return unflatten(
        tree, [x.astype(np.float64) if x.dtype == np.float32 else x for x in leaves]
    )


def check(
    function: Callable[..., Any], *args: Any, tolerance: float = 2e-5, **options: Any
) -> None:
    """Compares the compiled function with the plain one in float64."""
    found = flatten(api.jit(function, **options)(*args))[0]
    expected = flatten(function(*(widened(arg) for arg in args)))[0]
    plain = flatten(function(*args))[0]
    for got, want, same in zip(found, expected, plain, strict=True):
        assert got.dtype == np.asarray(same).dtype
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


def softmax(x: Any) -> Any:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def layer_norm(x: Any, g: Any, b: Any) -> Any:
    mean = x.mean(-1, keepdims=True)
    return g * (x - mean) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) + b


def gelu(x: Any) -> Any:
    return 0.5 * x * (1 + np.tanh(0.7978845608028654 * (x + 0.044715 * x**3)))


def gpt2_block(x: Any, p: Any, heads: int = 4) -> Any:
    """One block of GPT-2, as picoGPT writes it."""
    h = layer_norm(x, *p["ln_1"]) @ p["attn"]["w"] + p["attn"]["b"]
    q, k, v = (
        np.stack(np.split(part, heads, axis=-1)) for part in np.split(h, 3, axis=-1)
    )
    mask = (1 - np.tri(x.shape[0], dtype=np.float32)) * -1e10
    out = (
        softmax(q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1]).astype(x.dtype) + mask)
        @ v
    )
    x = x + np.hstack(list(out)) @ p["proj"]["w"] + p["proj"]["b"]
    return x + gelu(layer_norm(x, *p["ln_2"]) @ p["fc"]) @ p["out"]


def gpt2_parameters(width: int) -> Any:
    return {
        "ln_1": (draw(width), draw(width)),
        "attn": {"w": draw(width, 3 * width), "b": draw(3 * width)},
        "proj": {"w": draw(width, width), "b": draw(width)},
        "ln_2": (draw(width), draw(width)),
        "fc": draw(width, 4 * width),
        "out": draw(4 * width, width),
    }


def test_gpt2_block() -> None:
    check(gpt2_block, draw(10, 32), gpt2_parameters(32), tolerance=1e-4)


def llama_attention(x: Any, w: Any) -> Any:
    """RMS norm, rotary embedding, grouped queries, causal, for any length."""
    batch, length, _ = x.shape
    heads, groups, depth = 4, 2, 8
    h = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * w["norm"]
    q = (h @ w["q"]).reshape(batch, length, heads, depth).transpose(0, 2, 1, 3)
    k = (h @ w["k"]).reshape(batch, length, groups, depth).transpose(0, 2, 1, 3)
    v = (h @ w["v"]).reshape(batch, length, groups, depth).transpose(0, 2, 1, 3)
    places = np.arange(length, like=x).astype(x.dtype)
    angles = places[:, None] * w["frequencies"]
    cos, sin = np.cos(angles), np.sin(angles)

    def rotate(t: Any) -> Any:
        first, second = t[..., : depth // 2], t[..., depth // 2 :]
        return np.concatenate(
            [first * cos - second * sin, second * cos + first * sin], -1
        )

    q, k = rotate(q), np.repeat(rotate(k), heads // groups, axis=1)
    v = np.repeat(v, heads // groups, axis=1)
    scores = np.einsum("bhqd,bhkd->bhqk", q, k) * depth**-0.5
    causal = places[:, None] >= places
    scores = np.where(causal, scores, -1e9)
    out = np.einsum("bhqk,bhkd->bqhd", softmax(scores), v)
    return x + out.reshape(batch, length, heads * depth) @ w["o"]


def llama_weights(width: int) -> Any:
    return {
        "norm": draw(width),
        "q": draw(width, 32),
        "k": draw(width, 16),
        "v": draw(width, 16),
        "o": draw(32, width),
        "frequencies": (10000.0 ** -(np.arange(4) / 4)).astype(np.float32),
    }


def test_llama_attention() -> None:
    check(llama_attention, draw(2, 6, 24), llama_weights(24), tolerance=1e-4)


def test_llama_attention_with_dynamic_sizes() -> None:
    dims = {"x": {0: Dim("batch", 1, 4), 1: Dim("length", 1, 32)}}
    compiled = api.jit(llama_attention, dims=dims)
    weights = llama_weights(24)
    for batch, length in ((2, 6), (1, 1), (3, 17)):
        x = draw(batch, length, 24)
        expected = llama_attention(widened(x), widened(weights))
        np.testing.assert_allclose(compiled(x, weights), expected, rtol=1e-4, atol=1e-4)


def lstm(x: Any, w: Any, u: Any, b: Any) -> Any:
    """A loop over time, unrolled by the trace."""
    h = c = np.zeros((x.shape[1], u.shape[0]), x.dtype)
    outputs = []
    for step in x:
        i, f, g, o = np.split(step @ w + h @ u + b, 4, axis=-1)
        c = c / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        h = np.tanh(c) / (1 + np.exp(-o))
        outputs.append(h)
    return np.stack(outputs), h, c


def test_lstm() -> None:
    check(lstm, draw(5, 3, 8), draw(8, 24), draw(6, 24), draw(24))


def convolution(x: Any, filters: Any) -> Any:
    """A 2-D convolution by windows, max pooling, and a global mean."""
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))
    y = np.einsum("nchwij,ocij->nohw", windows, filters)
    y = np.maximum(y, 0)
    n, c, h, w = y.shape
    y = y.reshape(n, c, h // 2, 2, w // 2, 2).max(axis=(3, 5))
    return y, y.mean(axis=(2, 3))


def test_convolution() -> None:
    check(convolution, draw(2, 3, 10, 8), draw(4, 3, 3, 3))


def embeddings(ids: Any, mask: Any, table: Any) -> Any:
    """Sentence embeddings: a masked mean of rows, normalised, and their similarity."""
    rows = np.take(table, ids, axis=0)
    weight = mask[..., None].astype(table.dtype)
    pooled = (rows * weight).sum(1) / np.clip(weight.sum(1), 1e-9, None)
    unit = pooled / np.linalg.norm(pooled, axis=-1, keepdims=True)
    return unit @ unit.T, np.argsort(-(unit @ unit.T), axis=-1)[:, :2]


def test_embeddings() -> None:
    ids = RANDOM.integers(0, 50, (4, 7))
    mask = RANDOM.random((4, 7)) < 0.8
    mask[:, 0] = True
    check(embeddings, ids, mask, draw(50, 16))


def nearest(points: Any, centers: Any) -> Any:
    """One step of k-means: labels, and the mean of each cluster."""
    distance = ((points[:, None] - centers[None]) ** 2).sum(-1)
    label = distance.argmin(-1)
    member = (label[:, None] == np.arange(len(centers))).astype(points.dtype)
    return label, member.T @ points / np.maximum(member.sum(0), 1)[:, None]


def test_nearest_centers() -> None:
    check(nearest, draw(20, 3), draw(4, 3))


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_precisions(dtype: Any) -> None:
    def function(x: Any, w: Any) -> Any:
        return softmax(np.maximum(x @ w, 0) * 0.5)

    x, w = draw(4, 16).astype(dtype), draw(16, 8).astype(dtype)
    got = api.jit(function)(x, w)
    assert got.dtype == dtype
    expected = function(x.astype(np.float64), w.astype(np.float64))
    np.testing.assert_allclose(got, expected, rtol=0, atol=np.finfo(dtype).eps * 8)
