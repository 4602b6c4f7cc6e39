"""Movement ops: the lowering against NumPy, static and dynamic, for every dtype."""

import linalg_runner
import numpy as np
import pytest
from lowering_check import check, module_of, numbers, type_text

from ix.dialects import context, ix
from ix.dialects.ix.reference import evaluate
from ix.dialects.ix.shapes import NUMPY_DTYPES
from ix.errors import CompileError, InputError
from ix.mlir import arith, ir, tensor
from ix.passes.linalg.lower_to_linalg import lower_to_linalg

BOTH = pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])


def random(*shape, dtype=np.float32, seed=0):
    return numbers(np.random.default_rng(seed), shape, dtype)


def size(value, axis):
    return ix.DimOp.build(value, axis=axis)


def scalar(value, dtype="f32"):
    return ix.ConstantOp.build(value, dtype)


@pytest.mark.parametrize("name", NUMPY_DTYPES)
def test_every_dtype_moves(name):
    x = random(2, 3, 4, dtype=NUMPY_DTYPES[name])
    y = random(2, 1, 4, dtype=NUMPY_DTYPES[name], seed=1)

    def body(x, y):
        return [
            ix.TransposeOp.build(x, permutation=[2, 0, 1]),
            ix.ReshapeOp.build(x, [6, 2, 2]),
            ix.ConcatOp.build([x, y, x], axis=1),
            ix.SliceOp.build(x, starts=[0, 1, 0], limits=[2, 3, 4], strides=[1, 1, 3]),
            ix.PadOp.build(x, scalar(1, name), low=[0, 1, 0], high=[2, 0, 0]),
            ix.PadOp.build(
                x, scalar(1, name), low=[0, 1, 2], high=[0, 0, 1], mode="edge"
            ),
            ix.FlipOp.build(x, axes=[0, 2]),
            ix.TileOp.build(x, repeats=[1, 2, 3]),
            ix.BroadcastOp.build(y, [5, 2, 3, 4]),
            *ix.SplitOp.build(x, axis=2, sizes=[2, 2]),
            *ix.SplitOp.build(x, axis=2, sizes=[1, 3]),
            ix.GatherOp.build(x, ix.ConstantOp.build([1, -1, 0]), axis=1),
            ix.ResizeOp.build(x, [2, 5, 4]),
        ]

    check(body, [x, y])


@pytest.mark.parametrize("name", [n for n in NUMPY_DTYPES if n != "i1"])
def test_iota(name):
    def body(x):
        shapes = ([3, size(x, 0)], [5])
        return [ix.IotaOp.build(s, name, axis=len(s) - 1) for s in shapes]

    check(body, [random(4, 2)], dynamic=True)


RESHAPES = [
    ((2, 3, 4), (6, 4)),
    ((6, 4), (2, 3, 4)),
    ((2, 3, 4), (4, 3, 2)),
    ((2, 3), (3, 2)),
    ((2, 6, 5), (2, 3, 2, 5)),
    ((1, 4, 1), (4,)),
    ((4,), (1, 4, 1, 1)),
    ((1, 1), ()),
    ((), (1, 1, 1)),
    ((2, 0, 3), (0, 5)),
    ((0,), (3, 0)),
    ((2, 3, 4, 5), (6, 2, 10)),
    ((3, 1, 2), (3, 2)),
]


@pytest.mark.parametrize(("old", "new"), RESHAPES)
def test_static_reshapes(old, new):
    check(lambda x: [ix.ReshapeOp.build(x, list(new))], [random(*old)])


def test_dynamic_reshapes():
    def body(x):
        b, s, h = (size(x, axis) for axis in range(3))
        rows = arith.MulIOp(b, s).result
        total = arith.MulIOp(rows, h).result
        two = arith.ConstantOp(ir.IndexType.get(), 2).result
        half = arith.DivSIOp(h, two).result
        merged = ix.ReshapeOp.build(x, [rows, h])
        return [
            merged,
            ix.ReshapeOp.build(merged, [b, s, h]),
            ix.ReshapeOp.build(x, [b, s, half, 2]),
            ix.ReshapeOp.build(x, [h, s, b]),
            ix.ReshapeOp.build(x, [total]),
            ix.ReshapeOp.build(x, [1, b, s, 1, h]),
        ]

    check(body, [random(2, 3, 4)], dynamic=True)


def test_reshape_keeps_axes_that_are_surely_equal():
    """tensor<?x?x8> → tensor<?x?x2x4> needs no flat tensor in between."""

    def body(x):
        y = ix.ExpOp.build(x)
        return [ix.ReshapeOp.build(y, [size(x, 0), size(y, 1), 2, 4])]

    with context(), ir.Location.unknown():
        module = module_of(["tensor<?x?x8xf32>"], body)
        lower_to_linalg.run(module)
        text = str(module)
    assert "collapse_shape" not in text
    assert "expand_shape" in text and "[[0], [1], [2, 3]]" in text


@BOTH
def test_transposes(dynamic):
    check(
        lambda x: [
            ix.TransposeOp.build(x, permutation=list(p))
            for p in ((0, 1, 2), (2, 1, 0), (1, 2, 0), (0, 2, 1))
        ],
        [random(2, 3, 4)],
        dynamic=dynamic,
    )


