"""Matmul and dot_general: the lowering and the structure it has, against NumPy."""

import itertools

import numpy as np
import pytest
from lowering_check import FLOATS, module_of, numbers
from sum_check import assert_close, check_sum, evaluated

from ix.dialects import context, ix
from ix.dialects.ix.shapes import NUMPY_DTYPES
from ix.errors import InputError
from ix.mlir import ir, ops_in
from ix.passes.linalg.lower_to_linalg import lower_to_linalg
from ix.passes.linalg.structure import match_contraction, match_convolution

RNG = np.random.default_rng()
BYTES = ("i4", "i8", "ui8")


def matmul(a, b, **attributes):
    return lambda x, y: [ix.MatmulOp.build(x, y, **attributes)]


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("name", FLOATS)
def test_matmul_of_floats(name, dynamic):
    a, b = (numbers(RNG, shape, NUMPY_DTYPES[name], 1) for shape in ([5, 7], [7, 3]))
    check_sum(matmul(a, b), [a, b], dynamic=dynamic)


@pytest.mark.parametrize("name", ["f16", "bf16", "f8E4M3FN", "f8E5M2"])
def test_short_floats_may_keep_the_sum(name):
    a, b = (numbers(RNG, shape, NUMPY_DTYPES[name], 1) for shape in ([5, 7], [7, 3]))

    def body(a, b):
        return [ix.MatmulOp.build(a, b, element_type=ir.F32Type.get())]

    (got,) = evaluated(body, [a, b])
    want = a.astype(np.float64) @ b.astype(np.float64)
    assert_close(got, want.astype(np.float32), 1)
    check_sum(body, [a, b])


def test_the_sum_of_short_floats_rounds_once():
    a, b = np.ones([1, 4096], np.float16), np.ones([4096, 1], np.float16)
    assert evaluated(matmul(a, b), [a, b])[0] == 4096
    check_sum(matmul(a, b), [a, b], epsilons=0)


@pytest.mark.parametrize(("first", "second"), list(itertools.product(BYTES, BYTES)))
def test_matmul_of_bytes(first, second):
    a = numbers(RNG, [5, 7], NUMPY_DTYPES[first])
    b = numbers(RNG, [7, 3], NUMPY_DTYPES[second])
    (got,) = evaluated(matmul(a, b), [a, b])
    want = a.astype(np.int64) @ b.astype(np.int64)
    np.testing.assert_array_equal(got, want.astype(np.int32))
    check_sum(matmul(a, b), [a, b])


@pytest.mark.parametrize("name", ["i16", "i32", "i64"])
def test_integers_wrap(name):
    a, b = (numbers(RNG, shape, NUMPY_DTYPES[name]) for shape in ([3, 4], [4, 2]))
    with np.errstate(over="ignore"):
        (got,) = evaluated(matmul(a, b), [a, b])
        np.testing.assert_array_equal(got, a @ b)
    check_sum(matmul(a, b), [a, b])


@pytest.mark.parametrize("transposed", list(itertools.product([False, True], repeat=2)))
@pytest.mark.parametrize(
    ("batch_a", "batch_b"),
    [
        ([], []),
        ([4], []),
        ([], [4]),
        ([2, 1], [3]),
        ([1], [2, 3]),
        ([1], [1]),
        ([0], [1]),
    ],
)
def test_batches_broadcast(batch_a, batch_b, transposed):
    a = RNG.normal(size=[*batch_a, 5, 2]).astype(np.float32)
    b = RNG.normal(size=[*batch_b, 2, 3]).astype(np.float32)
    want = a @ b
    a, b = (
        np.ascontiguousarray(np.swapaxes(x, -1, -2)) if flag else x
        for x, flag in zip((a, b), transposed, strict=True)
    )
    body = matmul(a, b, transpose_a=transposed[0], transpose_b=transposed[1])
    (got,) = evaluated(body, [a, b])
    assert_close(got, want, 8)
    check_sum(body, [a, b])
    # Axes of size 1 stay static: a dynamic size never stretches.
    dynamic = [[axis for axis, n in enumerate(x.shape) if n > 1] for x in (a, b)]
    check_sum(body, [a, b], dynamic=dynamic)


@pytest.mark.parametrize("m, k, n", [(0, 3, 2), (2, 0, 3), (1, 1, 1), (1, 9, 1)])
def test_thin_and_empty_matrices(m, k, n):
    a, b = numbers(RNG, [m, k], np.float32), numbers(RNG, [k, n], np.float32)
    check_sum(matmul(a, b), [a, b])
    check_sum(matmul(a, b), [a, b], dynamic=True)


