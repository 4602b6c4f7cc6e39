"""What a traced function may do to arrays, and what it is told when it may not."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from ix.dialects.ix.reference import evaluate
from ix.dim import ShapeDtype
from ix.errors import InputError, UnsupportedError
from ix.importer.trace import Tracer, trace
from ix.importer.trace.dispatch import FUNCTIONS, UPDATE
from ix.importer.trace.pytree import flatten
from ix.importer.trace.ufuncs import UFUNCS

X = np.arange(12, dtype=np.float32).reshape(3, 4)


def run(function: Any, *args: Any, **options: Any) -> list[Any]:
    program = trace(function, args, **options)
    inputs = [np.asarray(leaf) for leaf in flatten(args)[0]]
    weights = {name: program.weights.array(name) for name in program.weights}
    return evaluate(program.module, inputs, weights)


def check(function: Any, *args: Any) -> None:
    """Compares with the function on copies of the arguments."""
    expected = flatten(function(*[np.array(arg) for arg in args]))[0]
    for got, want in zip(run(function, *args), expected, strict=True):
        assert got.dtype == np.asarray(want).dtype
        np.testing.assert_array_equal(got, want)


def refused(function: Any, *args: Any, match: str, error: Any = InputError) -> None:
    with pytest.raises(error, match=match):
        trace(function, args or (X,))


# Elements that are not known


@pytest.mark.parametrize(
    ("function", "match"),
    [
        (lambda x: x if x.sum() > 0 else -x, r"a Python bool .*np\.where"),
        (lambda x: x and 1, "a Python bool"),
        (lambda x: float(x[0, 0]), "a Python float"),
        (lambda x: int(x[0, 0]), "a Python int"),
        (lambda x: [1, 2][x[0, 0].astype(int)], "a Python int .*static_argnames"),
        (lambda x: list(range(x[0, 0].astype(int))), "a Python int .*static_argnames"),
        (lambda x: np.asarray(x), r"an actual NumPy array .*np\.stack"),
        (lambda x: np.array([x[0], x[1]]), "an actual NumPy array"),
        (lambda x: 3 in x, "a Python bool"),
        (lambda x: x.item(), "the elements of an array"),
        (lambda x: x.tolist(), "the elements of an array"),
        (lambda x: x[x > 3], "a computed mask selects"),
        (lambda x: np.where(x > 3), "depends on data"),
        (lambda x: x[4], r"an index in \[-3, 3\) on axis 0, but got 4"),
        (lambda x: x[0, 0, 0], "at most 2 indices"),
        (lambda x: x[[0, 5]], r"to lie in \[-3, 3\)"),
        (lambda x: x[x], "an index needs integers"),
        (lambda x: x + np.ones(5), "operands that broadcast"),
        (lambda x: x @ x, "'matmul' needs the last size"),
        (lambda x: x.reshape(5, -1), "to divide by 5"),
        (lambda x: x.reshape(5, 5), "a shape of 12 elements"),
        (lambda x: x.sum(axis=3), r"an axis in \[-2, 2\), but got 3"),
        (lambda x: np.concatenate([x, x.T]), "equal but for axis 0"),
        (lambda x: x & 1, "integers or bools"),
        (lambda x: -(x > 1), "'neg' needs numbers"),
        (lambda x: x + (1 + 2j), "unsupported operand|needs"),
        (lambda x: "text", "needs to return arrays"),
        (lambda x: x.astype(np.complex64), "one of the dtypes"),
        (lambda x: np.quantile(x, 0.5, weights=x), "np.quantile on an array .*weights"),
        (lambda x: np.ravel(x, order="F"), "order='C'"),
        (lambda x: np.pad(x, 1, mode="symmetric"), "a mode of"),
        (lambda x: np.einsum("ij,jk", x, x), "one size for label 'j'"),
        (lambda x: np.einsum("ijk", x), "as many labels as axes"),
        (lambda x: np.split(x, 2), "a size that 2 divides"),
    ],
)
def test_what_needs_elements_is_refused_with_a_remedy(
    function: Any, match: str
) -> None:
    with pytest.raises((InputError, TypeError), match=match):
        trace(function, (X,))


def test_the_message_names_the_users_line() -> None:
    def function(x: Any) -> Any:
        return bool(x)  # the line

    def product(x: Any) -> Any:
        return [row @ x for row in x] + [x @ x]  # the second line

    lines = Path(__file__).read_text().splitlines()
    one, two = (
        1 + next(at for at, text in enumerate(lines) if text.endswith(mark))
        for mark in ("# the line", "# the second line")
    )
    refused(function, match=rf"test_trace_semantics.py:{one}:16: error: a Python bool")
    refused(product, match=rf"test_trace_semantics.py:{two}:17: error: 'matmul' needs")


@pytest.mark.parametrize(
    "name", ["linalg.inv", "unique", "nonzero", "fft.fft", "lexsort"]
)
def test_unsupported_functions_are_named_with_their_line(name: str) -> None:
    function = np
    for part in name.split("."):
        function = getattr(function, part)
    with pytest.raises(
        UnsupportedError, match=rf"{name}, called at .*semantics\.py:\d+:"
    ):
        trace(lambda x: function(x), (X,))


def test_unsupported_ufuncs_and_methods_are_named() -> None:
    refused(
        lambda x: np.nextafter(x, 1), match="ufunc nextafter", error=UnsupportedError
    )
    refused(
        lambda x: np.add.at(x, [0], 1), match="ufunc add.at", error=UnsupportedError
    )
    with pytest.raises(AttributeError, match="'partition'; ix does not support it"):
        trace(lambda x: x.partition(2), (X,))
    with pytest.raises(AttributeError, match="has no attribute 'foo'"):
        trace(lambda x: x.foo, (X,))


def test_an_array_that_left_its_trace_is_refused() -> None:
    kept: list[Any] = []
    trace(lambda x: kept.append(x) or x, (X,))
    refused(lambda x: x + kept[0], match="kept from another trace")
    with pytest.raises(InputError, match="needs an open module"):
        _ = kept[0] + 1


# What a function may read and return


def test_arrays_from_outside_become_weights_or_constants() -> None:
    table = np.random.default_rng(0).standard_normal((4, 300)).astype(np.float32)
    small = np.ones(4, np.float32)
    program = trace(lambda x: (x + small) @ table + x @ table, (X,))
    assert list(program.weights) == ["constant_0"]
    assert program.weights["constant_0"] is table
    text = str(program.module)
    assert text.count("ix.parameter") == 1
    (result,) = evaluate(program.module, [X], {"constant_0": table})
    np.testing.assert_allclose(result, (X + small) @ table + X @ table, rtol=1e-5)


def test_arrays_made_inside_are_constants() -> None:
    def function(x: Any) -> Any:
        mask = np.tril(np.ones((4, 4)))
        order = np.argsort(np.array([3, 1, 2, 0]))
        return x @ mask, x[:, order], x * np.arange(4) + np.zeros(4)

    check(function, X)


def test_programs_are_deterministic() -> None:
    def function(x: Any, w: Any) -> Any:
        return {"a": np.tanh(x @ w["u"]), "b": [x.sum(), None, (w["v"],)]}

    args = (X, {"v": X, "u": X.T})
    first, second = (str(trace(function, args).module) for _ in range(2))
    assert first == second


def test_nests_and_names() -> None:
    from dataclasses import dataclass
    from typing import NamedTuple

    class Pair(NamedTuple):
        left: Any
        right: Any

    @dataclass
    class Layer:
        weight: Any
        bias: Any = None

    def function(
        x: Any, layers: Any, *rest: Any, scale: float = 2.0, **more: Any
    ) -> Any:
        y = x @ layers[0].weight * scale + layers[0].bias + more["offset"]
        return {
            "y": y,
            "pair": Pair(rest[0], None),
            "list": [y, (y,)],
            "layer": Layer(y),
        }

    layer = Layer(X.T, np.float32(1))
    program = trace(function, (X, [layer], X), {"offset": 3})
    assert program.input_names == [
        "x",
        "layers[0].weight",
        "layers[0].bias",
        "rest_0",
        "offset",
    ]
    assert program.output_names == [
        "y",
        "pair.left",
        "list_0",
        "list_1_0",
        "layer.weight",
    ]
    results = evaluate(program.module, [X, X.T, np.float32(1), X, np.int64(3)], {})
    np.testing.assert_allclose(results[0], X @ X.T * 2 + 4)


def test_static_arguments_are_part_of_the_program() -> None:
    def function(x: Any, axis: int, mode: str = "sum") -> Any:
        return getattr(x, mode)(axis=axis)

    results = run(lambda x: function(x, 1, "max"), X)
    np.testing.assert_array_equal(results[0], X.max(1))
    program = trace(function, (X, 1), {"mode": "mean"}, static_argnames="axis")
    assert program.input_names == ["x"]
    program = trace(function, (X, 1), static_argnums=1)
    np.testing.assert_array_equal(evaluate(program.module, [X], {})[0], X.sum(1))
    with pytest.raises(InputError, match="'axes' is none of x, axis, mode"):
        trace(function, (X, 1), static_argnames="axes")
    with pytest.raises(InputError, match="5 is none of the 3"):
        trace(function, (X, 1), static_argnums=5)
    with pytest.raises(InputError, match="'axis' needs to be an array"):
        trace(function, (X, {1, 2}))


def test_specs_stand_for_arrays() -> None:
    program = trace(lambda x: x + 1, (ShapeDtype((2, 3), ml_dtypes.bfloat16),))
    assert "tensor<2x3xbf16>" in str(program.module)


def test_torch_tensors_are_described_by_shape_and_dtype() -> None:
    torch = pytest.importorskip("torch")
    program = trace(lambda x: x + 1, (torch.zeros(2, 3, dtype=torch.bfloat16),))
    assert "tensor<2x3xbf16>" in str(program.module)


def test_ops_carry_the_line_that_asked_for_them() -> None:
    program = trace(lambda x: np.tanh(x), (X,))
    text = program.module.operation.get_asm(enable_debug_info=True)
    assert re.search(r'"[^"]*test_trace_semantics.py":\d+:\d+', text)
    assert "importer/builder" not in text


def test_attributes_of_an_array() -> None:
    def function(x: Any) -> Any:
        assert (x.shape, x.ndim, x.size, len(x)) == ((3, 4), 2, 12, 3)
        assert (x.dtype, x.itemsize, x.nbytes) == (np.float32, 4, 48)
        assert copy.copy(x) is not x
        assert copy.deepcopy(x).shape == x.shape
        assert (np.shape(x), np.ndim(x), np.size(x, 0)) == ((3, 4), 2, 3)
        assert np.result_type(x, 1.0) == np.float32
        assert np.result_type(x, np.float64) == np.float64
        assert np.can_cast(x, np.float64)
        assert np.isrealobj(x)
        assert not isinstance(x, Tracer) or "(3, 4), dtype=float32" in repr(x)
        first, *_ = x
        rows = [row * 2 for row in x]
        return first, np.stack(rows)

    check(function, X)


def test_scipys_ufuncs_are_known() -> None:
    special = pytest.importorskip("scipy.special")
    for name in ("erf", "erfc", "expit", "log_expit", "ndtr", "logit", "xlogy"):
        function = getattr(special, name)
        arguments = (X, X + 1) if name == "xlogy" else (X / 13 + 0.01,)
        expected = function(*arguments)
        (got,) = run(function, *arguments)
        np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_every_function_is_in_the_documentation() -> None:
    page = (Path(__file__).parents[3] / "docs" / "numpy.md").read_text()
    documented = set(re.findall(r"`([\w.]+)`", page))
    functions = {each.__name__ for each in (*FUNCTIONS, *UPDATE)} | set(UFUNCS)
    assert functions <= {name.rpartition(".")[2] for name in documented}