@BOTH
def test_concats(dynamic):
    def body(a, b, c):
        return [
            ix.ConcatOp.build([a, b], axis=1),
            ix.ConcatOp.build([a, b, c, b, b], axis=1),
            ix.ConcatOp.build([a], axis=0),
            ix.ConcatOp.build([a, a], axis=0),
        ]

    inputs = [random(2, 3), random(2, 1), random(2, 0)]
    check(body, inputs, dynamic=[1] if dynamic else False)


@BOTH
def test_slices(dynamic):
    def body(x):
        return [
            ix.SliceOp.build(x, starts=[1, 0], limits=[4, 6]),
            ix.SliceOp.build(x, starts=[0, 1], limits=[5, 6], strides=[2, 3]),
            ix.SliceOp.build(x, starts=[2, 2], limits=[2, 3]),
            ix.SliceOp.build(x, starts=[0, 0], limits=[size(x, 0), size(x, 1)]),
            ix.SliceOp.build(
                x, starts=[1, 0], limits=[size(x, 0), size(x, 0)], strides=[2, 2]
            ),
        ]

    check(body, [random(5, 6)], dynamic=dynamic)


def test_slices_with_bounds_of_the_run():
    def body(x, count):
        n = size(count, 0)
        last = size(x, 0)
        start = arith.SubIOp(last, n).result
        return [ix.SliceOp.build(x, starts=[start], limits=[last], strides=[2])]

    check(body, [random(9), random(4)], dynamic=True)


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
@BOTH
def test_pads(mode, dynamic):
    def body(x, value):
        return [
            ix.PadOp.build(x, value, low=[2, 0, 1], high=[1, 2, 0], mode=mode),
            ix.PadOp.build(x, value, low=[0, 0, 0], high=[0, 0, 0], mode=mode),
            ix.PadOp.build(x, scalar(-1), low=[0, 1, 0], high=[0, 0, 3], mode=mode),
        ]

    check(body, [random(3, 4, 5), random()], dynamic=dynamic)


def test_pad_of_nothing():
    def body(x, value):
        pads = [value, scalar(2)]
        return [ix.PadOp.build(x, v, low=[1, 0], high=[1, 2]) for v in pads]

    check(body, [random(0, 3), random()])


@BOTH
def test_flip_and_tile(dynamic):
    def body(x):
        return [
            ix.FlipOp.build(x, axes=[0]),
            ix.FlipOp.build(x, axes=[0, 1, 2]),
            ix.FlipOp.build(x, axes=[]),
            ix.TileOp.build(x, repeats=[2, 1, 3]),
            ix.TileOp.build(x, repeats=[1, 1, 1]),
            ix.TileOp.build(x, repeats=[1, 0, 2]),
        ]

    check(body, [random(2, 1, 4)], dynamic=[0, 2] if dynamic else False)


@BOTH
def test_broadcasts(dynamic):
    def body(x, y, z):
        return [
            ix.BroadcastOp.build(x, [size(y, 0), size(x, 1)]),
            ix.BroadcastOp.build(x, [4, size(y, 1), 3]),
            ix.BroadcastOp.build(y, [size(y, 0), size(y, 1)]),
            ix.BroadcastOp.build(z, [2, size(y, 0)]),
            ix.BroadcastOp.build(scalar(2), [size(y, 0)]),
            ix.BroadcastOp.build(z, []),
        ]

    inputs = [random(1, 3), random(5, 3), random()]
    check(body, inputs, dynamic=[1] if dynamic else False)


INDEX_TYPES = ["i64", "i32", "i8", "ui8"]


@pytest.mark.parametrize("name", INDEX_TYPES)
@BOTH
def test_gathers(name, dynamic):
    x = random(4, 5, 3)
    low = 0 if name == "ui8" else -4
    generator = np.random.default_rng(1)
    indices = generator.integers(low, 4, (2, 3)).astype(NUMPY_DTYPES[name])
    one = np.array(2, NUMPY_DTYPES[name])

    def body(x, indices, one):
        return [
            ix.GatherOp.build(x, indices, axis=0),
            ix.GatherOp.build(x, indices, axis=1),
            ix.GatherOp.build(x, one, axis=2),
        ]

    check(body, [x, indices, one], dynamic=dynamic)


@BOTH
def test_take_along_axis(dynamic):
    generator = np.random.default_rng(1)
    x = random(4, 5, 3)
    indices = [generator.integers(-4, 4, shape) for shape in ((7, 5, 3), (2, 1, 3))]
    row = generator.integers(0, 3, (4, 5, 2))
    narrow = random(1, 5, 3)

    def body(x, a, b, row, narrow):
        return [
            ix.TakeAlongAxisOp.build(x, a, axis=0),
            ix.TakeAlongAxisOp.build(x, b, axis=0),
            ix.TakeAlongAxisOp.build(x, row, axis=2),
            ix.TakeAlongAxisOp.build(narrow, row, axis=2),
        ]

    check(body, [x, *indices, row, narrow], dynamic=[2] if dynamic else False)


