"""The works that `gpu.py` checks and measures: NumPy code, and PyTorch's for peers.

A work is a function of arrays that runs on tracers, and on float64 arrays for the
reference. This file needs NumPy alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["CHECKED", "MEASURED", "Measured", "Work", "as_float64"]

Arrays = list[np.ndarray]
Make = Callable[[np.random.Generator], Arrays]


@dataclass(frozen=True)
class Work:
    """One program.

    tolerance: Largest difference from float64 over the largest value.
    """

    function: Callable[..., Any]
    inputs: Make
    tolerance: float


@dataclass(frozen=True)
class Measured:
    """A program that memory bounds, measured against the speed of a copy.

    torch: The same in PyTorch, for torch.compile.
    bytes: Moved by one call of so many rows, counted once each.
    """

    function: Callable[..., Any]
    torch: Callable[..., Any]
    inputs: int
    tolerance: float
    width: int

    def arrays(self, rng: np.random.Generator, rows: int) -> Arrays:
        """Inputs f32[rows, width]."""
        shape = (rows, self.width)
        return [rng.standard_normal(shape, np.float32) for _ in range(self.inputs)]

    def bytes(self, rows: int) -> int:
        """Every input and the output once."""
        return (self.inputs + 1) * rows * self.width * 4


def as_float64(arrays: Arrays) -> Arrays:
    """Floats as float64; other arrays as they are."""
    return [a if a.dtype.kind in "iub" else a.astype(np.float64) for a in arrays]


def _floats(*shapes: tuple[int, ...], dtype: Any = np.float32) -> Make:
    return lambda rng: [rng.standard_normal(s).astype(dtype) for s in shapes]


def chain(x: Any, y: Any) -> Any:
    """Ten elementwise ops that IEEE 754 rounds: products, sums, maxima, a quotient."""
    z = x * y + x
    z = np.maximum(z - y, 0.0) * 0.5
    z = z * z + 1.0
    return np.sqrt(z) / (y * y + 2.0)


def exponential(x: Any) -> Any:
    return np.exp(x) * np.tanh(x)


def transposed(x: Any) -> Any:
    return np.transpose(x, (1, 0)) * 2.0


def softmax(x: Any) -> Any:
    shifted = np.exp(x - x.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def layer_norm(x: Any) -> Any:
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred * centred).mean(axis=-1, keepdims=True)
    return centred / np.sqrt(variance + 1e-5)


def largest(x: Any) -> Any:
    return x.max(axis=-1), x.argmax(axis=-1)


def column_sums(x: Any) -> Any:
    return (x * x).sum(axis=0)


def running_sums(x: Any) -> Any:
    return np.cumsum(x, axis=-1)


def product(x: Any, w: Any, b: Any) -> Any:
    return np.maximum(x @ w + b, 0.0)


def product_then_rows(x: Any, w: Any, y: Any) -> Any:
    return layer_norm(x @ w + y)


def attention(q: Any, k: Any, v: Any) -> Any:
    return softmax(q @ k.swapaxes(-1, -2) * 0.25) @ v


def gathered(table: Any, at: Any) -> Any:
    return np.concatenate([table[at], table[at] * 2.0], axis=-1)


def scattered(x: Any, at: Any, values: Any) -> Any:
    y = x.copy()
    y[at] = values
    return y


def sorted_lines(x: Any) -> Any:
    return np.sort(x, axis=-1)


def _places(rng: np.random.Generator) -> Arrays:
    x, values = _floats((40, 21), (9, 21))(rng)
    return [x, rng.permutation(40)[:9], values]


def _table(rng: np.random.Generator) -> Arrays:
    return [rng.standard_normal((50, 33), np.float32), rng.integers(0, 50, 19)]


EXACT, SUMS, FEW_BITS = 1e-6, 1e-5, 4e-3
"""Tolerances: one operation after another in f32, sums in f32, f16 in and out."""

CHECKED = {
    "elementwise": Work(chain, _floats((37, 129), (37, 129)), EXACT),
    "elementwise f16": Work(
        chain, _floats((16, 64), (16, 64), dtype=np.float16), FEW_BITS
    ),
    "exponential": Work(exponential, _floats((9, 100)), SUMS),
    "transpose": Work(transposed, _floats((70, 45)), EXACT),
    "softmax": Work(softmax, _floats((33, 1000)), SUMS),
    "layer norm": Work(layer_norm, _floats((33, 384)), SUMS),
    "maxima": Work(largest, _floats((21, 333)), EXACT),
    "column sums": Work(column_sums, _floats((200, 96)), SUMS),
    "running sums": Work(running_sums, _floats((10, 300)), SUMS),
    "product": Work(product, _floats((70, 50), (50, 90), (90,)), SUMS),
    "product of few rows": Work(product, _floats((3, 200), (200, 130), (130,)), SUMS),
    "batched product": Work(product, _floats((3, 40, 24), (3, 24, 48), (48,)), SUMS),
    "product and rows": Work(
        product_then_rows, _floats((48, 64), (64, 96), (48, 96)), SUMS
    ),
    "attention": Work(attention, _floats((2, 2, 40, 32), *[(2, 2, 72, 32)] * 2), SUMS),
    "gather": Work(gathered, _table, EXACT),
    "scatter": Work(scattered, _places, EXACT),
    "sort": Work(sorted_lines, _floats((16, 50)), EXACT),
}


def _torch_chain(x: Any, y: Any) -> Any:
    z = x * y + x
    z = (z - y).clamp(min=0.0) * 0.5
    z = z * z + 1.0
    return z.sqrt() / (y * y + 2.0)


def _torch_softmax(x: Any) -> Any:
    return x.softmax(-1)


def _torch_layer_norm(x: Any) -> Any:
    import torch.nn.functional as F

    return F.layer_norm(x, (x.shape[-1],))


MEASURED = {
    "ten elementwise ops": Measured(chain, _torch_chain, 2, EXACT, 1024),
    "softmax": Measured(softmax, _torch_softmax, 1, SUMS, 1024),
    "layer norm": Measured(layer_norm, _torch_layer_norm, 1, SUMS, 1024),
}
