"""Models of transformers with random weights, compiled for GPUs, against eager mode."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gpu_runner import GpuRunner, load_tests

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
from torch.utils import _pytree as pytree  # noqa: E402

import ix  # noqa: E402

MODELS = load_tests("torch/test_models.py")

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]


def resnet() -> Any:
    """The blocks of ResNet-50, one of each width, on a small image."""
    config = transformers.ResNetConfig(
        depths=[1, 1, 1, 1], embedding_size=16, hidden_sizes=[32, 48, 64, 96]
    )
    model = transformers.ResNetForImageClassification(config)
    return model, torch.randn(1, 3, 32, 32)


MAKERS = [
    MODELS.bert,
    MODELS.gpt2,
    MODELS.llama,
    MODELS.vit,
    MODELS.t5_encoder,
    MODELS.whisper_encoder,
    resnet,
]
TARGETS = ["sm_80", "sm_90a"]
FAST = [(torch.float16, MODELS.gpt2), (torch.bfloat16, MODELS.t5_encoder)]


def runs(dtype: Any, chosen: Any) -> list[Any]:
    """Every model on every target; by default those chosen on one, in turn."""
    first = 0 if dtype == torch.float32 else 1
    return [
        pytest.param(
            dtype,
            make,
            target,
            id=f"{str(dtype).removeprefix('torch.')}-{make.__name__}-{target}",
            marks=()
            if make in chosen and place == (first + number) % len(TARGETS)
            else pytest.mark.slow,
        )
        for number, make in enumerate(MAKERS)
        for place, target in enumerate(TARGETS)
    ]


def fast(dtype: Any) -> list[Any]:
    return [make for each, make in FAST if each == dtype]


def small(make: Callable[[], Any], dtype: Any) -> tuple[Any, Any]:
    """A model of one layer or two in `dtype`, and its input: a batch of one."""
    torch.manual_seed(np.random.default_rng().integers(1 << 31))
    model, x = make()
    model = model.eval().to(dtype)
    x = x[:1] if x.is_floating_point() else x[:1, :7]
    return model, x.to(dtype) if x.is_floating_point() else x


def tensors(result: Any) -> list[Any]:
    return [x for x in pytree.tree_leaves(result) if isinstance(x, torch.Tensor)]


def check(
    monkeypatch: pytest.MonkeyPatch,
    dtype: Any,
    make: Callable[[], Any],
    target: str,
    tolerance: Callable[[int], float],
) -> None:
    """Compares with the same weights in float64, relative to the largest element.

    Args:
        tolerance: Of a number of launches.
    """
    model, x = small(make, dtype)
    expected = MODELS.evaluate(copy.deepcopy(model).double(), _wide(x))
    runner = GpuRunner(target)
    runner.install(monkeypatch)
    result = ix.compile(model, x)(x)
    assert runner.launches
    limit = tolerance(len(runner.launches))
    for got, want in zip(tensors(result), tensors(expected), strict=True):
        assert got.dtype == dtype
        assert (got.double() - want).abs().max() <= limit * want.abs().max()


@pytest.mark.parametrize("dtype, make, target", runs(torch.float32, MAKERS))
def test_models_agree_with_eager(
    dtype: Any, make: Callable[[], Any], target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To 1e-4 of the largest element, in f32."""
    check(monkeypatch, dtype, make, target, lambda launches: 1e-4)


@pytest.mark.parametrize(
    "dtype, make, target",
    [
        run
        for dtype in (torch.float16, torch.bfloat16)
        for run in runs(dtype, fast(dtype))
    ],
)
def test_models_of_short_floats(
    dtype: Any, make: Callable[[], Any], target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To 4 · √n · ε of the largest element.

    Sums are of f32; what a kernel hands to the next is rounded, by ε/2 of itself at
    most. Roundings of n kernels, one after the other, are independent: their errors add
    up to √n · ε/2 of an element that is as large as the largest. The norms between the
    layers keep that scale. 8 times that allows for the largest of all elements.
    """
    epsilon = torch.finfo(dtype).eps
    check(monkeypatch, dtype, make, target, lambda n: 4 * n**0.5 * epsilon)


def _wide(x: Any) -> Any:
    return x.double() if x.is_floating_point() else x