@pytest.mark.parametrize(
    ("shape_a", "shape_b", "axes", "spec"),
    [
        ([2, 3, 4, 5], [5, 6, 4], ([2], [2], [3], [0]), "mnbk,kpb->bmnp"),
        ([3, 2], [4, 5], ([], [], [], []), "ab,cd->abcd"),
        ([3, 4], [4, 3], ([0, 1], [1, 0], [], []), "ab,ba->ab"),
        ([3, 4, 2], [2, 4, 3], ([], [], [0, 2], [2, 0]), "kml,lnk->mn"),
        ([3, 4], [3, 4], ([], [], [0, 1], [0, 1]), "ab,ab->"),
    ],
)
def test_dot_general(shape_a, shape_b, axes, spec):
    # Positive, for a sum to a scalar may cancel to any relative error.
    a, b = (RNG.random(shape).astype(np.float32) for shape in (shape_a, shape_b))
    names = ("batch_a", "batch_b", "contract_a", "contract_b")

    def body(a, b):
        return [ix.DotGeneralOp.build(a, b, **dict(zip(names, axes, strict=True)))]

    (got,) = evaluated(body, [a, b])
    assert_close(got, np.einsum(spec, a, b), 16)
    check_sum(body, [a, b])
    check_sum(body, [a, b], dynamic=True)


def matches(types, body):
    """What both matchers say of the first generic with a multiplication."""
    with context(), ir.Location.unknown():
        module = module_of(types, body)
        lower_to_linalg.run(module)
        found = [op for op in ops_in(module) if op.operation.name == "linalg.generic"]
        matched = [(match_contraction(op), match_convolution(op)) for op in found]
    return next(pair for pair in matched if pair != (None, None))


def test_matmul_is_matched():
    contraction, convolution = matches(
        ["tensor<3x1x4x?xf16>", "tensor<2x6x?xf16>"],
        lambda a, b: [ix.MatmulOp.build(a, b, transpose_b=True)],
    )
    assert convolution is None
    assert (contraction.batch, contraction.m) == ((), (0, 2))
    assert (contraction.n, contraction.k) == ((1, 3), (4,))
    assert contraction.a_axes == (0, None, 2, 4) and contraction.b_axes == (1, 3, 4)
    assert (contraction.extend_a, contraction.extend_b) == ("extf", "extf")


def test_mixed_bytes_are_matched():
    contraction, _ = matches(
        ["tensor<7x4x5xi8>", "tensor<7x5x6xui8>"],
        lambda a, b: [ix.MatmulOp.build(a, b)],
    )
    assert (contraction.batch, contraction.k) == ((0,), (3,))
    assert (contraction.extend_a, contraction.extend_b) == ("extsi", "extui")


def test_convolution_is_matched():
    contraction, convolution = matches(
        ["tensor<2x4x9x?xf32>", "tensor<6x2x3x1xf32>"],
        lambda x, f: [
            ix.ConvOp.build(x, f, groups=2, strides=[2, 3], dilations=[2, 1])
        ],
    )
    assert contraction is None
    assert (convolution.batch, convolution.groups) == ((0,), (1,))
    assert (convolution.outputs, convolution.inputs) == ((2,), (5,))
    assert (convolution.places, convolution.taps) == ((3, 4), (6, None))
    assert (convolution.strides, convolution.dilations) == ((2, 3), (2, 1))
    assert convolution.filter_axes == (1, 2, 5, 6)


def test_transposed_convolution_is_matched():
    _, convolution = matches(
        ["tensor<2x4x9xf32>", "tensor<4x6x4xf32>"],
        lambda x, f: [ix.ConvTransposeOp.build(x, f, strides=[2])],
    )
    assert (convolution.places, convolution.taps) == ((2,), (5,))
    assert (convolution.dilations, convolution.offsets) == ((-1,), (1,))
    assert convolution.outputs == (1, 3)


def test_other_generics_are_not_matched():
    with context(), ir.Location.unknown():
        module = module_of(
            ["tensor<4x8xf32>"],
            lambda x: [
                ix.SoftmaxOp.build(x, axis=1),
                ix.ReduceSumOp.build(x, axes=[0]),
                ix.MulOp.build(x, x),
                ix.LayerNormOp.build(x, axis=1),
            ],
        )
        lower_to_linalg.run(module)
        found = [op for op in ops_in(module) if op.operation.name == "linalg.generic"]
        assert len(found) > 9
        for op in found:
            assert match_contraction(op) is None and match_convolution(op) is None


def test_builders_refuse_what_the_verifier_does():
    with context(), ir.Location.unknown():
        x = ix.ConstantOp.build(np.zeros([2, 3], np.float32))
        with pytest.raises(
            InputError, match=r"ix.matmul: contracted sizes must be equal"
        ):
            ix.MatmulOp.build(x, x)
        with pytest.raises(
            InputError, match=r"ix.matmul: contracted sizes must be equal"
        ):
            ix.MatmulOp.build(x, x, element_type=ir.F32Type.get())
