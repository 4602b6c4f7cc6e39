"""Convolutions: the lowering against NumPy, the reference against PyTorch."""

import linalg_runner
import numpy as np
import pytest
from lowering_check import FLOATS, module_of, numbers, type_text
from sum_check import assert_close, check_sum, evaluated

from ix.dialects import context, ix
from ix.dialects.ix.reference import evaluate
from ix.dialects.ix.shapes import NUMPY_DTYPES
from ix.mlir import ir
from ix.passes.graph.decompose_conv_transpose import decompose_conv_transpose

RNG = np.random.default_rng()
LAYOUTS = ("NCHW", "NHWC")

# kernel, strides, low, high, dilations, groups
CONVS = [
    ((3,), (1,), (0,), (0,), (1,), 1),
    ((3,), (2,), (1,), (2,), (3,), 2),
    ((3, 2), (2, 1), (1, 0), (0, 2), (1, 2), 1),
    ((1, 1), (1, 1), (0, 0), (0, 0), (1, 1), 1),
    ((1, 1), (2, 3), (1, 0), (0, 0), (1, 1), 2),
    ((3, 1), (1, 2), (1, 0), (1, 0), (2, 1), 4),
    ((2, 2, 3), (1, 2, 1), (0, 1, 1), (1, 0, 1), (1, 1, 2), 2),
]
# kernel, strides, low, high, output padding, dilations, groups
TRANSPOSES = [
    ((3,), (1,), (0,), (0,), (0,), (1,), 1),
    ((3, 2), (2, 3), (1, 1), (0, 1), (1, 0), (2, 1), 1),
    ((2, 2), (2, 2), (0, 0), (0, 0), (0, 0), (1, 1), 2),
    ((3, 3), (1, 1), (1, 2), (1, 2), (0, 0), (1, 2), 1),
    ((2, 5), (3, 2), (0, 3), (0, 4), (2, 1), (1, 1), 4),
    ((1, 1), (4, 1), (0, 0), (0, 0), (3, 0), (1, 1), 2),
    ((4, 4), (2, 2), (3, 3), (3, 3), (0, 0), (1, 1), 1),
    ((3, 2), (2, 2), (0, 0), (0, 0), (1, 1), (3, 2), 2),
    ((2, 3, 2), (2, 1, 3), (1, 0, 1), (0, 1, 1), (0, 0, 1), (1, 2, 1), 2),
]
# Paddings that cut more than whole taps: places of the input are not read at all.
CUT_TRANSPOSES = [
    ((3,), (1,), (4,), (0,), (0,), (1,), 1),
    ((2,), (2,), (5,), (5,), (0,), (1,), 1),
    ((2, 2), (3, 3), (2, 4), (7, 0), (2, 2), (1, 1), 1),
]


def image(dtype, kernel, channels=4):
    return numbers(RNG, [2, channels, *[7, 6, 5][: len(kernel)]], dtype, 1)


