"""A small program for each kernel family, whose figures are kept in budgets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import ix

__all__ = ["FAMILIES", "figures_of", "program_of"]


def inputs_of(name: str) -> list[Any]:
    """The same numbers each time: what a sort does depends on them."""
    generator = np.random.default_rng(len(name))
    shapes = FAMILIES[name][1]
    return [generator.standard_normal(s).astype(np.float32) for s in shapes]


def chain(x: Any, y: Any) -> Any:
    return np.maximum(x * y + x - y, 0.0) * 0.5


def transposed(x: Any) -> Any:
    return x.T * 2.0


def softmax(x: Any) -> Any:
    return ix.nn.softmax(x)


def layer_norm(x: Any) -> Any:
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = (centred * centred).mean(axis=-1, keepdims=True)
    return centred / np.sqrt(variance + np.float32(1e-5))


def total(x: Any) -> Any:
    """More blocks than the emulator runs at once: the last one has all their sums."""
    return x.sum() * 2.0


def column_sums(x: Any) -> Any:
    return (x * x).sum(axis=0)


def running_sums(x: Any) -> Any:
    return np.cumsum(x, axis=-1)


def product(x: Any, w: Any, b: Any) -> Any:
    return ix.nn.gelu(x @ w + b)


def few_rows(x: Any, w: Any, b: Any) -> Any:
    return x @ w + b


def product_then_rows(x: Any, w: Any, y: Any) -> Any:
    return layer_norm(x @ w + y)


def attention(q: Any, k: Any, v: Any) -> Any:
    scores = q @ k.swapaxes(-1, -2) * np.float32(0.25)
    return ix.nn.softmax(scores) @ v


def scattered(x: Any, indices: Any, updates: Any) -> Any:
    places = np.abs(indices * 5000).astype(np.int64)
    np.put_along_axis(x, places, updates, axis=0)
    return x


def sorted_lines(x: Any) -> Any:
    return np.sort(x, axis=-1)


def convolution(x: Any, f: Any, b: Any) -> Any:
    return np.maximum(built("conv", x, f, b, padding_low=1), 0.0)


def pooling(x: Any) -> Any:
    return built("max_pool", x, kernel=3, strides=2, padding_low=1)


def resized(x: Any) -> Any:
    return built("resize", x, new_shape=(1, 4, 40, 48), mode="linear")


def embedding(table: Any, numbers: Any) -> Any:
    return ix.nn.embedding(table, np.abs(numbers * 100).astype(np.int64)) + 1.0


def joined(x: Any, y: Any) -> Any:
    return np.concatenate([x[:, 8:], np.pad(y, ((0, 0), (4, 4)))], axis=1)


def built(name: str, *arrays: Any, **attributes: Any) -> Any:
    """An op that NumPy has no name for, in a function that is being traced."""
    from ix.importer import builder
    from ix.importer.trace.tracer import unwrapped, wrapped

    return wrapped(getattr(builder, name)(*map(unwrapped, arrays), **attributes))


# Name → the function, and its arguments' shapes.
FAMILIES: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...]]] = {
    "elementwise": (chain, ((256, 256), (256, 256))),
    "transpose": (transposed, ((96, 160),)),
    "softmax": (softmax, ((32, 1024),)),
    "layer_norm": (layer_norm, ((64, 384),)),
    "long_rows": (softmax, ((1, 40000),)),
    "longer_rows": (layer_norm, ((1, 131072),)),
    "split_row": (total, ((300, 1000),)),
    "reduce": (column_sums, ((200, 96),)),
    "scan": (running_sums, ((40, 300),)),
    "matmul": (product, ((96, 64), (64, 128), (128,))),
    "small_m": (few_rows, ((8, 512), (512, 256), (256,))),
    "split_depth": (few_rows, ((32, 1000), (1000, 40), (40,))),
    "product_rows": (product_then_rows, ((48, 64), (64, 96), (48, 96))),
    "attention": (attention, ((2, 2, 40, 32), (2, 2, 72, 32), (2, 2, 72, 32))),
    "scatter": (scattered, ((20000,), (700,), (700,))),
    "wide_attention": (attention, ((1, 1, 20, 160), (1, 1, 40, 160), (1, 1, 40, 160))),
    "sort": (sorted_lines, ((16, 50),)),
    "long_sort": (sorted_lines, ((1, 5000),)),
    "convolution": (convolution, ((1, 16, 14, 14), (24, 16, 3, 3), (24,))),
    "pooling": (pooling, ((1, 8, 28, 28),)),
    "resize": (resized, ((1, 4, 20, 24),)),
    "embedding": (embedding, ((400, 96), (50,))),
    "joined": (joined, ((60, 72), (60, 40))),
}


def program_of(name: str, target: str = "sm_90a") -> tuple[Any, list[Any]]:
    """The executable of a family's program on the emulator, and its inputs."""
    function, inputs = FAMILIES[name][0], inputs_of(name)
    jitted = ix.jit(function, target=target, device="emulator", cache=False)
    return jitted.lower(*inputs).compile().executable, inputs


def figures_of(name: str, target: str = "sm_90a", options: Any = ()) -> Any:
    """The figures of a family's program, computed now."""
    from ix.cost.measure import measure

    executable, inputs = program_of(name, target)
    return measure(executable, inputs, options)
