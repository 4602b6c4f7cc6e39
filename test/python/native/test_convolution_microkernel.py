"""Convolution kernels against float64 NumPy: edges, layouts, groups, types, targets."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np
import pytest
from convolution_shapes import Shape, convolution

from ix.mlir import arith
from ix.passes.schedule.microkernel.convolution import (
    Axis,
    ConvolutionPlan,
    emit_convolution,
    pack_filter,
    plan_convolution,
    plan_depthwise,
    unpack_filter,
)
from ix.runtime.sizes import evaluate
from ix.target import Target

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="runs x86 code")

Array = np.ndarray[Any, Any]
KINDS = {"f16": "f2", "f32": "f4", "f64": "f8", "i8": "i1", "i32": "i4"}


SHAPES = [
    Shape(1, 16, 32, (8, 8), (3, 3), low=(1, 1)),
    Shape(2, 3, 20, (13, 11), (3, 3), strides=(2, 2), low=(1, 1)),
    Shape(1, 5, 70, (9, 17), (3, 5), dilations=(2, 1), low=(1, 2)),
    Shape(1, 24, 33, (10, 12), (3, 3), dilations=(2, 2), low=(2, 2)),
    Shape(2, 8, 16, (30,), (5,), strides=(2,), low=(2,)),
    Shape(1, 20, 40, (5, 6, 7), (3, 3, 3), low=(1, 1, 1)),
    Shape(1, 12, 24, (9, 9), (3, 3), low=(1, 1), groups=3),
    Shape(1, 64, 64, (7, 3), (3, 3), low=(1, 1)),
    Shape(1, 64, 300, (4, 4), (1, 1), strides=(2, 2)),
    Shape(1, 16, 16, (1, 1), (1, 1)),
    Shape(1, 8, 8, (6, 6), (3, 3), low=(0, 0), high=(2, 2)),
    Shape(1, 2, 5, (3, 3), (5, 5), low=(2, 2)),
    Shape(1, 40, 9, (19, 70), (3, 3), strides=(1, 3), low=(1, 1)),
    Shape(1, 6, 12, (8, 8), (3, 3), low=(1, 1), groups=6),
    Shape(1, 400, 8, (5, 60), (3, 3), low=(1, 1)),
    Shape(1, 3, 8, (9, 9), (1, 1), strides=(2, 2), low=(1, 1)),
]
DEPTHWISE = [
    Shape(1, 48, 48, (9, 10), (3, 3), low=(1, 1), groups=48),
    Shape(2, 20, 20, (15, 13), (5, 5), strides=(2, 2), low=(2, 2), groups=20),
    Shape(1, 7, 7, (40,), (3,), low=(1,), groups=7),
    Shape(1, 33, 33, (6, 5, 4), (3, 3, 3), low=(1, 1, 1), groups=33),
    Shape(1, 80, 80, (30, 30), (3, 3), dilations=(2, 3), low=(2, 3), groups=80),
]


def planned(
    shape: Shape,
    target: str,
    *,
    channels_last: bool = True,
    dynamic: bool = False,
    bits: int = 32,
) -> ConvolutionPlan:
    sizes: dict[str, Any] = {
        "batch": ("dim", 0) if dynamic else shape.batch,
        "channels": shape.channels,
        "axes": shape.axes,
        "channels_last": channels_last,
        "element_bits": bits,
    }
    if shape.depthwise:
        return plan_depthwise(Target.parse(target), **sizes)
    sizes |= {"features": shape.features, "groups": shape.groups}
    return plan_convolution(Target.parse(target), **sizes)


class Case:
    """One convolution with bias on random operands, through one kernel."""

    def __init__(
        self,
        native_kernel: Any,
        shape: Shape,
        *,
        channels_last: bool = True,
        target: str = "cpu",
        element: str = "f32",
        operand: str = "",
        dynamic: bool = False,
    ) -> None:
        self.shape = shape
        operand = operand or element
        rng = np.random.default_rng(5)
        inner = shape.channels // shape.groups
        sizes = [
            (shape.batch, shape.channels, *shape.spatial),
            (shape.features, inner, *shape.kernel),
        ]
        self.x, self.f = (self.random(rng, size, operand) for size in sizes)
        self.bias = self.random(rng, (shape.features,), element)
        bits = self.bias.dtype.itemsize * 8
        layout = {"channels_last": channels_last, "dynamic": dynamic, "bits": bits}
        self.plan = planned(shape, target, **layout)
        source = self.x if channels_last is False else np.moveaxis(self.x, 1, -1)
        self.source = np.ascontiguousarray(source)
        self.packed = pack_filter(self.f, self.plan)
        self.output = (shape.batch, *(a.output for a in shape.axes), shape.features)
        self.kernel = native_kernel(
            self.emit,
            [
                (self.source.shape, operand),
                (self.packed.shape, operand),
                (self.bias.shape, element),
                (self.output, element),
            ],
            target=target,
            element=element,
            dims=1,
            scratch_bytes=self.plan.scratch_bytes,
        )

    @staticmethod
    def random(rng: np.random.Generator, shape: tuple[int, ...], kind: str) -> Array:
        if kind.startswith("i"):
            return rng.integers(-100, 100, shape).astype(KINDS[kind])
        return rng.standard_normal(shape).astype(KINDS[kind])

    def emit(self, b: Any, x: Any, f: Any, bias: Any, y: Any, **arguments: Any) -> None:
        def read_x(n: Any, position: Any, c: Any, lanes: Any) -> Any:
            at = (n, *position, c) if self.plan.channels_last else (n, c, *position)
            return b.load(x, *at, lanes=lanes)

        def finish(n: Any, position: Any, o: Any, lanes: Any, value: Any) -> None:
            # An output that is visited twice would show.
            before = b.load(y, n, *position, o, lanes=lanes)
            b.store(b.plus(value, before), y, n, *position, o, lanes=lanes)

        emit_convolution(
            b,
            self.plan,
            read_x=read_x,
            packed_filter=f,
            start=lambda n, position, o, lanes: b.load(bias, o, lanes=lanes),
            finish=finish,
            **arguments,
        )

    def run(self, guarded: Any) -> Array:
        y = guarded(self.output, self.bias.dtype)
        y.array[:] = 50
        items = evaluate(self.plan.items, [self.shape.batch])
        operands = (self.source, self.packed, self.bias, y.array)
        self.kernel(*operands, items=items, dims=[self.shape.batch])
        return y.check()

    def want(self) -> Array:
        return convolution(self.x, self.f, self.shape) + self.bias + 50

    def check(self, guarded: Any, tolerance: float = 1e-5) -> None:
        atol = tolerance * np.sqrt(self.f[0].size)
        np.testing.assert_allclose(self.run(guarded), self.want(), rtol=1e-5, atol=atol)


LAYOUTS = pytest.mark.parametrize("channels_last", [True, False], ids=["NHWC", "NCHW"])


@pytest.mark.parametrize("shape", [*SHAPES, *DEPTHWISE], ids=str)
@LAYOUTS
def test_every_edge(
    native_kernel: Any, guarded: Any, shape: Shape, channels_last: bool
) -> None:
    Case(native_kernel, shape, channels_last=channels_last).check(guarded)


@pytest.mark.parametrize("target", ["cpu:avx2", "cpu:generic"])
@pytest.mark.parametrize("shape", [SHAPES[1], SHAPES[5], DEPTHWISE[1]], ids=str)
@LAYOUTS
def test_narrower_vectors(
    native_kernel: Any, guarded: Any, shape: Shape, channels_last: bool, target: str
) -> None:
    case = Case(native_kernel, shape, channels_last=channels_last, target=target)
    case.check(guarded)


@pytest.mark.parametrize("shape", [SHAPES[1], DEPTHWISE[1]], ids=str)
def test_batch_known_at_run_time(
    native_kernel: Any, guarded: Any, shape: Shape
) -> None:
    Case(native_kernel, shape, dynamic=True).check(guarded)


@pytest.mark.parametrize("shape", [SHAPES[3], DEPTHWISE[0]], ids=str)
@LAYOUTS
def test_other_types(
    native_kernel: Any, guarded: Any, shape: Shape, channels_last: bool
) -> None:
    layout = {"channels_last": channels_last}
    Case(native_kernel, shape, operand="f16", **layout).check(guarded)
    Case(native_kernel, shape, element="f64", **layout).check(guarded, 1e-13)
    exact = Case(native_kernel, shape, element="i32", operand="i8", **layout)
    np.testing.assert_array_equal(exact.run(guarded), exact.want())


@pytest.mark.parametrize("shape", [*SHAPES, *DEPTHWISE], ids=str)
def test_packing_has_an_inverse(shape: Shape) -> None:
    plan = planned(shape, "cpu:avx512")
    inner = shape.channels // shape.groups
    rng = np.random.default_rng(0)
    array = rng.standard_normal((shape.features, inner, *shape.kernel))
    packed = pack_filter(array, plan)
    assert packed.shape == plan.filter_shape
    np.testing.assert_array_equal(unpack_filter(packed, plan), array)
    last = np.moveaxis(array, (0, 1), (-1, -2))
    np.testing.assert_array_equal(pack_filter(last, plan, channels_last=True), packed)


def test_epilogue_is_fused(native_kernel: Any, guarded: Any) -> None:
    shape = SHAPES[0]
    plan = plan_convolution(
        Target.parse("cpu"), batch=1, channels=16, features=32, axes=shape.axes
    )

    def emit(b: Any, x: Any, f: Any, y: Any, **arguments: Any) -> None:
        emit_convolution(
            b,
            plan,
            read_x=lambda n, at, c, lanes: b.load(x, n, *at, c, lanes=lanes),
            packed_filter=f,
            finish=lambda n, at, o, lanes, value: b.store(
                arith.maximumf(value, b.splat(0.0)), y, n, *at, o, lanes=lanes
            ),
            **arguments,
        )

    rng = np.random.default_rng(1)
    x = rng.standard_normal((1, 16, 8, 8)).astype("f4")
    f = rng.standard_normal((32, 16, 3, 3)).astype("f4")
    source, packed = np.ascontiguousarray(np.moveaxis(x, 1, -1)), pack_filter(f, plan)
    y = guarded((1, 8, 8, 32))
    shapes = [(each.shape, "f32") for each in (source, packed, y.array)]
    kernel = native_kernel(emit, shapes, scratch_bytes=plan.scratch_bytes)
    kernel(source, packed, y.array, items=plan.items)
    want = np.maximum(convolution(x, f, shape), 0)
    np.testing.assert_allclose(y.check(), want, rtol=1e-5, atol=1e-4)


def test_short_rows_share_a_register_tile() -> None:
    target = Target.parse("cpu:avx512")
    tiles = {}
    for size in (1, 3, 7, 14, 56, 20):
        axes = [Axis(size + 2, size, 3), Axis(size + 2, size, 3)]
        plan = plan_convolution(target, batch=1, channels=8, features=32, axes=axes)
        tiles[size] = (plan.tile_height, plan.tile_width)
    assert tiles == {
        1: (1, 1),
        3: (2, 3),
        7: (1, 7),
        14: (1, 7),
        56: (1, 8),
        20: (1, 8),
    }
