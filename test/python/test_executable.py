"""Executables: threads, inputs of every kind, what is refused, forks."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import ix
from ix.errors import InputError, RuntimeFailure
from ix.runtime.executable import Executable

RANDOM = np.random.default_rng(3)
W = RANDOM.standard_normal((96, 64), np.float32)


def layer(x: Any, y: Any) -> Any:
    """x[rows, 96], y[rows, 64] → [rows, 64]."""
    return np.maximum(x @ W, 0) + y, (x * x).sum(axis=1)


def compiled(num_threads: int | None = None) -> Executable:
    rows = ix.Dim("rows", 1, 64)
    jitted = ix.jit(
        layer, dims={"x": {0: rows}, "y": {0: rows}}, num_threads=num_threads
    )
    found = jitted.lower(*arguments(4)).compile().executable
    assert isinstance(found, Executable)
    return found


def arguments(rows: int) -> tuple[np.ndarray, np.ndarray]:
    return (
        RANDOM.standard_normal((rows, 96), np.float32),
        RANDOM.standard_normal((rows, 64), np.float32),
    )


def check(outputs: list[np.ndarray], x: np.ndarray, y: np.ndarray) -> None:
    exact = layer(x.astype(np.float64), y.astype(np.float64))
    for output, want in zip(outputs, exact, strict=True):
        assert output.dtype == np.float32
        np.testing.assert_allclose(output, want, rtol=2e-5, atol=2e-5)


@pytest.fixture(scope="module")
def executable() -> Executable:
    return compiled()


def test_many_threads_call_at_once(executable: Executable) -> None:
    def work(seed: int) -> None:
        random = np.random.default_rng(seed)
        for _ in range(20):
            rows = int(random.integers(1, 65))
            x = random.standard_normal((rows, 96), np.float32)
            y = random.standard_normal((rows, 64), np.float32)
            check(executable(x, y), x, y)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work, seed) for seed in range(8)]:
            done.result(timeout=100)


def test_results_do_not_depend_on_the_number_of_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, y = arguments(33)
    one = compiled(1)
    for threads in (2, 3, 7):
        several = compiled(threads)
        assert several.num_threads == threads
        for got, want in zip(several(x, y), one(x, y), strict=True):
            np.testing.assert_array_equal(got, want)
    monkeypatch.setenv("IX_NUM_THREADS", "5")
    assert compiled().num_threads == 5


@pytest.mark.parametrize("threads", [-1, 100_000])
def test_a_wrong_number_of_threads_is_refused(threads: int) -> None:
    with pytest.raises(InputError, match="threads"):
        compiled(threads)


def test_outputs_belong_to_the_caller(executable: Executable) -> None:
    x, y = arguments(8)
    first = executable(x, y)
    kept = [output.copy() for output in first]
    executable(-x, -y)
    for output, want in zip(first, kept, strict=True):
        np.testing.assert_array_equal(output, want)
        output[...] = np.nan
    check(executable(x, y), x, y)


@pytest.mark.parametrize(
    "view",
    [
        lambda a: np.asfortranarray(a),
        lambda a: np.repeat(a, 2, axis=1)[:, ::2],
        lambda a: a[::-1, ::-1][::-1, ::-1],
        lambda a: np.concatenate([a, a])[: len(a)],
        lambda a: (
            np.frombuffer(b"x" + a.tobytes(), np.uint8)[1:]
            .view(np.float32)
            .reshape(a.shape)
        ),
    ],
    ids=["fortran", "strided", "reversed twice", "part", "unaligned"],
)
def test_any_memory_layout(executable: Executable, view: Any) -> None:
    x, y = arguments(6)
    before = x.copy(), y.copy()
    check(executable(view(x), view(y)), x, y)
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(y, before[1])


def test_a_broadcast_and_a_read_only_input(executable: Executable) -> None:
    x, y = arguments(5)
    wide = np.broadcast_to(x[:1], (5, 96))
    y.flags.writeable = False
    check(executable(wide, y), wide, y)


def test_subclasses_of_arrays(executable: Executable, tmp_path: Any) -> None:
    x, y = arguments(5)
    np.save(tmp_path / "x.npy", x)
    check(executable(np.load(tmp_path / "x.npy", mmap_mode="r"), y), x, y)


class _Exporter:
    """Something that only speaks DLPack."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()


