"""Small compiled programs for the tests of the GPU runtime; compiled once."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

import ix
from ix.runtime.executable import Executable
from ix.runtime.load import executable_of

RANDOM = np.random.default_rng()
W1 = RANDOM.standard_normal((64, 96)).astype(np.float32) / 8
W2 = RANDOM.standard_normal((96, 32)).astype(np.float32) / 8


def two_products(x: Any) -> Any:
    """x[32, 64] → [32, 32] by way of [32, 96] in the arena, and row sums of x."""
    return np.maximum(x @ W1, 0) @ W2, x.sum(axis=1)


def scaled(x: Any, y: Any) -> Any:
    """x[rows, 40], y[rows, 40] → [rows, 40]."""
    return x * np.float32(2) + y


def blend(x: Any) -> Any:
    """bf16 x[8, 32] → bf16 [8, 32]."""
    return x + x


@functools.cache
def compiled(name: str, target: str = "sm_90a") -> Executable:
    """A program by its function's name, on the emulator."""
    import ml_dtypes

    function: Any = globals()[name]
    options: dict[str, Any] = {"target": target, "device": "emulator"}
    if name == "scaled":
        rows = ix.Dim("rows", 1, 48)
        options["dims"] = {"x": {0: rows}, "y": {0: rows}}
        specs = [ix.ShapeDtype((4, 40), np.float32)] * 2
    elif name == "blend":
        specs = [ix.ShapeDtype((8, 32), np.dtype(ml_dtypes.bfloat16))]
    else:
        specs = [ix.ShapeDtype((32, 64), np.float32)]
    found: Executable = ix.jit(function, **options).lower(*specs).compile().executable
    return found


def on(device: Any, name: str, target: str = "sm_90a") -> Executable:
    """The program on a device."""
    made = compiled(name, target)
    return executable_of(made.plan, made.objects, made.constants, device=device)


def reference(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`two_products` in float64."""
    x = x.astype(np.float64)
    return np.maximum(x @ W1.astype(np.float64), 0) @ W2, x.sum(axis=1)


def close(got: Any, want: Any) -> None:
    """Sums of up to 96 products in float32: 96 · 2⁻²⁴ of the terms' size, with room."""
    for one, other in zip(got, want, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-5)