def conv_inputs(case, dtype, outputs=8):
    kernel, groups = case[0], case[-1]
    x = image(dtype, kernel)
    filter_ = numbers(RNG, [outputs, 4 // groups, *kernel], dtype, 1)
    return [x, filter_, numbers(RNG, [outputs], dtype, 1)]


def transpose_inputs(case, dtype, outputs=8):
    kernel, groups = case[0], case[-1]
    x = image(dtype, kernel)
    filter_ = numbers(RNG, [4, outputs // groups, *kernel], dtype, 1)
    return [x, filter_, numbers(RNG, [outputs], dtype, 1)]


def in_layout(inputs, layout):
    """The inputs with channels last: x [n, p…, c], filter [k…, b, a], bias."""
    if layout == "NCHW":
        return inputs
    x, filter_, *bias = inputs
    filter_ = np.moveaxis(filter_, (0, 1), (-1, -2))
    return [np.moveaxis(x, 1, -1).copy(), np.ascontiguousarray(filter_), *bias]


def conv(case, layout="NCHW"):
    _, strides, low, high, dilations, groups = case
    return lambda *values: [
        ix.ConvOp.build(
            *values,
            strides=strides,
            padding_low=low,
            padding_high=high,
            dilations=dilations,
            groups=groups,
            layout=layout,
        )
    ]


def conv_transpose(case, layout="NCHW"):
    _, strides, low, high, extra, dilations, groups = case
    return lambda *values: [
        ix.ConvTransposeOp.build(
            *values,
            strides=strides,
            padding_low=low,
            padding_high=high,
            output_padding=extra,
            dilations=dilations,
            groups=groups,
            layout=layout,
        )
    ]


def check_both(body, inputs):
    """Static, and with every axis dynamic but those of the kernel and bias."""
    check_sum(body, inputs)
    check_sum(body, inputs, dynamic=[range(inputs[0].ndim), *([()] * len(inputs[1:]))])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", CONVS, ids=str)
def test_conv(case, layout):
    inputs = in_layout(conv_inputs(case, np.float32), layout)
    check_both(conv(case, layout), inputs)
    check_sum(conv(case, layout), inputs[:2])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", TRANSPOSES + CUT_TRANSPOSES, ids=str)
def test_conv_transpose(case, layout):
    inputs = in_layout(transpose_inputs(case, np.float32), layout)
    check_both(conv_transpose(case, layout), inputs)
    check_sum(conv_transpose(case, layout), inputs[:2])


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", TRANSPOSES + CUT_TRANSPOSES, ids=str)
def test_conv_transpose_is_a_conv(case, layout, dynamic):
    inputs = in_layout(transpose_inputs(case, np.float32), layout)
    axes = [range(x.ndim) if at == 0 and dynamic else () for at, x in enumerate(inputs)]
    with context(), ir.Location.unknown():
        types = [type_text(x, a) for x, a in zip(inputs, axes, strict=True)]
        module = module_of(types, conv_transpose(case, layout))
        (want,) = evaluate(module, inputs)
        decompose_conv_transpose.run(module)
        module.operation.verify()
        text = str(module)
        (got,) = evaluate(module, inputs)
        (lowered,) = linalg_runner.run(module, inputs)
    assert "conv_transpose" not in text
    assert_close(got, want, 8, text)
    assert_close(lowered, want, 8, text)


@pytest.mark.parametrize("outputs", [4, 8])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_depthwise(outputs, layout):
    case = ((3, 2), (2, 1), (1, 0), (0, 1), (1, 1), 4)
    inputs = in_layout(conv_inputs(case, np.float32, outputs), layout)
    check_both(conv(case, layout), inputs)
    case = ((3, 2), (2, 1), (1, 0), (0, 1), (0, 0), (1, 1), 4)
    inputs = in_layout(transpose_inputs(case, np.float32, outputs), layout)
    check_both(conv_transpose(case, layout), inputs)


@pytest.mark.parametrize("name", FLOATS)
def test_conv_of_every_float(name):
    inputs = conv_inputs(CONVS[1], NUMPY_DTYPES[name])
    check_sum(conv(CONVS[1]), inputs)
    inputs = transpose_inputs(TRANSPOSES[2], NUMPY_DTYPES[name])
    check_sum(conv_transpose(TRANSPOSES[2]), inputs)


@pytest.mark.parametrize(
    ("first", "second"), [("ui8", "i8"), ("i8", "i8"), ("i8", "i4")]
)
def test_conv_of_bytes(first, second):
    case = CONVS[2]
    x, filter_, _ = conv_inputs(case, np.float32)
    x = numbers(RNG, x.shape, NUMPY_DTYPES[first])
    filter_ = numbers(RNG, filter_.shape, NUMPY_DTYPES[second])
    bias = numbers(RNG, [8], np.int32)
    check_both(conv(case), [x, filter_, bias])


def test_an_empty_batch():
    x, filter_, bias = conv_inputs(CONVS[2], np.float32)
    # Upstream's bufferization refuses to pad a static axis of size 0.
    check_sum(conv(CONVS[2]), [x[:0], filter_, bias], dynamic=[[0], [], []])


@pytest.mark.torch
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", CONVS, ids=str)
def test_conv_agrees_with_pytorch(case, layout):
    torch = pytest.importorskip("torch")
    kernel, strides, low, high, dilations, groups = case
    inputs = conv_inputs(case, np.float64)
    widths = [w for pair in zip(low, high, strict=True) for w in pair]
    # PyTorch pads the last axis first.
    widths = [w for at in range(len(kernel))[::-1] for w in (low[at], high[at])]
    x, filter_, bias = map(torch.from_numpy, inputs)
    want = getattr(torch.nn.functional, f"conv{len(kernel)}d")(
        torch.nn.functional.pad(x, widths), filter_, bias, strides, 0, dilations, groups
    ).numpy()
    (got,) = evaluated(conv(case, layout), in_layout(inputs, layout))
    assert_close(got if layout == "NCHW" else np.moveaxis(got, -1, 1), want, 16)


@pytest.mark.torch
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", TRANSPOSES + CUT_TRANSPOSES, ids=str)
def test_conv_transpose_agrees_with_pytorch(case, layout):
    torch = pytest.importorskip("torch")
    kernel, strides, low, high, extra, dilations, groups = case
    inputs = transpose_inputs(case, np.float64)
    x, filter_, bias = map(torch.from_numpy, inputs)
    # PyTorch has one padding for both ends: the whole result is cut here.
    whole = getattr(torch.nn.functional, f"conv_transpose{len(kernel)}d")(
        x, filter_, bias, strides, 0, 0, groups, dilations
    ).numpy()
    widths = [(0, 0), (0, 0), *((0, e) for e in extra)]
    channels = np.asarray(inputs[2]).reshape(1, -1, *[1] * len(kernel))
    whole = np.pad(whole - channels, widths) + channels
    want = whole[
        (
            ...,
            *(
                slice(a, n - b)
                for a, b, n in zip(low, high, whole.shape[2:], strict=True)
            ),
        )
    ]
    (got,) = evaluated(conv_transpose(case, layout), in_layout(inputs, layout))
    assert_close(got if layout == "NCHW" else np.moveaxis(got, -1, 1), want, 16)
