"""Convolutions on AMX's tiles against float64 NumPy: edges, strides, groups, layouts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from convolution_shapes import Shape, convolution

from ix.passes.schedule.microkernel.tile_convolution import (
    TileConvolutionPlan,
    emit_tile_convolution,
    plan_tile_convolution,
)
from ix.passes.schedule.packing import packing, tile_steps
from ix.runtime.sizes import evaluate
from ix.target import Target, host_missing

needs_tiles = pytest.mark.skipif(
    bool(host_missing(Target.parse("cpu:amx"))),
    reason=f"this processor lacks {', '.join(host_missing(Target.parse('cpu:amx')))}",
)

SHAPES = [
    Shape(1, 64, 32, (8, 8), (3, 3), low=(1, 1)),
    Shape(2, 32, 40, (30, 7), (3, 3), low=(1, 1)),
    Shape(1, 64, 33, (28, 29), (3, 3), strides=(2, 2), low=(1, 1)),
    Shape(1, 10, 70, (9, 17), (3, 3), low=(1, 1)),
    Shape(1, 32, 16, (20, 22), (3, 3), dilations=(2, 2), low=(2, 2)),
    Shape(2, 40, 16, (50,), (5,), strides=(2,), low=(2,)),
    Shape(1, 16, 40, (5, 6, 7), (3, 3, 3), low=(1, 1, 1)),
    Shape(1, 96, 80, (9, 9), (3, 3), low=(1, 1), groups=2),
    Shape(1, 64, 300, (9, 9), (1, 1), strides=(2, 2)),
    Shape(1, 32, 9, (19, 70), (3, 3), strides=(1, 3), low=(1, 1)),
    Shape(1, 256, 32, (14, 60), (3, 3), low=(1, 1)),
    Shape(1, 32, 8, (6, 16), (3, 3), low=(0, 0), high=(2, 2)),
]


@pytest.fixture
def rng() -> np.random.Generator:
    """A new seed for each run, which a failure prints."""
    seed = int(np.random.SeedSequence().entropy) % 2**32
    print(f"seed {seed}")
    return np.random.default_rng(seed)


def planned(shape: Shape, channels_last: bool) -> TileConvolutionPlan:
    plan = plan_tile_convolution(
        Target.parse("cpu:amx"),
        a="f32",
        b="f32",
        batch=("dim", 0),
        channels=shape.channels,
        features=shape.features,
        axes=shape.axes,
        groups=shape.groups,
        channels_last=channels_last,
    )
    assert plan is not None
    return plan


def packed(plan: TileConvolutionPlan, f: np.ndarray) -> np.ndarray:
    """A filter [features, channels / groups, k…] as the plan wants it."""
    blocks = plan.blocks
    lying = np.moveaxis(f, (0, 1), (-1, -2))
    runs = plan.steps // plan.run_steps
    width = blocks.group_panels * blocks.panel_columns
    steps = [
        ("reshape", [runs, plan.run, blocks.groups, blocks.group_features]),
        ("pad", [runs, plan.run_steps * 32, blocks.groups, width]),
        *tile_steps(plan.steps, blocks.panels, plan.parts_b),
    ]
    result: np.ndarray = packing(steps).apply(np.ascontiguousarray(lying))
    assert result.shape == plan.packed_shape
    return result


def run(
    native_kernel: Any,
    guarded: Any,
    shape: Shape,
    x: np.ndarray,
    f: np.ndarray,
    channels_last: bool = True,
) -> np.ndarray:
    plan = planned(shape, channels_last)
    source = np.ascontiguousarray(np.moveaxis(x, 1, -1) if channels_last else x)
    weights = packed(plan, f)
    output = (shape.batch, *(axis.output for axis in shape.axes), shape.features)

    def emit(b: Any, x: Any, f: Any, y: Any, **arguments: Any) -> None:
        def read_x(n: Any, position: Any, c: Any, lanes: Any) -> Any:
            at = (n, *position, c) if channels_last else (n, c, *position)
            return b.load(x, *at, lanes=lanes)

        def finish(n: Any, position: Any, o: Any, lanes: Any, value: Any) -> None:
            # An output that is visited twice would show.
            before = b.load(y, n, *position, o, lanes=lanes)
            b.store(b.plus(value, before), y, n, *position, o, lanes=lanes)

        emit_tile_convolution(
            b, plan, read_x=read_x, packed_filter=f, finish=finish, **arguments
        )

    kernel = native_kernel(
        emit,
        [(source.shape, "f32"), (weights.shape, "i16"), (output, "f32")],
        target="cpu:amx",
        dims=1,
        scratch_bytes=plan.scratch_bytes,
    )
    y = guarded(output)
    y.array[:] = 0
    items = evaluate(plan.items, [shape.batch])
    kernel(source, weights, y.array, items=items, dims=[shape.batch])
    return np.array(y.check())


def operands(rng: Any, shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    x = rng.standard_normal((shape.batch, shape.channels, *shape.spatial))
    inner = shape.channels // shape.groups
    f = rng.standard_normal((shape.features, inner, *shape.kernel))
    return x.astype(np.float32), f.astype(np.float32)


@needs_tiles
@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_edge_to_the_precision_of_float32(
    native_kernel: Any,
    guarded: Any,
    rng: np.random.Generator,
    shape: Shape,
    channels_last: bool,
) -> None:
    x, f = operands(rng, shape)
    got = run(native_kernel, guarded, shape, x, f, channels_last)
    scale = convolution(np.abs(x), np.abs(f), shape)
    # What is left out, then sums of 32 at a time.
    assert (np.abs(got - convolution(x, f, shape)) <= 2**-20 * scale).all()


@needs_tiles
@pytest.mark.parametrize("shape", SHAPES[:3], ids=str)
def test_infinities_and_nans_are_those_of_float32(
    native_kernel: Any, guarded: Any, rng: np.random.Generator, shape: Shape
) -> None:
    x, f = operands(rng, shape)
    x[0, 3, 4, 5], x[0, 5, 1, 1], x[-1, 0, 6, 2] = np.inf, np.nan, -np.inf
    f[7, 2, 0, 0], f[8, 3, 1, 1] = np.inf, 0
    got = run(native_kernel, guarded, shape, x, f)
    with np.errstate(invalid="ignore"):
        want = convolution(x, f, shape)
    special = ~np.isfinite(want)
    assert special.any() and not special.all()
    np.testing.assert_array_equal(got[special], want[special].astype(np.float32))
    np.testing.assert_allclose(got[~special], want[~special], rtol=1e-3, atol=1e-3)


def test_tiles_begin_at_each_row_where_strides_leave_gaps() -> None:
    near = planned(Shape(1, 64, 32, (7, 7), (3, 3), low=(1, 1)), True)
    far = planned(Shape(1, 64, 32, (28, 28), (3, 3), strides=(2, 2), low=(1, 1)), True)
    assert near.row_tiles == 0
    assert far.row_tiles == 1


def test_tiles_that_would_be_empty_are_refused() -> None:
    sizes: dict[str, Any] = {"batch": 1, "features": 64, "a": "f32", "b": "f32"}
    axes = Shape(1, 3, 64, (32, 32), (7, 7), strides=(2, 2), low=(3, 3)).axes
    target = Target.parse("cpu:amx")
    assert plan_tile_convolution(target, channels=3, axes=axes, **sizes) is None
    assert plan_tile_convolution(target, channels=32, axes=axes, **sizes) is not None
