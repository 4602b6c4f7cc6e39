"""Graph passes keep what a program computes; recognisers find what models spell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from graph_runner import Array, built, sample, transform

from ix.importer import builder as b
from ix.importer.trace import trace
from ix.passes.graph.fold_constants import fold_constants
from ix.passes.graph.recognize_attention import recognize_attention
from ix.passes.graph.recognize_gelu import recognize_gelu
from ix.passes.graph.recognize_layer_norm import recognize_layer_norm
from ix.passes.graph.recognize_rms_norm import recognize_rms_norm
from ix.passes.graph.recognize_sigmoid import recognize_sigmoid
from ix.passes.graph.recognize_softmax import recognize_softmax
from ix.passes.graph.simplify_algebra import simplify_algebra
from ix.passes.pipeline import STAGES

F32 = np.float32


def mean(x: Any) -> Any:
    return x.mean(-1, keepdims=True)


def softmax(x: Any) -> Any:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def swap(x: Any) -> Any:
    return np.swapaxes(x, -1, -2)


SCALE = F32(0.3)
Q, K, V = (sample("q", 2, 4, 5, 8), sample("k", 2, 4, 6, 8), sample("v", 2, 4, 6, 3))
FEW_K, FEW_V = sample("few k", 2, 2, 6, 8), sample("few v", 2, 2, 6, 3)
MASK = sample("mask", 2, 1, 5, 6)
SEEN = (MASK < 0.5) | (np.arange(6) == 0)
LATE_Q, LATE_K, LATE_V = (each.swapaxes(1, 2).copy() for each in (Q, K, V))
FLAT_Q, FLAT_K, FLAT_V = (each.reshape(8, *each.shape[2:]) for each in (Q, K, V))

ATTENTION: dict[str, tuple[Callable[..., Any], list[Array]]] = {
    "scores times a number": (
        lambda q, k, v: softmax(q @ swap(k) * SCALE) @ v,
        [Q, K, V],
    ),
    "scores over a number": (
        lambda q, k, v: softmax(q @ swap(k) / SCALE) @ v,
        [Q, K, V],
    ),
    "scaled queries": (lambda q, k, v: softmax((q * SCALE) @ swap(k)) @ v, [Q, K, V]),
    "scaled keys": (lambda q, k, v: softmax(q @ swap(k * SCALE)) @ v, [Q, K, V]),
    "added mask": (
        lambda q, k, v, m: softmax(q @ swap(k) * SCALE + m) @ v,
        [Q, K, V, MASK],
    ),
    "scaled masks": (
        lambda q, k, v, m: softmax((m + q @ swap(k) - m * SCALE) * SCALE) @ v,
        [Q, K, V, MASK],
    ),
    "hidden by infinity": (
        lambda q, k, v, m: softmax(np.where(m, q @ swap(k), F32(-np.inf))) @ v,
        [Q, K, V, SEEN],
    ),
    "hidden by a number": (
        lambda q, k, v, m: softmax(np.where(m, F32(-1e9), q @ swap(k))) @ v,
        [Q, K, V, ~SEEN],
    ),
    "einsum": (
        lambda q, k, v: np.einsum(
            "bhij,bjhd->bihd", softmax(np.einsum("bihd,bjhd->bhij", q, k)), v
        ),
        [LATE_Q, LATE_K, LATE_V],
    ),
    "rank 3": (
        lambda q, k, v, m: softmax(q @ swap(k) + m) @ v,
        [FLAT_Q, FLAT_K, FLAT_V, MASK[0]],
    ),
    "views": (
        lambda q, k, v, m: (
            softmax(((q @ swap(k)).reshape(2, 4, 5, 6) + m).reshape(8, 5, 6)) @ v
        ),
        [FLAT_Q, FLAT_K, FLAT_V, MASK],
    ),
    "repeated heads": (
        lambda q, k, v: softmax(q @ swap(np.repeat(k, 2, 1))) @ np.repeat(v, 2, 1),
        [Q, FEW_K, FEW_V],
    ),
    "groups of heads": (
        lambda q, k, v, m: (
            softmax(q.reshape(2, 2, 2, 5, 8) @ swap(k[:, :, None]) * SCALE + m[:, None])
            @ v[:, :, None]
        ),
        [Q, FEW_K, FEW_V, MASK],
    ),
    "one head": (lambda q, k, v: softmax(q @ swap(k)) @ v, [Q, K[:, :1], V[:, :1]]),
}


@pytest.mark.parametrize("name", ATTENTION)
def test_attention_is_recognised(name: str) -> None:
    function, inputs = ATTENTION[name]
    program = trace(function, inputs)
    ops = transform(program, inputs, [recognize_softmax, recognize_attention])
    assert "ix.attention" in ops
    assert not {"ix.matmul", "ix.dot_general", "ix.softmax"} & set(ops)


OTHER_ATTENTION: dict[str, Callable[..., Any]] = {
    "capped scores": lambda q, k, v: softmax(np.tanh(q @ swap(k))) @ v,
    "softmax over queries": lambda q, k, v: swap(softmax(swap(q @ swap(k)))) @ v,
    "weights are returned": lambda q, k, v: [
        f(softmax(q @ swap(k))) for f in (lambda p: p @ v, lambda p: p)
    ],
}


@pytest.mark.parametrize("name", OTHER_ATTENTION)
def test_what_is_no_attention_stays(name: str) -> None:
    program = trace(OTHER_ATTENTION[name], [Q, K, V])
    ops = transform(program, [Q, K, V], ["cse", recognize_softmax, recognize_attention])
    assert "ix.attention" not in ops


X, GAIN, SHIFT = sample("x", 2, 3, 8), sample("gain", 8), sample("shift", 8)
EPSILON = F32(1e-5)


def scale_and_shift(x: Any, g: Any, s: Any) -> Any:
    inverse = 1 / np.sqrt(mean((x - mean(x)) ** 2) + EPSILON) * g
    return x * inverse + (s - mean(x) * inverse)


LAYER_NORMS: dict[str, Callable[..., Any]] = {
    "var": lambda x, g, s: (
        (x - mean(x)) / np.sqrt(x.var(-1, keepdims=True) + EPSILON) * g + s
    ),
    "mean of squares": lambda x, g, s: (
        s + g * ((x - mean(x)) / np.sqrt(mean((x - mean(x)) ** 2) + EPSILON))
    ),
    "without keepdims": lambda x, g, s: (
        (x - x.mean(-1)[..., None]) * (1 / np.sqrt(x.var(-1) + EPSILON))[..., None] * g
        + s
    ),
    "sum": lambda x, g, s: (
        (x - x.sum(-1, keepdims=True) / 8) / (mean((x - mean(x)) ** 2) + EPSILON) ** 0.5
    ),
    "std": lambda x, g, s: (x - mean(x)) / x.std(-1, keepdims=True),
    "mean of squares less square of mean": lambda x, g, s: (
        (x - mean(x)) / np.sqrt(mean(x * x) - mean(x) ** 2 + EPSILON)
    ),
    "scale and shift": scale_and_shift,
    "gain first": lambda x, g, s: (
        g * (x - mean(x)) / np.sqrt(x.var(-1, keepdims=True) + EPSILON) + s
    ),
}


@pytest.mark.parametrize("name", LAYER_NORMS)
def test_layer_norm_is_recognised(name: str) -> None:
    program = trace(LAYER_NORMS[name], [X, GAIN, SHIFT])
    ops = transform(program, [X, GAIN, SHIFT], ["cse", recognize_layer_norm])
    assert ops == ["ix.layer_norm"]


def test_layer_norm_of_short_floats_is_recognised_between_casts() -> None:
    def norm(x: Any, gain: Any) -> Any:
        wide = x.astype(F32)
        root = np.sqrt(wide.var(-1, keepdims=True) + EPSILON)
        return ((wide - mean(wide)) / root).astype(np.float16) * gain

    inputs = [X.astype(np.float16), GAIN.astype(np.float16)]
    program = trace(norm, inputs)
    assert transform(program, inputs, ["cse", recognize_layer_norm]) == [
        "ix.layer_norm"
    ]


@pytest.mark.parametrize(
    "norm",
    [
        lambda x: (x - mean(x)) / (x.std(-1, keepdims=True) + EPSILON),
        lambda x: (x - mean(x)) / np.sqrt(x.var(-1, keepdims=True, ddof=1) + EPSILON),
        lambda x: (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True),
        lambda x: (x - mean(x)) / np.sqrt(x.var(1, keepdims=True) + EPSILON),
    ],
)
def test_other_norms_stay(norm: Callable[..., Any]) -> None:
    passes = ["cse", recognize_layer_norm, recognize_rms_norm]
    ops = transform(trace(norm, [X]), [X], passes)
    assert not {"ix.layer_norm"} & set(ops)


@pytest.mark.parametrize(
    "norm",
    [
        lambda x, g: x / np.sqrt(mean(x * x) + EPSILON) * g,
        lambda x, g: g * (x * (1 / np.sqrt(mean(x**2) + EPSILON))),
    ],
)
def test_rms_norm_is_recognised(norm: Callable[..., Any]) -> None:
    ops = transform(trace(norm, [X, GAIN]), [X, GAIN], [recognize_rms_norm])
    assert ops == ["ix.rms_norm"]


def cubic(x: Any) -> Any:
    return 0.7978845608 * (x + 0.044715 * x**3)


ACTIVATIONS: dict[str, tuple[str, Callable[..., Any]]] = {
    "gelu by tanh": ("gelu", lambda x: 0.5 * x * (1 + np.tanh(cubic(x)))),
    "gelu by products": (
        "gelu",
        lambda x: x * (0.5 * (1 + np.tanh(0.79788456 * x * (1 + 0.044715 * x * x)))),
    ),
    "gelu in float64": (
        "gelu",
        lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    ),
    "gelu by sigmoid": ("gelu", lambda x: x / (1 + np.exp(-2 * cubic(x)))),
    "sigmoid": ("sigmoid", lambda x: 1 / (1 + np.exp(-x))),
    "sigmoid by tanh": ("sigmoid", lambda x: 0.5 * (1 + np.tanh(0.5 * x))),
    "silu": ("silu", lambda x: x * (1 / (1 + np.exp(-x)))),
    "softplus": ("softplus", lambda x: np.log(1 + np.exp(x))),
    "stable softplus": (
        "softplus",
        lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),
    ),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_is_recognised(name: str) -> None:
    kind, function = ACTIVATIONS[name]
    ops = transform(
        trace(function, [X]), [X], [recognize_sigmoid, recognize_gelu], 2e-4
    )
    assert [each for each in ops if each != "ix.cast"] == [f"ix.{kind}"]


@pytest.mark.parametrize(
    "function", [lambda x: np.logaddexp(0, x), lambda x: np.logaddexp(x, F32(0))]
)
def test_softplus_is_recognised_in_logaddexp(function: Callable[..., Any]) -> None:
    passes = [fold_constants, simplify_algebra, "cse"]
    x = X * 20
    ops = transform(trace(function, [x]), [x], [*passes, recognize_sigmoid])
    assert ops == ["ix.softplus"]


def test_gelu_by_error_function_is_recognised() -> None:
    def gelu(x: Any) -> Any:
        return b.mul(b.mul(0.5, x), b.add(1.0, b.erf(b.true_divide(x, 1.41421356))))

    assert transform(built(gelu, X), [X], [recognize_gelu]) == ["ix.gelu"]


def test_another_cubic_is_no_gelu() -> None:
    def function(x: Any) -> Any:
        return 0.5 * x * (1 + np.tanh(0.7978845608 * (x + 0.05 * x**3)))

    assert "ix.gelu" not in transform(trace(function, [X]), [X], [recognize_gelu])


def test_whole_stage_keeps_an_encoder_layer() -> None:
    weights = {name: sample(name, 8, 8) for name in "qkvo"}
    up, down = sample("up", 8, 16), sample("down", 16, 8)

    def norm(x: Any) -> Any:
        return (x - mean(x)) / np.sqrt(
            x.var(-1, keepdims=True) + EPSILON
        ) * GAIN + SHIFT

    def encoder(x: Any, mask: Any) -> Any:
        q, k, v = (
            (x @ weights[name] + SHIFT).reshape(2, 3, 2, 4).transpose(0, 2, 1, 3)
            for name in "qkv"
        )
        scores = q @ swap(k) / F32(2) + (1 - mask[:, None, None, :]) * F32(-1e9)
        heads = (softmax(scores) @ v).transpose(0, 2, 1, 3).reshape(2, 3, 8)
        x = norm(x + heads @ weights["o"] + SHIFT)
        hidden = x @ up
        return norm(x + 0.5 * hidden * (1 + np.tanh(cubic(hidden))) @ down)

    inputs = [X, np.array([[1, 1, 0], [1, 1, 1]], F32)]
    (stage,) = [each for each in STAGES if each.name == "graph"]
    ops = transform(trace(encoder, inputs), inputs, stage.passes, 2e-4)
    counts = {
        name: ops.count(f"ix.{name}") for name in ("matmul", "layer_norm", "gelu")
    }
    assert counts == {"matmul": 4, "layer_norm": 2, "gelu": 1}
    assert ops.count("ix.attention") == 1
