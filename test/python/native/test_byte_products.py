"""Products of bytes into i32: exact for every shape, sign, target and order of axes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ix
from ix.target import Target, host_missing

RNG = np.random.default_rng()
DTYPES = {"i8": np.int8, "ui8": np.uint8}
TARGETS = ["cpu", "cpu:avx512", "cpu:avx2", "cpu:generic"]


def tensor(shape: tuple[Any, ...], kind: str) -> str:
    return f"tensor<{''.join(f'{size}x' for size in shape)}{kind}>"


def product(
    a: tuple[Any, ...],
    b: tuple[Any, ...],
    out: tuple[Any, ...],
    kinds: tuple[str, str] = ("i8", "i8"),
    transposes: tuple[bool, bool] = (False, False),
) -> str:
    """A function of one matmul."""
    left, right, result = tensor(a, kinds[0]), tensor(b, kinds[1]), tensor(out, "i32")
    flags = (str(each).lower() for each in transposes)
    names = "transpose_a = {}, transpose_b = {}".format(*flags)
    return f"""func.func @main(%a: {left} {{ix.name = "a"}}, %b: {right} {{ix.name = "b"}})
        -> ({result} {{ix.name = "c"}}) {{
      %0 = "ix.matmul"(%a, %b) {{{names}}} : ({left}, {right}) -> {result}
      return %0 : {result}
    }}"""


def compiled(text: str, folder: Path, target: str = "cpu") -> Any:
    missing = host_missing(Target.parse(target))
    if missing:
        pytest.skip(f"this processor lacks {', '.join(missing)}")
    path = folder / "product.mlir"
    path.write_text(text)
    return ix.compile(str(path), target=target)


def data(shape: tuple[int, ...], kind: str) -> np.ndarray:
    info = np.iinfo(DTYPES[kind])
    array = RNG.integers(info.min, info.max, shape, DTYPES[kind], endpoint=True)
    array.flat[:: max(array.size // 7, 1)] = info.min  # the extremes are there
    return array


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("left", DTYPES)
@pytest.mark.parametrize("right", DTYPES)
def test_signs_on_every_target(
    left: str, right: str, target: str, tmp_path: Path
) -> None:
    a, b = data((9, 31), left), data((31, 83), right)
    model = compiled(
        product(a.shape, b.shape, (9, 83), (left, right)), tmp_path, target
    )
    assert np.array_equal(model(a, b), a.astype(np.int64) @ b.astype(np.int64))


@pytest.mark.parametrize(
    "m, k, n",
    [
        (1, 1, 1),
        (1, 2, 64),
        (2, 3, 15),
        (3, 4, 16),
        (4, 5, 17),
        (5, 0, 8),
        (6, 7, 63),
        (7, 8, 65),
        (8, 129, 255),
        (37, 64, 300),
        (1, 1000, 700),
        (0, 4, 4),
        (4, 4, 0),
    ],
)
def test_shapes(m: int, k: int, n: int, tmp_path: Path) -> None:
    a, b = data((m, k), "i8"), data((k, n), "i8")
    expected = a.astype(np.int64) @ b.astype(np.int64)
    assert np.array_equal(
        compiled(product((m, k), (k, n), (m, n)), tmp_path)(a, b), expected
    )


@pytest.mark.parametrize("transposes", [(True, False), (False, True), (True, True)])
def test_transposes_and_batches(transposes: tuple[bool, bool], tmp_path: Path) -> None:
    a, b = data((3, 1, 5, 33), "i8"), data((2, 33, 70), "ui8")
    expected = a.astype(np.int64) @ b.astype(np.int64)
    if transposes[0]:
        a = np.ascontiguousarray(a.swapaxes(-1, -2))
    if transposes[1]:
        b = np.ascontiguousarray(b.swapaxes(-1, -2))
    text = product(a.shape, b.shape, expected.shape, ("i8", "ui8"), transposes)
    assert np.array_equal(compiled(text, tmp_path)(a, b), expected)


def test_sums_wrap_as_i32(tmp_path: Path) -> None:
    a = np.full((1, 1 << 18), -128, np.int8)
    b = np.full((1 << 18, 20), -128, np.int8)
    expected = (a.astype(np.int64) @ b.astype(np.int64)).astype(np.int32)
    text = product(a.shape, b.shape, (1, 20))
    assert np.array_equal(compiled(text, tmp_path)(a, b), expected)


def test_dynamic_sizes(tmp_path: Path) -> None:
    text = """module attributes {ix.dims = {m = [0, 40], k = [0, 40], n = [0, 600]}} {
      func.func @main(%a: tensor<?x?xi8> {ix.name = "a", ix.dims = ["m", "k"]},
                      %b: tensor<?x?xi8> {ix.name = "b", ix.dims = ["k", "n"]})
          -> (tensor<?x?xi32> {ix.name = "c"}) {
        %0 = "ix.matmul"(%a, %b) {transpose_a = false, transpose_b = false}
            : (tensor<?x?xi8>, tensor<?x?xi8>) -> tensor<?x?xi32>
        return %0 : tensor<?x?xi32>
      }
    }"""
    model = compiled(text, tmp_path)
    for m, k, n in ((1, 1, 1), (5, 3, 70), (40, 40, 600), (3, 0, 9), (0, 4, 9)):
        a, b = data((m, k), "i8"), data((k, n), "i8")
        assert np.array_equal(model(a, b), a.astype(np.int64) @ b.astype(np.int64))


@pytest.mark.onnx
@pytest.mark.parametrize("zero_points", [False, True])
def test_quantised_layers(zero_points: bool, tmp_path: Path) -> None:
    """x_q · w_q, scaled, biased and clipped, as quantised models write it."""
    onnx = pytest.importorskip("onnx")
    helper, kinds = onnx.helper, onnx.TensorProto
    w = data((40, 30), "i8")
    names = ["x", "w"] + (["xz", "wz"] if zero_points else [])
    nodes = [
        helper.make_node("MatMulInteger", names, ["i"]),
        helper.make_node("Cast", ["i"], ["f"], to=kinds.FLOAT),
        helper.make_node("Mul", ["f", "s"], ["m"]),
        helper.make_node("Relu", ["m"], ["y"]),
    ]
    values = {"w": w, "s": np.float32(1 / 64)}
    if zero_points:
        values |= {"xz": np.uint8(128), "wz": np.int8(3)}
    graph = helper.make_graph(
        nodes,
        "quantised",
        [helper.make_tensor_value_info("x", kinds.UINT8, [6, 40])],
        [helper.make_tensor_value_info("y", kinds.FLOAT, [6, 30])],
        [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in values.items()],
    )
    opset = helper.make_opsetid("", 20)
    model = ix.compile(helper.make_model(graph, opset_imports=[opset]))
    x = data((6, 40), "ui8")
    left, right = x.astype(np.int64), w.astype(np.int64)
    if zero_points:
        left, right = left - 128, right - 3
    expected = np.maximum(left @ right / 64, 0)
    np.testing.assert_allclose(model(x), expected, rtol=1e-6)


@pytest.mark.parametrize(
    "kind, runs", [("i8", True), ("i32", False)], ids=["bytes", "words"]
)
def test_pairs_of_bytes_are_multiplied_at_once(
    kind: str, runs: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from ix.tools.ix import main

    path = tmp_path / "product.mlir"
    path.write_text(product((4, 32), (32, 64), (4, 64), (kind, kind)))
    assert main(["explain", str(path), "--kernel", "0"]) == 0
    assert ("pmadd" in capsys.readouterr().out) is runs


def test_sums_of_columns_in_tiles() -> None:
    """Other reductions walk in the same tiles: several vectors, blocks of columns."""
    for rows, columns in ((1, 700), (33, 64), (50, 257), (70, 1), (9, 1030)):
        x = RNG.standard_normal((rows, columns)).astype(np.float32)
        wide = x.astype(np.float64)
        got = ix.jit(lambda x: (x.sum(0), (x * x).max(0), x.argmin(0)))(x)
        np.testing.assert_allclose(got[0], wide.sum(0), rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(got[1], (wide * wide).max(0), rtol=1e-6)
        assert np.array_equal(got[2], x.argmin(0))
