"""Reductions: the lowering against NumPy, the reference against NumPy and PyTorch."""

import ml_dtypes
import numpy as np
import pytest
from lowering_check import FLOATS, INTEGERS, check, is_float, numbers
from sum_check import assert_close, check_sum, evaluated

from ix.dialects import context, ix
from ix.dialects.ix.shapes import NUMPY_DTYPES
from ix.errors import InputError
from ix.mlir import ir

RNG = np.random.default_rng()
SUMS = (ix.ReduceSumOp, ix.ReduceProdOp)
EXTREMA = (ix.ReduceMaxOp, ix.ReduceMinOp)
PLACES = (ix.ArgmaxOp, ix.ArgminOp)
FORMS = [([1], False), ([0, 2], True), ([0, 1, 2], False), ([], True)]


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("name", [*FLOATS, *INTEGERS])
def test_sums_and_extrema(name, dynamic):
    x = numbers(RNG, [3, 5, 2], NUMPY_DTYPES[name], 1)
    ops = [*SUMS, *EXTREMA] + [ix.ReduceMeanOp] * is_float(x.dtype)
    for op in ops:
        check_sum(
            lambda x, op=op: [op.build(x, axes=a, keepdims=k) for a, k in FORMS],
            [x],
            dynamic=dynamic,
        )


@pytest.mark.parametrize("op", [ix.ReduceAnyOp, ix.ReduceAllOp, *EXTREMA])
def test_reductions_of_bools(op):
    x = RNG.random((3, 5, 2)) < 0.5
    check(lambda x: [op.build(x, axes=a, keepdims=k) for a, k in FORMS], [x])


def test_short_floats_round_the_sum_once():
    x = np.full([4096], 1, np.float16)
    (total,) = evaluated(lambda x: [ix.ReduceSumOp.build(x, axes=[0])], [x])
    assert total == 4096  # adding 1 to 2048 in f16 gives 2048
    check(lambda x: [ix.ReduceSumOp.build(x, axes=[0])], [x])


@pytest.mark.parametrize("dynamic", [False, True])
def test_nothing_sums_to_the_neutral_value(dynamic):
    x = np.zeros([2, 0], np.float32)
    ops = [*SUMS, ix.ReduceMeanOp]

    def body(x):
        return [op.build(x, axes=[1]) for op in ops]

    total, product, mean = evaluated(body, [x])
    assert (total == 0).all() and (product == 1).all() and np.isnan(mean).all()
    check(body, [x], dynamic=dynamic)
    empty = np.zeros([0, 3], bool)

    def both(x):
        return [op.build(x, axes=[0]) for op in (ix.ReduceAnyOp, ix.ReduceAllOp)]

    any_, all_ = evaluated(both, [empty])
    assert not any_.any() and all_.all()
    check(both, [empty])


def test_an_empty_result_is_no_error():
    x = np.zeros([0, 3], np.float32)
    check(lambda x: [op.build(x, axes=[1]) for op in (*SUMS, *EXTREMA)], [x])


@pytest.mark.parametrize("name", FLOATS)
def test_nan_propagates_through_extrema(name):
    x = numbers(RNG, [4, 6], NUMPY_DTYPES[name])
    x[1, 2] = x[2, 0] = np.nan
    x[3] = -x.dtype.type(ml_dtypes.finfo(x.dtype).max)

    def body(x):
        return [op.build(x, axes=[1]) for op in EXTREMA]

    for result in evaluated(body, [x]):
        flags = np.isnan(result.astype(np.float64))
        np.testing.assert_array_equal(flags, [False, True, True, False])
    check(body, [x])


@pytest.mark.parametrize("select_last", [False, True])
@pytest.mark.parametrize("name", [*FLOATS, *INTEGERS, "i1"])
def test_places_of_extrema(name, select_last):
    dtype = NUMPY_DTYPES[name]
    few = RNG.integers(0, 2, [4, 6]).astype(dtype)  # so that there are equals
    x = np.concatenate([numbers(RNG, [4, 6], dtype), few], 1)
    if is_float(dtype):
        x[1, 3] = x[1, 5] = np.nan
        x[2] = -np.inf
    forms = [(0, False), (1, True)]

    def body(x):
        return [
            op.build(x, axis=a, keepdims=k, select_last=select_last)
            for op in PLACES
            for a, k in forms
        ]

    results = evaluated(body, [x])
    if not select_last:
        wide = x.astype(np.float64 if is_float(dtype) else np.int64)
        for result, (place, axis, keepdims) in zip(
            results,
            [(p, a, k) for p in (np.argmax, np.argmin) for a, k in forms],
            strict=True,
        ):
            np.testing.assert_array_equal(
                result, place(wide, axis=axis, keepdims=keepdims)
            )
    check(body, [x])
    check(body, [x], dynamic=True)


