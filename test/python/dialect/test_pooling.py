"""Pools: the lowering against NumPy, the reference against PyTorch."""

import numpy as np
import pytest
from lowering_check import FLOATS, INTEGERS, numbers
from sum_check import assert_close, check_sum, evaluated

from ix.dialects import ix
from ix.dialects.ix.shapes import NUMPY_DTYPES

RNG = np.random.default_rng()
LAYOUTS = ("NCHW", "NHWC")
# kernel, strides, low, high, dilations
CASES = [
    ((2,), (2,), (0,), (0,), (1,)),
    ((3, 2), (2, 1), (1, 1), (1, 0), (1, 2)),
    ((3, 3), (1, 1), (1, 1), (1, 1), (1, 1)),
    ((2, 1, 3), (1, 2, 2), (1, 0, 0), (0, 0, 1), (2, 1, 1)),
]


def image(case, dtype, layout="NCHW"):
    shape = [2, 3, *[7, 6, 5][: len(case[0])]]
    if layout == "NHWC":
        shape = [shape[0], *shape[2:], shape[1]]
    return numbers(RNG, shape, dtype, 1)


def attributes(case, layout="NCHW"):
    names = ("kernel", "strides", "padding_low", "padding_high", "dilations")
    return {**dict(zip(names, case, strict=True)), "layout": layout}


def check_both(body, x):
    check_sum(body, [x])
    check_sum(body, [x], dynamic=True)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_max_pool(case, layout):
    x = image(case, np.float32, layout)
    check_both(lambda x: [ix.MaxPoolOp.build(x, **attributes(case, layout))], x)


@pytest.mark.parametrize("name", [*FLOATS, *INTEGERS])
def test_max_pool_of_every_type(name):
    x = image(CASES[1], NUMPY_DTYPES[name])
    check_sum(lambda x: [ix.MaxPoolOp.build(x, **attributes(CASES[1]))], [x])


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("count_include_pad", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_avg_pool(case, layout, count_include_pad, ceil):
    x = image(case, np.float32, layout)

    def body(x):
        return [
            ix.AvgPoolOp.build(
                x,
                **attributes(case, layout),
                ceil_padding=[s - 1 if ceil else 0 for s in case[1]],
                count_include_pad=count_include_pad,
            )
        ]

    check_both(body, x)


@pytest.mark.parametrize("name", FLOATS)
def test_avg_pool_of_every_float(name):
    x = image(CASES[1], NUMPY_DTYPES[name])
    check_sum(lambda x: [ix.AvgPoolOp.build(x, **attributes(CASES[1]))], [x])


def test_nan_propagates_and_padding_never_wins():
    x = np.full([1, 1, 5], -np.inf, np.float32)
    x[0, 0, 4] = np.nan

    def body(x):
        return [ix.MaxPoolOp.build(x, kernel=[3], strides=[2], padding_low=[1])]

    (got,) = evaluated(body, [x])
    np.testing.assert_array_equal(got, [[[-np.inf, -np.inf]]])
    check_sum(body, [x])
    (got,) = evaluated(lambda x: [ix.MaxPoolOp.build(x, kernel=[3])], [x])
    np.testing.assert_array_equal(got, [[[-np.inf, -np.inf, np.nan]]])
    check_sum(lambda x: [ix.MaxPoolOp.build(x, kernel=[3])], [x])


def ceil_high(size, kernel, stride, padding, dilation):
    """What PyTorch's ceil_mode adds at the high end of an axis."""
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    count = -(-room // stride) + 1
    if (count - 1) * stride >= size + padding:
        count -= 1
    return max((count - 1) * stride - room, 0)


@pytest.mark.torch
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("dilation", [1, 2])
def test_max_pool_agrees_with_pytorch(ceil_mode, dilation):
    torch = pytest.importorskip("torch")
    x = RNG.normal(size=[2, 3, 10, 9])
    want = torch.nn.functional.max_pool2d(
        torch.from_numpy(x), 3, 2, 1, dilation, ceil_mode=ceil_mode
    )
    extra = [ceil_high(n, 3, 2, 1, dilation) * ceil_mode for n in (10, 9)]

    def body(x):
        return [
            ix.MaxPoolOp.build(
                x,
                kernel=[3, 3],
                strides=[2, 2],
                padding_low=[1, 1],
                padding_high=[1 + e for e in extra],
                dilations=[dilation] * 2,
            )
        ]

    assert_close(evaluated(body, [x])[0], want.numpy(), 0)


@pytest.mark.torch
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("count_include_pad", [False, True])
def test_avg_pool_agrees_with_pytorch(ceil_mode, count_include_pad):
    torch = pytest.importorskip("torch")
    x = RNG.normal(size=[2, 3, 10, 9])
    want = torch.nn.functional.avg_pool2d(
        torch.from_numpy(x), 3, 2, 1, ceil_mode, count_include_pad
    )

    def body(x):
        return [
            ix.AvgPoolOp.build(
                x,
                kernel=[3, 3],
                strides=[2, 2],
                padding_low=[1, 1],
                padding_high=[1, 1],
                ceil_padding=[ceil_high(n, 3, 2, 1, 1) * ceil_mode for n in (10, 9)],
                count_include_pad=count_include_pad,
            )
        ]

    assert_close(evaluated(body, [x])[0], want.numpy(), 4)
