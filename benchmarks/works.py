"""The works that `cpu.py` times: what each peer runs, and the float64 reference.

A work is a function on arrays, once in NumPy (for NumPy and ix) and once in PyTorch
(for eager, torch.compile and, exported, ONNX Runtime), on the same random data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["WORKS", "Work"]

Arrays = list[np.ndarray]


@dataclass(frozen=True)
class Work:
    """One thing to compute.

    goals: Peer → the least speed of ix over it.
    inputs: Makes the inputs from a generator of random numbers.
    weights: Makes what the function captures.
    numpy: (weights, *inputs) → the result, in NumPy; None: ix takes the torch module.
    torch: (weights as tensors, *inputs as tensors) → the result.
    tolerance: Largest difference from float64 over the largest value.
    """

    goals: dict[str, float]
    inputs: Callable[[Any], Arrays]
    weights: Callable[[Any], dict[str, np.ndarray]]
    numpy: Callable[..., Any] | None
    torch: Callable[..., Any]
    tolerance: float = 1e-4


def _normal(rng: Any, *shape: int, scale: float = 1.0) -> np.ndarray:
    return (rng.standard_normal(shape) * scale).astype(np.float32)


def _matmul(m: int, k: int, n: int, gelu: bool) -> Work:
    def numpy(w: Any, x: Any) -> Any:
        import ix

        y = x @ w["b"] + w["bias"]
        return ix.nn.gelu(y) if gelu else y

    def torch(w: Any, x: Any) -> Any:
        import torch.nn.functional as F

        y = x @ w["b"] + w["bias"]
        return F.gelu(y) if gelu else y

    return Work(
        {"numpy": 1.05, "inductor": 1.1},
        lambda rng: [_normal(rng, m, k)],
        lambda rng: {
            "b": _normal(rng, k, n, scale=k**-0.5),
            "bias": _normal(rng, n),
        },
        numpy,
        torch,
    )


def _attention(heads: int, length: int, width: int, goal: float) -> Work:
    def numpy(w: Any, q: Any, k: Any, v: Any) -> Any:
        import ix

        scores = q @ k.swapaxes(-1, -2) * np.float32(width**-0.5)
        return ix.nn.softmax(scores) @ v

    def torch(w: Any, q: Any, k: Any, v: Any) -> Any:
        import torch.nn.functional as F

        return F.scaled_dot_product_attention(q, k, v)

    return Work(
        {"eager": goal},
        lambda rng: [_normal(rng, 1, heads, length, width) for _ in range(3)],
        lambda rng: {},
        numpy,
        torch,
    )


def _softmax(w: Any, x: Any) -> Any:
    import ix

    return ix.nn.softmax(x)


def _layer_norm(w: Any, x: Any) -> Any:
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred * centred).mean(axis=-1, keepdims=True)
    return centred / np.sqrt(variance + np.float32(1e-5)) * w["scale"] + w["bias"]


def _norm_gelu_softmax(w: Any, x: Any) -> Any:
    import ix

    return ix.nn.softmax(ix.nn.gelu(_layer_norm(w, x)))


def _torch_softmax(w: Any, x: Any) -> Any:
    return x.softmax(-1)


def _torch_layer_norm(w: Any, x: Any) -> Any:
    import torch.nn.functional as F

    return F.layer_norm(x, (x.shape[-1],), w["scale"], w["bias"])


def _torch_norm_gelu_softmax(w: Any, x: Any) -> Any:
    import torch.nn.functional as F

    return F.gelu(_torch_layer_norm(w, x)).softmax(-1)


def _rows(numpy: Any, torch: Any) -> Work:
    return Work(
        {"inductor": 1.8},
        lambda rng: [_normal(rng, 4096, 1024)],
        lambda rng: {"scale": _normal(rng, 1024), "bias": _normal(rng, 1024)},
        numpy,
        torch,
    )


def _chain(w: Any, x: Any, y: Any) -> Any:
    """Ten elementwise ops."""
    z = x * y + x
    z = np.maximum(z - y, 0.0) * 0.5
    z = z * z + 1.0
    return np.sqrt(z) / (y * y + 2.0)


def _torch_chain(w: Any, x: Any, y: Any) -> Any:
    z = x * y + x
    z = (z - y).clamp(min=0.0) * 0.5
    z = z * z + 1.0
    return z.sqrt() / (y * y + 2.0)


def _block_weights(rng: Any, width: int, layers: int) -> dict[str, np.ndarray]:
    weights = {}
    for layer in range(layers):
        for name, rows, columns in (
            ("qkv", width, 3 * width),
            ("out", width, width),
            ("up", width, 4 * width),
            ("down", 4 * width, width),
        ):
            at = f"{layer}.{name}"
            weights[f"{at}.w"] = _normal(rng, rows, columns, scale=rows**-0.5)
            weights[f"{at}.b"] = _normal(rng, columns, scale=0.1)
        for name in ("norm1", "norm2"):
            weights[f"{layer}.{name}.w"] = 1 + _normal(rng, width, scale=0.1)
            weights[f"{layer}.{name}.b"] = _normal(rng, width, scale=0.1)
    return weights


def _torch_block(w: Any, x: Any, layer: int, heads: int, past: Any = None) -> Any:
    """A transformer block, normalised before; past[2, b, h, t, d] are cached keys."""
    import torch
    import torch.nn.functional as F

    batch, length, width = x.shape

    def norm(y: Any, name: str) -> Any:
        at = f"{layer}.{name}"
        return F.layer_norm(y, (width,), w[f"{at}.w"], w[f"{at}.b"])

    def dense(y: Any, name: str) -> Any:
        return y @ w[f"{layer}.{name}.w"] + w[f"{layer}.{name}.b"]

    def split(y: Any) -> Any:
        return y.reshape(batch, length, heads, width // heads).transpose(1, 2)

    q, k, v = (split(y) for y in dense(norm(x, "norm1"), "qkv").split(width, -1))
    if past is not None:
        k, v = torch.cat([past[0], k], 2), torch.cat([past[1], v], 2)
    mixed = F.scaled_dot_product_attention(q, k, v)
    x = x + dense(mixed.transpose(1, 2).reshape(batch, length, width), "out")
    return x + dense(F.gelu(dense(norm(x, "norm2"), "up")), "down"), k, v


def _torch_small_block(w: Any, x: Any) -> Any:
    return _torch_block(w, x, 0, 4)[0]


def _torch_decode(w: Any, x: Any, past: Any) -> Any:
    import torch

    caches = []
    for layer in range(12):
        x, k, v = _torch_block(w, x, layer, 12, past[layer])
        caches.append(torch.stack([k, v]))
    return x, torch.stack(caches)


def _resnet_weights(rng: Any) -> dict[str, np.ndarray]:
    weights: dict[str, np.ndarray] = {}

    def conv(name: str, out: int, inner: int, kernel: int) -> None:
        fan = inner * kernel * kernel
        weights[f"{name}.w"] = _normal(rng, out, inner, kernel, kernel, scale=fan**-0.5)
        for part, low in (("scale", 0.5), ("var", 0.5), ("bias", -0.5), ("mean", -0.5)):
            values = rng.uniform(low, low + 1, out)
            weights[f"{name}.{part}"] = values.astype(np.float32)

    conv("stem", 64, 3, 7)
    inner = 64
    for stage, (depth, width) in enumerate(RESNET):
        for block in range(depth):
            at = f"{stage}.{block}"
            conv(f"{at}.a", width, inner, 1)
            conv(f"{at}.b", width, width, 3)
            conv(f"{at}.c", 4 * width, width, 1)
            if block == 0:
                conv(f"{at}.short", 4 * width, inner, 1)
            inner = 4 * width
    weights["head.w"] = _normal(rng, 1000, inner, scale=inner**-0.5)
    weights["head.b"] = _normal(rng, 1000)
    return weights


RESNET = ((3, 64), (4, 128), (6, 256), (3, 512))


def _torch_resnet(w: Any, x: Any) -> Any:
    """ResNet-50 (v1.5: the 3×3 convolution of a stage's first block strides)."""
    import torch.nn.functional as F

    def conv(y: Any, name: str, stride: int = 1) -> Any:
        kernel = w[f"{name}.w"]
        y = F.conv2d(y, kernel, stride=stride, padding=kernel.shape[-1] // 2)
        parts = [w[f"{name}.{part}"] for part in ("mean", "var", "scale", "bias")]
        return F.batch_norm(y, *parts)

    x = F.max_pool2d(F.relu(conv(x, "stem", 2)), 3, 2, 1)
    for stage, (depth, _) in enumerate(RESNET):
        for block in range(depth):
            at = f"{stage}.{block}"
            stride = 2 if block == 0 and stage else 1
            short = conv(x, f"{at}.short", stride) if block == 0 else x
            y = F.relu(conv(x, f"{at}.a"))
            y = F.relu(conv(y, f"{at}.b", stride))
            x = F.relu(conv(y, f"{at}.c") + short)
    return F.linear(x.mean((2, 3)), w["head.w"], w["head.b"])


SHAPES = (
    (128, 384, 384),
    (128, 384, 1536),
    (1024, 384, 1536),
    (1024, 1536, 384),
    (197, 768, 3072),
    (512, 4096, 1024),
    (1024, 1024, 1024),
    (37, 129, 255),
    (16, 768, 3072),
    (4, 768, 768),
    (1, 4096, 4096),
)


def _works() -> dict[str, Work]:
    works: dict[str, Work] = {}
    for m, k, n in SHAPES:
        works[f"matmul {m}x{k}x{n} + bias"] = _matmul(m, k, n, False)
        works[f"matmul {m}x{k}x{n} + bias + gelu"] = _matmul(m, k, n, True)
    works["attention 12x128x32"] = _attention(12, 128, 32, 1.3)
    works["attention 12x512x64"] = _attention(12, 512, 64, 1.2)
    works["softmax 4096x1024"] = _rows(_softmax, _torch_softmax)
    works["layernorm 4096x1024"] = _rows(_layer_norm, _torch_layer_norm)
    works["layernorm-gelu-softmax 4096x1024"] = _rows(
        _norm_gelu_softmax, _torch_norm_gelu_softmax
    )
    works["ten elementwise ops, 16 MB"] = Work(
        {"numpy": 5.0, "inductor": 1.1},
        lambda rng: [_normal(rng, 2048, 2048) for _ in range(2)],
        lambda rng: {},
        _chain,
        _torch_chain,
    )
    works["transformer block d256 s64 b1"] = Work(
        {"onnxruntime": 1.3, "eager": 2.0},
        lambda rng: [_normal(rng, 1, 64, 256)],
        lambda rng: _block_weights(rng, 256, 1),
        None,
        _torch_small_block,
    )
    works["GPT-2 small decode step, 128 cached"] = Work(
        {"onnxruntime": 1.1},
        lambda rng: [
            _normal(rng, 1, 1, 768),
            _normal(rng, 12, 2, 1, 12, 127, 64),
        ],
        lambda rng: _block_weights(rng, 768, 12),
        None,
        _torch_decode,
        tolerance=1e-3,
    )
    works["ResNet-50 b1"] = Work(
        {"onnxruntime": 0.9},
        lambda rng: [_normal(rng, 1, 3, 224, 224)],
        _resnet_weights,
        None,
        _torch_resnet,
        tolerance=1e-3,
    )
    return works


WORKS = _works()
