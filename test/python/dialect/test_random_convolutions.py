"""Convolutions of random geometry: each is the adjoint of its transpose, in any form."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lowering_check import module_of, type_text

from ix.dialects import context, ix
from ix.dialects.ix.reference import evaluate
from ix.mlir import ir, ops_in
from ix.passes.graph.decompose_conv_transpose import decompose_conv_transpose
from ix.passes.linalg.lower_to_linalg import lower_to_linalg

SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@st.composite
def geometries(draw: Any) -> tuple[dict[str, Any], list[int], list[int], list[int]]:
    """Attributes of a convolution, kernel, input sizes and channels."""
    rank = draw(st.integers(1, 3))
    several = lambda low, high: [draw(st.integers(low, high)) for _ in range(rank)]  # noqa: E731
    kernel, strides, dilations = several(1, 4), several(1, 4), several(1, 3)
    low, high = several(0, 4), several(0, 4)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    sizes = [
        draw(st.integers(max(r - a - b, 1), max(r - a - b, 1) + 6))
        for r, a, b in zip(reach, low, high, strict=True)
    ]
    groups = draw(st.sampled_from([1, 2, 3]))
    channels = [groups * draw(st.integers(1, 2)) for _ in range(2)]
    attributes = {
        "strides": strides,
        "padding_low": low,
        "padding_high": high,
        "dilations": dilations,
        "groups": groups,
        "layout": draw(st.sampled_from(["NCHW", "NHWC"])),
    }
    return attributes, kernel, sizes, channels


def arrays(shape: list[int], layout: str, generator: np.random.Generator) -> np.ndarray:
    """A random image [n, c, …], or channels last."""
    array = generator.normal(size=shape)
    return np.moveaxis(array, 1, -1).copy() if layout == "NHWC" else array


def run(body: Any, inputs: list[np.ndarray], *passes: Any) -> np.ndarray:
    """The reference's result, after some passes have run."""
    with context(), ir.Location.unknown():
        module = module_of([type_text(x) for x in inputs], body)
        for each in passes:
            each.run(module)
        module.operation.verify()
        return np.asarray(evaluate(module, inputs)[0])


@SETTINGS
@given(geometries(), st.integers(0, 2**32 - 1))
def test_a_convolution_is_the_adjoint_of_its_transpose(geometry, seed):
    """⟨conv(x), y⟩ = ⟨x, conv_transpose(y)⟩, as PyTorch and ONNX define it."""
    attributes, kernel, sizes, (inputs, outputs) = geometry
    layout, generator = attributes["layout"], np.random.default_rng(seed)
    x = arrays([2, inputs, *sizes], layout, generator)
    shape = [outputs, inputs // attributes["groups"], *kernel]
    filter_ = generator.normal(size=shape)
    if layout == "NHWC":
        filter_ = np.moveaxis(filter_, (0, 1), (-1, -2)).copy()
    image = run(lambda x, f: [ix.ConvOp.build(x, f, **attributes)], [x, filter_])
    y = generator.normal(size=image.shape)
    # What the stride leaves over at the high end is output padding.
    places = slice(2, None) if layout == "NCHW" else slice(1, -1)
    extra = [
        size + low + high - (k - 1) * d - 1 - (p - 1) * s
        for size, low, high, k, d, p, s in zip(
            sizes,
            attributes["padding_low"],
            attributes["padding_high"],
            kernel,
            attributes["dilations"],
            image.shape[places],
            attributes["strides"],
            strict=True,
        )
    ]

    def transpose(y: Any, f: Any) -> list[Any]:
        return [ix.ConvTransposeOp.build(y, f, output_padding=extra, **attributes)]

    back = run(transpose, [y, filter_])
    assert back.shape == x.shape
    np.testing.assert_allclose(
        np.vdot(image, y), np.vdot(x, back), rtol=1e-9, atol=1e-9
    )
    decomposed = run(transpose, [y, filter_], decompose_conv_transpose)
    np.testing.assert_allclose(decomposed, back, rtol=1e-12, atol=1e-12)


@SETTINGS
@given(geometries(), st.booleans())
def test_every_geometry_lowers_to_valid_linalg(geometry, is_dynamic):
    attributes, kernel, sizes, (inputs, outputs) = geometry
    is_last = attributes["layout"] == "NHWC"
    shape = [2, *sizes, inputs] if is_last else [2, inputs, *sizes]
    share, back = inputs // attributes["groups"], outputs // attributes["groups"]
    filters = [[outputs, share, *kernel], [inputs, back, *kernel]]
    if is_last:
        filters = [[*k, b, a] for a, b, *k in filters]
    axes = range(len(shape)) if is_dynamic else ()
    pool = {key: value for key, value in attributes.items() if key != "groups"}

    def body(x: Any, conv: Any, transpose: Any) -> list[Any]:
        results = [
            ix.ConvOp.build(x, conv, **attributes),
            ix.MaxPoolOp.build(x, kernel=kernel, **pool),
            ix.AvgPoolOp.build(x, kernel=kernel, **pool),
        ]
        reach = [
            (size - 1) * s + (k - 1) * d + 1 - low - high
            for size, s, k, d, low, high in zip(
                sizes,
                attributes["strides"],
                kernel,
                attributes["dilations"],
                attributes["padding_low"],
                attributes["padding_high"],
                strict=True,
            )
        ]
        if min(reach) >= 0:
            results.append(ix.ConvTransposeOp.build(x, transpose, **attributes))
        return results

    with context(), ir.Location.unknown():
        types = [type_text(np.zeros(shape, np.float32), axes)]
        types += [type_text(np.zeros(each, np.float32)) for each in filters]
        module = module_of(types, body)
        lower_to_linalg.run(module)
        module.operation.verify()
        names = {op.operation.name for op in ops_in(module)}
    assert "linalg.generic" in names
    assert not any(name.startswith("ix.") for name in names)