@BOTH
def test_gather_nd(dynamic):
    generator = np.random.default_rng(1)
    x = random(4, 5, 3)
    pairs = generator.integers(-4, 4, (6, 2)) % [4, 5]
    rows = generator.integers(-5, 5, (4, 2, 1))
    triples = generator.integers(0, 3, (2, 2, 3))

    def body(x, pairs, rows, triples):
        return [
            ix.GatherNdOp.build(x, pairs),
            ix.GatherNdOp.build(x, rows, batch_dims=1),
            ix.GatherNdOp.build(x, triples),
        ]

    check(body, [x, pairs, rows, triples], dynamic=[0] if dynamic else False)


def test_indices_outside_read_an_element():
    """No index reads memory that is not the tensor's."""
    x = np.arange(5, dtype=np.float32)
    indices = np.array([5, 1 << 40, -6, -(1 << 40), 2])
    with context(), ir.Location.unknown():
        body = lambda x, i: [ix.GatherOp.build(x, i, axis=0)]  # noqa: E731
        module = module_of([type_text(x), type_text(indices)], body)
        results = [fn(module, [x, indices]) for fn in (evaluate, linalg_runner.run)]
    for (got,) in results:
        np.testing.assert_array_equal(got, [4, 4, 0, 0, 2])


NEAREST = [
    {"nearest": nearest, "coordinates": coordinates}
    for nearest in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
    for coordinates in ("half_pixel", "asymmetric", "align_corners")
]
INTERPOLATED = [
    {"coordinates": coordinates, "antialias": antialias}
    for coordinates in (
        "half_pixel",
        "pytorch_half_pixel",
        "align_corners",
        "asymmetric",
    )
    for antialias in (False, True)
]


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@BOTH
def test_resizes(mode, dynamic):
    """Up and down at once, to a size of the run, to one, and by a stated scale."""
    x = random(7, 4, dtype=np.float64)

    def body(x, y):
        results = []
        for options in NEAREST if mode == "nearest" else INTERPOLATED:
            shapes = ([size(y, 0), 3], [1, 4])
            for shape in shapes:
                results.append(ix.ResizeOp.build(x, shape, mode=mode, **options))
            results.append(
                ix.ResizeOp.build(x, [3, 6], scales=[0.4, 1.7], mode=mode, **options)
            )
        return results

    axes = [0, 1] if dynamic else False
    check(body, [x, random(12, 2)], ulps=300, dynamic=axes)


@pytest.mark.parametrize("name", ["f32", "f16", "bf16", "f8E5M2"])
def test_resize_of_narrow_floats(name):
    x = random(2, 5, 6, dtype=NUMPY_DTYPES[name])

    def body(x):
        return [
            ix.ResizeOp.build(x, [2, 9, 3], mode=mode, antialias=antialias)
            for mode in ("linear", "cubic")
            for antialias in (False, True)
        ]

    check(body, [x], ulps=64 if name == "f32" else 1.5)


def test_evaluate_refuses_what_does_not_fit():
    with context(), ir.Location.unknown():
        module = module_of(["tensor<2x?xf32>"], lambda x: [ix.ExpOp.build(x)])
        with pytest.raises(InputError, match="argument 0 needs tensor<2x\\?xf32>, but"):
            evaluate(module, [np.zeros((3, 2), np.float32)])
        with pytest.raises(InputError, match="needs 1 inputs, but got 0"):
            evaluate(module, [])
        weight = ir.Type.parse("tensor<2xf32>")
        module = module_of([], lambda: [ix.ParameterOp.build(weight, name="w")])
        with pytest.raises(InputError, match="needs 'w', but the parameters do not"):
            evaluate(module, [])
        with pytest.raises(InputError, match="'w' needs tensor<2xf32>, but got shape"):
            evaluate(module, [], {"w": np.zeros(3)})
        module = module_of(
            ["tensor<?xf32>", "tensor<?xf32>"], lambda a, b: [ix.AddOp.build(a, b)]
        )
        (result,) = evaluate(module, [np.ones(2, np.float32)] * 2)
        np.testing.assert_array_equal(result, [2, 2])


def test_evaluate_calls_functions():
    text = """
      func.func @twice(%x: tensor<2xf32>) -> tensor<2xf32> {
        %y = "ix.add"(%x, %x) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
        return %y : tensor<2xf32>
      }
      func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {
        %y = call @twice(%x) : (tensor<2xf32>) -> tensor<2xf32>
        return %y : tensor<2xf32>
      }"""
    with context():
        (result,) = evaluate(ir.Module.parse(text), [np.array([1, 2], np.float32)])
    np.testing.assert_array_equal(result, [2, 4])


def test_evaluate_names_an_op_without_a_reference():
    with context(), ir.Location.unknown():
        body = lambda x: [tensor.CastOp(x.type, x).result]  # noqa: E731
        module = module_of(["tensor<2xf32>"], body)
        with pytest.raises(CompileError, match=r"'tensor.cast' needs a reference"):
            evaluate(module, [np.zeros(2, np.float32)])
