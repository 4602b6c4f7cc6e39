"""`ix.jit`: signatures, caches, nests, methods, threads; compiled results are NumPy's."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from ix import api
from ix.dim import Dim, ShapeDtype
from ix.errors import InputError, RuntimeFailure
from ix.importer.trace.pytree import flatten

RANDOM = np.random.default_rng(7)
X = RANDOM.standard_normal((4, 8)).astype(np.float32)
W = RANDOM.standard_normal((8, 5)).astype(np.float32)


@pytest.fixture
def compiles(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of the programs that are compiled meanwhile."""
    import ix.compiler

    names: list[str] = []
    inner = ix.compiler.compile_program

    def counted(program: Any, *args: Any, **kwargs: Any) -> Any:
        names.append(",".join(program.input_names))
        return inner(program, *args, **kwargs)

    monkeypatch.setattr(ix.compiler, "compile_program", counted)
    yield names


def close(actual: Any, expected: Any) -> None:
    assert type(actual) is np.ndarray
    assert actual.dtype == np.asarray(expected).dtype
    np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=2e-5)


def test_a_function_is_compiled_once_for_a_signature(compiles: list[str]) -> None:
    @api.jit
    def layer(x: Any, w: Any) -> Any:
        """A layer."""
        return np.maximum(x @ w, 0)

    for _ in range(3):
        x = RANDOM.standard_normal((4, 8)).astype(np.float32)
        close(layer(x, W), np.maximum(x @ W, 0))
    assert len(compiles) == 1
    close(layer(w=W, x=X), np.maximum(X @ W, 0))
    close(layer(w=W, x=X), np.maximum(X @ W, 0))
    close(layer(X, w=W), np.maximum(X @ W, 0))
    close(layer(X[:2], W), np.maximum(X[:2] @ W, 0))
    close(layer(X.astype(np.float64), W), np.maximum(X.astype(np.float64) @ W, 0))
    assert layer.__name__ == "layer"
    assert layer.__doc__ == "A layer."
    assert layer.__wrapped__(X, W).shape == (4, 5)


def test_arguments_that_are_not_contiguous() -> None:
    add = api.jit(lambda x, y: x + y)
    close(add(X.T, X[::-1].T), X.T + X[::-1].T)


def read_only(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


def unaligned(array: np.ndarray) -> np.ndarray:
    raw = np.frombuffer(b"x" + array.tobytes(), np.uint8)[1:]
    return raw.view(array.dtype).reshape(array.shape)


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16], ids=str)
@pytest.mark.parametrize(
    "placed",
    [
        np.asfortranarray,
        read_only,
        unaligned,
        lambda x: np.repeat(x, 2, axis=1)[:, ::2],
        lambda x: x[::-1][::-1],
        lambda x: np.broadcast_to(x[:1], x.shape),
    ],
)
def test_a_known_signature_takes_any_memory(dtype: Any, placed: Any) -> None:
    jitted = api.jit(lambda x: x * 2 + 1)
    x = np.random.default_rng().standard_normal((6, 4)).astype(dtype)
    jitted(x)
    view = placed(x)
    want = np.array(view).astype(np.float64) * 2 + 1
    got = jitted(view)
    assert got.flags.writeable and got.dtype == dtype
    tolerance = 2**-7 if dtype is not np.float32 else 2**-22
    np.testing.assert_allclose(got.astype(np.float64), want, tolerance, tolerance)


def test_a_closed_program_is_refused_by_the_short_call() -> None:
    jitted = api.jit(lambda x: x + 1)
    x = np.ones(3, np.float32)
    jitted(x)
    (compiled,) = jitted._programs.values()
    compiled.executable.close()
    with pytest.raises(RuntimeFailure, match="needs an open executable"):
        jitted(x)


def test_numbers_are_weak_arguments(compiles: list[str]) -> None:
    scale = api.jit(lambda x, s, n: x * s + n)
    for s, n in ((2.0, 1), (0.5, 3)):
        close(scale(X, s, n), X * s + n)
    close(scale(X, True, 2), X * True + 2)
    assert len(compiles) == 2