def test_the_last_of_equals():
    x = np.array([[3, 1, 3, 1], [np.nan, 5, np.nan, 7]], np.float32)

    def body(x):
        return [op.build(x, axis=1, select_last=True) for op in PLACES]

    greatest, least = evaluated(body, [x])
    assert greatest.tolist() == [2, 2] and least.tolist() == [3, 2]


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_running_totals(exclusive, reverse):
    x = RNG.integers(-3, 4, [3, 5]).astype(np.int64)
    ops = (ix.CumsumOp, ix.CumprodOp)
    results = evaluated(
        lambda x: [
            op.build(x, axis=1, exclusive=exclusive, reverse=reverse) for op in ops
        ],
        [x],
    )
    for result, combine in zip(results, (np.sum, np.prod), strict=True):
        for at in range(5):
            part = x[:, at + exclusive :] if reverse else x[:, : at + 1 - exclusive]
            np.testing.assert_array_equal(result[:, at], combine(part, axis=1))


def test_short_running_totals_accumulate_in_f32():
    x = np.full([4096], 1, np.float16)
    (total,) = evaluated(lambda x: [ix.CumsumOp.build(x, axis=0)], [x])
    assert total[-1] == 4096


@pytest.mark.torch
@pytest.mark.parametrize("descending", [False, True])
def test_sort_agrees_with_pytorch(descending):
    torch = pytest.importorskip("torch")
    x = RNG.integers(0, 5, [4, 9]).astype(np.float32)
    x[1, 3] = x[1, 6] = np.nan
    values, indices = evaluated(
        lambda x: ix.SortOp.build(x, axis=1, descending=descending), [x]
    )
    want = torch.sort(torch.from_numpy(x), dim=1, descending=descending, stable=True)
    np.testing.assert_array_equal(values, want.values.numpy())
    np.testing.assert_array_equal(indices, want.indices.numpy())


@pytest.mark.torch
@pytest.mark.parametrize("largest", [False, True])
def test_topk_agrees_with_pytorch(largest):
    torch = pytest.importorskip("torch")
    x = RNG.normal(size=[4, 9, 2]).astype(np.float32)
    x[1, 3] = np.nan
    values, indices = evaluated(
        lambda x: ix.TopkOp.build(x, k=3, axis=1, largest=largest), [x]
    )
    want = torch.topk(torch.from_numpy(x), 3, dim=1, largest=largest)
    np.testing.assert_array_equal(values, want.values.numpy())
    np.testing.assert_array_equal(indices, want.indices.numpy())


def test_topk_takes_the_lower_index_of_equals():
    x = np.array([[2, 7, 7, 2, 7]], np.int8)

    def body(x):
        return [
            *ix.TopkOp.build(x, k=4, axis=1),
            *ix.TopkOp.build(x, k=3, axis=1, largest=False),
        ]

    _, greatest, _, least = evaluated(body, [x])
    assert greatest.tolist() == [[1, 2, 4, 0]] and least.tolist() == [[0, 3, 1]]


@pytest.mark.torch
def test_sums_agree_with_pytorch():
    torch = pytest.importorskip("torch")
    x = RNG.normal(size=[3, 5, 2])
    ops = {ix.ReduceSumOp: torch.sum, ix.ReduceMeanOp: torch.mean}
    for op, function in ops.items():
        (got,) = evaluated(lambda x, op=op: [op.build(x, axes=[0, 2])], [x])
        assert_close(got, function(torch.from_numpy(x), dim=(0, 2)).numpy(), 8)


def test_builders_refuse_what_the_verifier_does():
    with context(), ir.Location.unknown():
        x = ix.ConstantOp.build(np.zeros([2, 3], np.float32))
        with pytest.raises(InputError, match=r"ix.reduce_sum: axes must lie in 0..1"):
            ix.ReduceSumOp.build(x, axes=[-1])
        with pytest.raises(InputError, match=r"ix.topk: k must lie in 0..3"):
            ix.TopkOp.build(x, k=4, axis=1)
