"""Reductions to attention through the whole compiler, against the reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from lowering_check import numbers
from sum_check import assert_close

from ix.compiler import compile_program
from ix.dialects import ix
from ix.dialects.ix.reference import evaluate
from ix.dialects.ix.shapes import NUMPY_DTYPES
from ix.dim import Dim
from ix.importer.program import Module
from ix.mlir import ir

RNG = np.random.default_rng()


def check(
    body: Callable[..., Any],
    inputs: Sequence[np.ndarray],
    *,
    constants: Sequence[np.ndarray] = (),
    dynamic: bool = False,
    epsilons: float = 32,
) -> None:
    """Asserts that compiled code computes what the reference does.

    Args:
        body: Builds ix ops on the inputs, then the constants; returns the results.
        inputs: What the program is called with.
        constants: Weights, which the compiler may rearrange.
        dynamic: Whether the first axis of the first input is a dimension.
    """
    with Module("family") as module:
        arguments = []
        for place, array in enumerate(inputs):
            shape: list[Any] = list(array.shape)
            if dynamic and place == 0:
                shape[0] = Dim("n", 0, 16)
            arguments.append(module.argument(f"x{place}", shape, array.dtype))
        weights = [module.parameter(array) for array in constants]
        results = list(body(*arguments, *weights))
        names = [(f"y{place}", value) for place, value in enumerate(results)]
        program = module.finish(names)
    with program.module.context, ir.Location.unknown():
        expected = evaluate(program.module, inputs, program.weights)
    executable = compile_program(program, "cpu", num_threads=1, cache=False)
    outputs = executable(*inputs)
    outputs = list(outputs) if isinstance(outputs, tuple | list) else [outputs]
    text = str(program.module)
    for got, want in zip(outputs, expected, strict=True):
        assert_close(got, want, epsilons, text)


def random(shape: Sequence[int], name: str = "f32") -> np.ndarray:
    return numbers(RNG, shape, NUMPY_DTYPES[name], 1)


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("name", ["f32", "f16", "bf16", "i8", "ui8", "i64"])
def test_reductions(name, dynamic):
    ops = [ix.ReduceSumOp, ix.ReduceProdOp, ix.ReduceMaxOp, ix.ReduceMinOp]

    def body(x):
        results = [op.build(x, axes=axes) for op in ops for axes in ([0], [1, 2], [2])]
        results += [
            op.build(x, axis=axis)
            for op in (ix.ArgmaxOp, ix.ArgminOp)
            for axis in range(3)
        ]
        return results

    check(body, [random([3, 5, 19], name)], dynamic=dynamic)


@pytest.mark.parametrize("name", ["f32", "f16", "bf16"])
def test_norms(name):
    def body(x, plane, channel):
        return [
            ix.SoftmaxOp.build(x, axis=2),
            ix.SoftmaxOp.build(x, axis=1),
            ix.LogSoftmaxOp.build(x, axis=2),
            ix.LayerNormOp.build(x, plane, plane, axis=1),
            ix.RmsNormOp.build(x, plane, axis=1),
            ix.GroupNormOp.build(x, channel, channel, groups=2),
            ix.InstanceNormOp.build(x, channel),
        ]

    constants = [random([6, 19], name), random([6], name)]
    check(body, [random([3, 6, 19], name)], constants=constants, dynamic=True)


@pytest.mark.parametrize("is_constant", [False, True])
@pytest.mark.parametrize(
    ("first", "second"),
    [("f32", "f32"), ("f16", "f16"), ("bf16", "bf16"), ("i8", "ui8"), ("i8", "i8")],
)
def test_matmul(first, second, is_constant):
    a, b = random([3, 5, 18], first), random([18, 33], second)

    def body(a, b):
        return [ix.MatmulOp.build(a, b)]

    check(body, [a] if is_constant else [a, b], constants=[b] if is_constant else [])


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_convolutions(layout, groups):
    filters = [random([8, 4 // groups, 3, 3]), random([4, 8 // groups, 3, 4])]
    x = random([2, 4, 9, 8])
    if layout == "NHWC":
        x = np.moveaxis(x, 1, -1).copy()
        filters = [np.moveaxis(f, (0, 1), (-1, -2)).copy() for f in filters]

    def body(x, conv, transpose, bias):
        shared = {"strides": [2, 1], "padding_low": [1, 1], "padding_high": [0, 1]}
        shared |= {"groups": groups, "layout": layout}
        return [
            ix.ConvOp.build(x, conv, bias, **shared),
            ix.ConvTransposeOp.build(
                x, transpose, bias, output_padding=[1, 0], **shared
            ),
        ]

    check(body, [x], constants=[*filters, random([8])], dynamic=True)


@pytest.mark.parametrize(
    ("first", "second", "third"),
    [
        ("f64", "f64", "f64"),
        ("f16", "f16", "f16"),
        ("bf16", "bf16", "bf16"),
        ("f8E5M2", "f8E5M2", "f8E5M2"),
        ("i8", "i8", "i32"),
        ("ui8", "i4", "i32"),
    ],
)
def test_convolutions_of_other_types(first, second, third):
    def body(x, conv, transpose, bias):
        return [
            ix.ConvOp.build(x, conv, bias, groups=2, padding_low=[1, 1]),
            ix.ConvTransposeOp.build(x, transpose, bias, groups=2, strides=[2, 3]),
        ]

    filters = [random([6, 2, 3, 3], second), random([4, 3, 3, 2], second)]
    constants = [*filters, random([6], third)]
    check(body, [random([2, 4, 5, 6], first)], constants=constants)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_pools(layout):
    def body(x):
        shared = {"kernel": [3, 2], "strides": [2, 1], "padding_low": [1, 1]}
        shared["layout"] = layout
        return [
            ix.MaxPoolOp.build(x, **shared),
            ix.AvgPoolOp.build(x, **shared),
            ix.AvgPoolOp.build(x, **shared, count_include_pad=True),
        ]

    check(body, [random([2, 9, 8, 7])], dynamic=True)


@pytest.mark.parametrize("name", ["f32", "f16", "f64"])
@pytest.mark.parametrize("causal", [False, True])
def test_attention(causal, name):
    q, k = random([2, 4, 5, 8], name), random([2, 2, 7, 8], name)
    mask = RNG.random([5, 7]) < 0.6
    mask[0] = False

    def body(q, k, v, mask):
        return [ix.AttentionOp.build(q, k, v, mask, causal=causal)]

    check(body, [q, k, random([2, 2, 7, 6], name), mask])


def test_nothing():
    def body(x, w):
        return [
            ix.ReduceSumOp.build(x, axes=[1]),
            ix.MatmulOp.build(x, w),
            ix.SoftmaxOp.build(x, axis=0),
            ix.MulOp.build(x, x),
        ]

    check(body, [np.zeros([2, 0], np.float32), np.zeros([0, 3], np.float32)])