def test_nests_in_and_out(compiles: list[str]) -> None:
    @dataclass
    class State:
        hidden: Any
        step: Any

    @api.jit
    def step(params: dict[str, Any], state: State, *, extra: Any = None) -> Any:
        hidden = np.tanh(state.hidden @ params["w"][0])
        return State(hidden, state.step + 1), {"sum": hidden.sum(), "none": None}

    square = RANDOM.standard_normal((8, 8)).astype(np.float32)
    state = State(X, np.int64(0))
    for count in (1, 2):
        expected = np.tanh(state.hidden @ square)
        state, found = step({"w": [square]}, state)
        close(state.hidden, expected)
        assert state.step == count
        np.testing.assert_allclose(found["sum"], expected.sum(), rtol=1e-4)
        assert found["none"] is None
    assert len(compiles) == 1


def test_static_arguments_select_the_program(compiles: list[str]) -> None:
    @api.jit(static_argnames=("axis", "scales"))
    def reduce(x: Any, axis: int, mode: str = "sum", scales: Any = ()) -> Any:
        return getattr(x, mode)(axis) * (scales[0] if scales else 1)

    for _ in range(2):
        close(reduce(X, 0), X.sum(0))
        close(reduce(X, 1), X.sum(1))
        close(reduce(X, 1, "max"), X.max(1))
        close(reduce(X, axis=1, mode="max", scales=(2.0,)), X.max(1) * 2)
    assert len(compiles) == 4
    with pytest.raises(InputError, match="hashable, but one of axis, mode, scales"):
        reduce(X, 0, "sum", [1.0])


def test_a_static_scalar_is_not_mistaken_for_an_array() -> None:
    scale = api.jit(lambda x, s: x * s, static_argnums=1)
    close(scale(X, np.float32(2)), X * 2)
    close(scale(X, np.float32(3)), X * 3)


def test_one_program_serves_all_sizes_of_a_dimension(compiles: list[str]) -> None:
    layer = api.jit(lambda x, w: np.tanh(x @ w), dims={"x": {0: Dim("batch", 1, 16)}})
    for rows in (4, 1, 16, 4, 9):
        x = RANDOM.standard_normal((rows, 8)).astype(np.float32)
        close(layer(x, W), np.tanh(x @ W))
    assert len(compiles) == 1
    with pytest.raises(InputError, match="needs 1 ≤ size ≤ 16 on axis 0"):
        layer(np.zeros((17, 8), np.float32), W)


def test_methods_have_programs_of_their_own(compiles: list[str]) -> None:
    class Model:
        def __init__(self, bias: float) -> None:
            self.bias = np.full(8, bias, np.float32)

        @api.jit
        def __call__(self, x: Any) -> Any:
            return self.forward(x) * 2

        @api.jit
        def forward(self, x: Any) -> Any:
            return x + self.bias

    one, two = Model(1.0), Model(2.0)
    for _ in range(2):
        close(one.forward(X), X + np.float32(1))
        close(two.forward(X), X + np.float32(2))
    assert len(compiles) == 2
    for _ in range(2):
        close(one(X), (X + np.float32(1)) * 2)
        close(two(X), (X + np.float32(2)) * 2)
    assert len(compiles) == 4


def test_copies_of_an_instance_compile_again() -> None:
    class Model:
        bias = 1.0

        @api.jit
        def forward(self, x: Any) -> Any:
            return x + self.bias

    class Child(Model):
        @api.jit
        def forward(self, x: Any) -> Any:
            return super().forward(x) * 2

    one = Child()
    for _ in range(2):
        close(one.forward(X), (X + np.float32(1)) * 2)
    for two in (copy.copy(one), copy.deepcopy(one)):
        two.bias = 3.0
        close(two.forward(X), (X + np.float32(3)) * 2)
    close(one.forward(X), (X + np.float32(1)) * 2)


def test_methods_of_slotted_classes() -> None:
    class Slotted:
        __slots__ = ()

        @api.jit
        def double(self, x: Any) -> Any:
            return x * 2

    close(Slotted().double(X), X * 2)


def test_jitted_functions_call_each_other(compiles: list[str]) -> None:
    inner = api.jit(lambda x: x * 2)
    outer = api.jit(lambda x: inner(x + 1) + 1)
    close(outer(X), (X + 1) * 2 + 1)
    assert len(compiles) == 1


def test_threads_share_the_programs(compiles: list[str]) -> None:
    function = api.jit(lambda x, w: np.exp(x @ w))
    start = threading.Barrier(4)

    def work(seed: int) -> None:
        start.wait()
        for rows in (3, 5):
            random = np.random.default_rng(seed)
            x = random.standard_normal((rows, 8)).astype(np.float32)
            close(function(x, W), np.exp(x @ W))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert len(compiles) == 2


