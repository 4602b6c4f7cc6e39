"""Softmax and norms: the lowering against NumPy, the reference against PyTorch."""

import numpy as np
import pytest
from lowering_check import FLOATS, numbers
from sum_check import assert_close, check_sum, evaluated

from ix.dialects import ix
from ix.dialects.ix.shapes import NUMPY_DTYPES

RNG = np.random.default_rng()
WIDE = ("f64", "f32", "f16", "bf16")
DYNAMIC = [False, True]


def torch_of(array):
    return pytest.importorskip("torch").from_numpy(array)


def vectors(count, shape, dtype):
    return [numbers(RNG, shape, dtype, 1) for _ in range(count)]


@pytest.mark.parametrize("dynamic", DYNAMIC)
@pytest.mark.parametrize("name", FLOATS)
def test_softmax(name, dynamic):
    x = numbers(RNG, [3, 7, 2], NUMPY_DTYPES[name])

    def body(x):
        return [
            op.build(x, axis=axis)
            for op in (ix.SoftmaxOp, ix.LogSoftmaxOp)
            for axis in range(3)
        ]

    check_sum(body, [x], dynamic=dynamic)


def test_softmax_of_extreme_rows():
    x = np.array(
        [[1e30, 1e30, -1e30], [-np.inf, 0, -np.inf], [np.nan, 0, 1], [-np.inf] * 3],
        np.float32,
    )

    def body(x):
        return [ix.SoftmaxOp.build(x, axis=1)]

    (got,) = evaluated(body, [x])
    want = [[0.5, 0.5, 0], [0, 1, 0], [np.nan] * 3, [np.nan] * 3]
    np.testing.assert_array_equal(got, np.array(want, np.float32))
    check_sum(body, [x])


@pytest.mark.parametrize("axis", [0, 1])
def test_softmax_of_nothing(axis):
    x = np.zeros([0, 3], np.float32)
    check_sum(lambda x: [ix.SoftmaxOp.build(x, axis=axis)], [x])


@pytest.mark.parametrize("dynamic", DYNAMIC)
@pytest.mark.parametrize("name", FLOATS)
def test_norms_of_trailing_axes(name, dynamic):
    dtype = NUMPY_DTYPES[name]
    x = numbers(RNG, [3, 5, 4], dtype, 1)
    scale, bias = vectors(2, [5, 4], dtype)

    def body(x, scale, bias):
        return [
            ix.LayerNormOp.build(x, axis=2),
            ix.LayerNormOp.build(x, scale, axis=1),
            ix.LayerNormOp.build(x, None, bias, axis=1),
            ix.LayerNormOp.build(x, scale, bias, axis=1, epsilon=0.5),
            ix.RmsNormOp.build(x, axis=0),
            ix.RmsNormOp.build(x, scale, axis=1, epsilon=0.5),
        ]

    check_sum(body, [x, scale, bias], epsilons=16, dynamic=dynamic)


@pytest.mark.parametrize("dynamic", DYNAMIC)
@pytest.mark.parametrize("name", WIDE)
def test_norms_of_channels(name, dynamic):
    dtype = NUMPY_DTYPES[name]
    x = numbers(RNG, [2, 6, 3, 4], dtype, 1)
    scale, bias, mean = vectors(3, [6], dtype)
    variance = np.abs(mean)

    def body(x, scale, bias, mean, variance):
        return [
            ix.BatchNormOp.build(x, scale, bias, mean, variance, epsilon=0.5),
            ix.GroupNormOp.build(x, groups=3),
            ix.GroupNormOp.build(x, scale, bias, groups=2),
            ix.GroupNormOp.build(x, None, bias, groups=6),
            ix.InstanceNormOp.build(x, scale, bias),
            ix.InstanceNormOp.build(x, scale),
        ]

    inputs = [x, scale, bias, mean, variance]
    check_sum(body, inputs, epsilons=16, dynamic=dynamic)


def test_batch_norm_of_the_last_axis():
    x = numbers(RNG, [2, 3, 6], np.float32)
    rest = vectors(4, [6], np.float32)
    rest[3] = np.abs(rest[3]) + 1
    check_sum(lambda *values: [ix.BatchNormOp.build(*values, axis=2)], [x, *rest])


def test_the_mean_is_subtracted_before_squaring():
    x = (1e4 + RNG.normal(size=[2, 64])).astype(np.float32)

    def body(x):
        return [ix.LayerNormOp.build(x, axis=1)]

    # The exact result, for the f32 that x holds.
    wide = x.astype(np.float64)
    want = wide - wide.mean(1, keepdims=True)
    want /= np.sqrt((want**2).mean(1, keepdims=True) + 1e-5)
    (got,) = evaluated(body, [x])
    assert_close(got, want.astype(np.float32), 2)
    # A mean of 1e4 has an error of 1e-3; Σx² − (Σx)² would have one of 10.
    check_sum(body, [x], epsilons=3e4)


@pytest.mark.torch
def test_softmax_agrees_with_pytorch():
    x = RNG.normal(size=[3, 5, 2]) * 10
    for op, name in ((ix.SoftmaxOp, "softmax"), (ix.LogSoftmaxOp, "log_softmax")):
        for axis in range(3):
            (got,) = evaluated(lambda x, op=op, a=axis: [op.build(x, axis=a)], [x])
            want = getattr(torch_of(x), name)(axis).numpy()
            assert_close(got, want, 8)


@pytest.mark.torch
def test_norms_agree_with_pytorch():
    functional = pytest.importorskip("torch.nn.functional")
    x = RNG.normal(size=[2, 6, 3, 4])
    scale, bias, mean = vectors(3, [6], np.float64)
    variance = np.abs(mean)
    plane = RNG.normal(size=[3, 4])

    def body(x, scale, bias, mean, variance, plane):
        return [
            ix.LayerNormOp.build(x, plane, plane, axis=2),
            ix.RmsNormOp.build(x, plane, axis=2, epsilon=1e-3),
            ix.BatchNormOp.build(x, scale, bias, mean, variance, epsilon=1e-3),
            ix.GroupNormOp.build(x, scale, bias, groups=3),
            ix.InstanceNormOp.build(x, scale, bias),
        ]

    inputs = [x, scale, bias, mean, variance, plane]
    t_x, t_scale, t_bias, t_mean, t_variance, t_plane = map(torch_of, inputs)
    wanted = [
        functional.layer_norm(t_x, (3, 4), t_plane, t_plane),
        functional.rms_norm(t_x, (3, 4), t_plane, eps=1e-3),
        functional.batch_norm(t_x, t_mean, t_variance, t_scale, t_bias, eps=1e-3),
        functional.group_norm(t_x, 3, t_scale, t_bias),
        functional.instance_norm(t_x, weight=t_scale, bias=t_bias),
    ]
    for got, want in zip(evaluated(body, inputs), wanted, strict=True):
        assert_close(got, want.numpy(), 64)
