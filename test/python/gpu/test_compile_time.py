"""How long one kernel of each family takes to compile, and that CI has ptxas."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ix
from ix.compiler import code_of

SECONDS = 0.5
"""What a kernel may take, on a core that nobody else uses."""

X = np.ones((130, 260), np.float32)
W = np.random.default_rng().standard_normal((260, 72)).astype(np.float32)


def softmax(x: Any) -> Any:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def attention(x: Any) -> Any:
    q = x[:, :256].reshape(130, 4, 64).transpose(1, 0, 2)
    return softmax(q @ q.transpose(0, 2, 1) / 8) @ q


FAMILIES: dict[str, Callable[[Any], Any]] = {
    "elementwise": lambda x: np.tanh(x) * np.exp(x) + np.sin(x),
    "row": softmax,
    "reduce": lambda x: x.sum(axis=0),
    "transpose": lambda x: x.T.copy(),
    "matmul": lambda x: np.maximum(x @ W, 0),
    "thin matmul": lambda x: x[:3] @ W,
    "attention": attention,
    "sort": lambda x: np.sort(x, axis=-1),
    "scan": lambda x: np.cumsum(x, axis=-1),
}


@pytest.mark.parametrize("target", ["sm_80", "sm_90a"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_kernel_takes_little_time(family: str, target: str) -> None:
    """The least of some tries in CPU time: other processes do not count."""
    program = ix.jit(FAMILIES[family]).lower(X).program
    code_of(program, target)
    seconds = []
    for _ in range(3):
        start = time.process_time()
        kernels = len(code_of(program, target).plan.kernels)
        seconds.append((time.process_time() - start) / kernels)
        if seconds[-1] <= SECONDS:
            return
    pytest.fail(f"{min(seconds):.2f} s for each of {kernels} kernels")


def test_ci_has_ptxas() -> None:
    """Otherwise no test there would assemble anything, and nobody would notice."""
    script = Path(__file__).parents[3] / ".ci" / "run"
    assert '".[dev,onnx,ptxas]"' in script.read_text()