class _Broken(_Exporter):
    def __dlpack__(self, **options: Any) -> Any:
        raise BufferError("it is on another device")


def test_dlpack(executable: Executable) -> None:
    x, y = arguments(5)
    check(executable(_Exporter(x), _Exporter(y)), x, y)
    with pytest.raises(InputError, match="its DLPack export fails"):
        executable(_Broken(x), y)


@pytest.mark.torch
def test_torch_tensors_are_views_in_and_out() -> None:
    torch = pytest.importorskip("torch")
    double = ix.jit(lambda x: x * 2)
    x = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    y = double(x)
    assert isinstance(y, torch.Tensor)
    assert torch.equal(y, x * 2)
    assert torch.equal(double(x.T), x.T * 2)
    executable = double.lower(x).compile().executable
    work = executable._take()
    executable._bind(work, [x])
    assert work.pointers[0] == x.data_ptr()
    grad = torch.ones(2, 3, requires_grad=True)
    assert torch.equal(double(grad), torch.full((2, 3), 2.0))
    half = torch.ones(4, dtype=torch.bfloat16)
    assert double(half).dtype == torch.bfloat16
    assert torch.equal(double(half), half * 2)
    with pytest.raises(InputError, match="the tensor is on meta"):
        executable(torch.ones(2, 3, device="meta"))


def test_what_does_not_fit_is_refused(executable: Executable) -> None:
    x, y = arguments(4)
    for given, message in [
        ((), r"needs 2 inputs \(x, y\), but got 0"),
        ((x,), "needs 2 inputs"),
        ((x, y, y), "needs 2 inputs"),
        ((x.astype(np.float64), y), "input 'x' of .* needs dtype float32"),
        ((x.astype(">f4"), y), "needs dtype float32"),
        ((x, y.astype(np.int32)), "input 'y' of .* but it has int32"),
        ((x[0], y), r"needs shape \(rows, 96\), but it has \(96,\)"),
        ((x[:, :95], y), r"needs shape \(rows, 96\)"),
        ((x, y[:3]), r"axis 0 \(rows\) to be 4 as in an earlier input, but it is 3"),
        ((x[:0], y[:0]), r"axis 0 \(rows\) within 1..64, but it is 0"),
        (arguments(65), r"within 1..64, but it is 65"),
        ((object(), y), "needs an array, but it is a object"),
        ((None, y), "needs an array, but it is a NoneType"),
        (("text", y), "needs an array, but it is a str"),
    ]:
        with pytest.raises(InputError, match=message):
            executable(*given)
    check(executable(x, y), x, y)


def test_a_closed_executable_is_refused() -> None:
    closed = compiled()
    x, y = arguments(2)
    check(closed(x, y), x, y)
    closed.close()
    closed.close()
    with pytest.raises(RuntimeFailure, match="needs an open executable"):
        closed(x, y)


def test_an_exception_gives_the_workspace_back(executable: Executable) -> None:
    x, y = arguments(4)
    executable(x, y)
    count = len(executable._free)
    for _ in range(5):
        with pytest.raises(InputError):
            executable(x, y[:2])
    assert len(executable._free) == count


def test_memory_is_reported(executable: Executable) -> None:
    memory = executable.memory_bytes
    assert memory["constants"] >= W.nbytes
    assert set(memory) == {"constants", "arena", "scratch"}
    assert all(size >= 0 for size in memory.values())


def test_arguments_that_overlap(executable: Executable) -> None:
    memory = RANDOM.standard_normal(40 * 96).astype(np.float32)
    x = memory[: 8 * 96].reshape(8, 96)
    y = memory[48 : 48 + 8 * 64].reshape(8, 64)
    check(executable(x, y), x, y)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_computes(executable: Executable) -> None:
    x, y = arguments(16)
    check(executable(x, y), x, y)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            check(executable(x, y), x, y)
            status = 0
        finally:
            os._exit(status)
    watchdog = threading.Timer(60, os.kill, (child, 9))
    watchdog.start()
    _, status = os.waitpid(child, 0)
    watchdog.cancel()
    assert os.waitstatus_to_exitcode(status) == 0
    check(executable(x, y), x, y)
