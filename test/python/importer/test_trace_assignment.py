"""In-place operations, assignment and views: tracers write as NumPy's arrays do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ix.dialects.ix.reference import evaluate
from ix.errors import InputError
from ix.importer.trace import trace
from ix.importer.trace.pytree import flatten

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


def test_in_place_operators_write_into_the_same_array() -> None:
    def function(x: Any) -> Any:
        y = x * 1
        z = y  # another name of the same array
        y += 1
        y *= 2
        y @= np.eye(4, dtype=np.float32)
        y **= 2
        y[y.shape[0] - 1] //= 3
        return y, z

    check(function, X)


def test_in_place_operators_keep_the_dtype() -> None:
    def function(x: Any) -> Any:
        y = x.copy()
        y += np.float64(0.5)
        y /= 3
        return y

    check(function, X)
    refused(lambda x: _add_to(x.astype(int), 0.5), match="casts to int64 in kind")
    refused(lambda x: _add_to(x[0], x), match="a result of the array's shape")


def _add_to(x: Any, y: Any) -> Any:
    x += y
    return x


def test_rank_0_results_are_immutable_scalars() -> None:
    def function(x: Any) -> Any:
        total = x.sum()
        before = total
        total += 1
        return before, total

    check(function, X)


@pytest.mark.parametrize(
    "index",
    [
        "0",
        "-1",
        "slice(1, 3)",
        "slice(None, None, 2)",
        "slice(None, None, -1)",
        "(slice(None), 2)",
        "(1, 2)",
        "...",
        "(Ellipsis, 0)",
        "(slice(1, None), slice(None, 2))",
        "(slice(None), slice(None, None, 3))",
        "[0, 2]",
        "([0, 2], [1, 3])",
        "(slice(None), [3, 0])",
        "np.array([True, False, True])",
        "(None, 1)",
    ],
)
def test_items_are_assigned(index: str) -> None:
    where = eval(index, {"np": np})

    def function(x: Any) -> Any:
        y = x * 2
        y[where] = -1
        z = x + 0.5
        z[where] = x[where] * 3
        y[0, 0] += 100
        return y, z

    check(function, X)


def test_updates_take_the_dtype_of_the_array() -> None:
    def function(x: Any) -> Any:
        y = x.astype(np.int32)
        y[1] = x[1] + 0.75
        np.copyto(y, 7, where=y > 8)
        np.fill_diagonal(y[:, :3].copy(), 0)
        np.put_along_axis(y, np.array([[0], [1], [2]]), -5, 1)
        y.sort(1)
        return y

    check(function, X)


def test_out_arguments_are_written() -> None:
    def function(x: Any) -> Any:
        y = np.zeros_like(x)
        same = np.add(x, 1, out=y)
        np.exp(x * 0, out=y, where=x > 3)
        np.sum(x, axis=0, out=y[0])
        return y[1:], same[1:]

    check(function, X)
    buffer = np.empty((3, 4), np.float32)
    refused(
        lambda x: np.add(x, 1, out=buffer), match="np.add needs out= to be an array"
    )
    refused(lambda x: np.sum(x, 0, out=buffer[0]), match="np.sum needs out= to be")


def test_a_stale_view_is_refused() -> None:
    def function(x: Any) -> Any:
        y = x * 1
        row = y[0]
        y += 1
        return row

    refused(function, match=r"written through another view.*copy\(\)")
    refused(lambda x: (_add_to(np.flip(x), 1), x)[1], match="through another")


def test_a_view_that_is_written_writes_the_array() -> None:
    def function(x: Any) -> Any:
        y = x * 1
        y[0] += 1
        y[1:, ::2] *= 3
        row = y[2]
        row[1:3] = 8
        y.T[0] = 5
        flat = y.reshape(-1)
        flat[3] -= 0.5
        cube = y.reshape(1, 3, 4).transpose(2, 0, 1)
        cube[3] = -1
        return y, cube

    check(function, X)


def test_a_copy_of_a_view_is_not_stale() -> None:
    def function(x: Any) -> Any:
        y = x * 1
        row, picked = y[0].copy(), y[[0]]
        y += 1
        return row, picked, y, y[0]

    check(function, X)


def test_a_rebound_view_may_be_written() -> None:
    def function(x: Any) -> Any:
        x = x * 1
        x = x.reshape(4, 3)
        x += 1
        x[0] = 2
        return x.T

    check(function, X)