def test_lower_compile_call() -> None:
    function = api.jit(lambda x, scale=1.0: {"y": x * scale})
    lowered = function.lower(ShapeDtype((4, 8), np.float32), scale=2.0)
    assert "ix.mul" in lowered.as_text()
    assert "linalg.generic" in lowered.as_text("linalg")
    assert "ix.mul" in str(lowered.module)
    compiled = lowered.compile()
    close(compiled(X, scale=3.0)["y"], X * 3)
    assert "mul" in compiled.explain()
    assert compiled.profile(X, scale=1.0, calls=2) is not None
    with pytest.raises(InputError, match="nested as those it was compiled for"):
        compiled(X)
    with pytest.raises(InputError, match="dtype float32"):
        compiled(X.astype(np.float64), scale=1.0)
    with pytest.raises(InputError, match="no stage 'nope'"):
        lowered.as_text("nope")


def test_a_compiled_function_is_saved_and_loaded(tmp_path: Path) -> None:
    import ix

    function = ix.jit(lambda x, p: np.tanh(x @ p["w"]))
    compiled = function.lower(ix.ShapeDtype((4, 8)), {"w": W}).compile()
    compiled.save(tmp_path / "layer.ix")
    (result,) = ix.load(tmp_path / "layer.ix")(X, W)
    close(result, np.tanh(X @ W))


def test_torch_tensors_come_back_as_tensors() -> None:
    torch = pytest.importorskip("torch")
    function = api.jit(lambda x, y: (x + y, x.sum()))
    x = torch.from_numpy(X)
    total, sum_ = function(x, x)
    assert isinstance(total, torch.Tensor)
    torch.testing.assert_close(total, x + x)
    torch.testing.assert_close(sum_, x.sum())
    short = torch.ones(3, 4, dtype=torch.bfloat16)
    result = api.jit(lambda x: x * 2)(short)
    assert result.dtype == torch.bfloat16
    torch.testing.assert_close(result, short * 2)


def test_errors_of_arguments_come_before_the_trace() -> None:
    function = api.jit(lambda x: x + 1)
    with pytest.raises(InputError, match="'x' needs to be an array"):
        function(object())
    with pytest.raises(InputError, match="one of the dtypes"):
        function(np.zeros(3, np.complex64))
    with pytest.raises(TypeError, match="positional argument"):
        function(X, X)


@pytest.mark.parametrize("threads", [0, -1, 1025, "2", 1.5])
def test_a_number_of_threads_that_cannot_be_is_refused(threads: Any) -> None:
    function = api.jit(lambda x: x + 1, num_threads=threads)
    with pytest.raises(InputError, match=f"needs 1 to 1024, but got {threads!r}"):
        function(X)


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"needs a function, but got 3; write @ix\.jit"
    ):
        api.jit(3)  # type: ignore[call-overload]
    with pytest.raises(InputError, match="for cpu, but got 'tpu'; leave device out"):
        api.jit(lambda x: x + 1, device="tpu")(X)


def test_what_is_compiled_says_what_it_is() -> None:
    def twice(x: Any) -> Any:
        return x * 2

    function = api.jit(twice, dims={"x": {0: Dim("rows", 1, 9)}})
    assert repr(function).endswith("twice, 0 programs compiled>")
    function(X)
    assert repr(function).endswith("twice, 1 programs compiled>")
    text = repr(function.lower(X).compile())
    assert text.startswith("Compiled(<twice for cpu: (x: float32[rows, ")


def test_results_of_every_kind() -> None:
    def function(x: Any, empty: Any) -> Any:
        parts = np.split(x, [0, 2])
        joined = np.concatenate([empty, x, empty])
        return x, x, x.T, x[4:], parts, joined, empty.sum(0), np.ones(3), 2.5, x.sum()

    empty = np.zeros((0, 8), np.float32)
    found = flatten(api.jit(function)(X, empty))[0]
    expected = flatten(function(X, empty))[0]
    for got, want in zip(found, expected, strict=True):
        close(got, want)


def test_products_that_are_scalars_and_extrema_of_columns() -> None:
    def function(x: Any) -> Any:
        return np.vdot(x, x), x[0] @ x[1] * 2, x.argmin(0), x[x.argmax(0)].argmax(0) + 1

    for got, want in zip(api.jit(function)(X), function(X), strict=True):
        close(got, want)


def test_results_do_not_share_memory_with_later_results() -> None:
    function = api.jit(lambda x: x + 1)
    first = function(X)
    function(X * 0)
    close(first, X + 1)
