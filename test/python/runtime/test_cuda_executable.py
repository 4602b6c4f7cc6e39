"""Programs on CUDA, against a CuPy that records calls and runs the emulator."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import fake_cupy
import ml_dtypes
import numpy as np
import pytest
from gpu_programs import RANDOM, close, compiled, on, reference

import ix
from ix.errors import InputError, OutOfMemory, RuntimeFailure, WrongDevice
from ix.runtime import cuda_executable
from ix.runtime.cuda import CudaDevice
from ix.runtime.cuda_executable import CudaExecutable


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A fake CuPy with two GPUs, in place of the real one."""
    fake = fake_cupy.make_cupy(gpus=2, seed=int(RANDOM.integers(1 << 30)))
    monkeypatch.setitem(sys.modules, "cupy", fake)
    return fake


def counts(cupy: Any) -> Counter[str]:
    return Counter(call[0] for call in cupy.timeline.calls)


def some(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


def test_numpy_in_numpy_out_and_one_graph(cupy: Any) -> None:
    program = on(CudaDevice(), "two_products")
    assert isinstance(program, CudaExecutable)
    launches = len(program.plan.launches)
    assert launches >= 2 and program.plan.arena_bytes
    for _ in range(4):
        x = some(32, 64)
        got = program(x)
        assert all(type(each) is np.ndarray for each in got)
        close(got, reference(x))
    found = counts(cupy)
    assert found["capture"] == 1 and found["launch"] == launches
    assert [c[1] for c in cupy.timeline.calls if c[0] == "graph"] == [launches] * 4


def test_results_are_the_emulators_to_the_bit(cupy: Any) -> None:
    x = some(32, 64)
    for got, want in zip(
        on(CudaDevice(), "two_products")(x), compiled("two_products")(x), strict=True
    ):
        np.testing.assert_array_equal(got, want)


def test_cupy_arrays_are_not_copied(cupy: Any) -> None:
    program = on(CudaDevice(), "two_products")
    x = some(32, 64)
    there = cupy.asarray(x)
    del cupy.timeline.calls[:]
    got = program(there)
    assert not {"memcpy", "gather", "synchronize"} & set(counts(cupy))
    assert all(type(each) is cupy.ndarray for each in got)
    close([each.get() for each in got], reference(x))


def test_a_graph_for_each_combination_of_addresses(cupy: Any) -> None:
    program = on(CudaDevice(), "two_products")
    inputs = [some(32, 64) for _ in range(2)]
    there = [cupy.asarray(x) for x in inputs]
    kept = []
    for number in (0, 1, 0, 1, 0):
        outputs = program(there[number])
        kept.append(outputs)  # outputs at new addresses each time
        close([each.get() for each in outputs], reference(inputs[number]))
    assert counts(cupy)["capture"] == 5


def test_a_graph_for_each_shape(cupy: Any) -> None:
    program = on(CudaDevice(), "scaled")
    for rows in (4, 48, 4, 1, 48, 48):
        x, y = some(rows, 40), some(rows, 40)
        close(program(x, y), [x.astype(np.float64) * 2 + y])
    assert counts(cupy)["capture"] == 3


def test_graphs_are_bounded_and_the_rest_is_launched_one_by_one(
    cupy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda_executable, "GRAPHS", 2)
    program = on(CudaDevice(), "scaled")
    for rows in (1, 2, 3, 1, 3, 3, 1):
        x, y = some(rows, 40), some(rows, 40)
        close(program(x, y), [x.astype(np.float64) * 2 + y])
    # 1, 2: captured; 3: not; 1: replayed; 3: captured, 2 goes; 3, 1: replayed
    assert counts(cupy)["capture"] == 3
    assert counts(cupy)["launch"] == 4 and counts(cupy)["graph"] == 6


def test_work_goes_to_the_current_stream(cupy: Any) -> None:
    program = on(CudaDevice(), "two_products")
    x = some(32, 64)
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        outputs = program(cupy.asarray(x))
        close([each.get() for each in outputs], reference(x))
    graphs = [call for call in cupy.timeline.calls if call[0] == "graph"]
    assert [call[2] for call in graphs] == [stream.ptr]


def overlapping(cupy: Any, program: Any, calls: int) -> int:
    """Calls on streams of their own that nobody waits for; how many are wrong."""
    inputs = [some(32, 64) for _ in range(calls)]
    streams = [cupy.cuda.Stream() for _ in inputs]
    queued = []
    for x, stream in zip(inputs, streams, strict=True):
        with stream:
            queued.append(program(cupy.asarray(x)))
    wrong = 0
    for x, stream, outputs in zip(inputs, streams, queued, strict=True):
        with stream:
            got = outputs[0].get()
        wrong += not np.allclose(got, reference(x)[0], rtol=1e-4, atol=1e-4)
    return wrong


def test_calls_on_several_streams_do_not_share_the_arena_at_once(cupy: Any) -> None:
    assert overlapping(cupy, on(CudaDevice(), "two_products"), 8) == 0


def test_a_missing_wait_would_show(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    program = on(CudaDevice(), "two_products")
    cupy.timeline.synchronize()
    monkeypatch.setattr(type(cupy.cuda.Stream()), "wait_event", lambda *_: None)
    assert overlapping(cupy, program, 8) > 0


@pytest.mark.parametrize("protocol", [True, False])
def test_torch_tensors_on_torchs_stream(
    monkeypatch: pytest.MonkeyPatch, protocol: bool
) -> None:
    cupy = fake_cupy.make_cupy(protocol=protocol)
    torch = fake_cupy.make_torch(cupy)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(sys.modules, "torch", torch)
    program = on(CudaDevice(), "two_products")
    x = some(32, 64)
    with torch.stream:
        tensor = torch.Tensor(cupy.asarray(x))
    del cupy.timeline.calls[:]
    outputs = program(tensor)
    assert all(type(each) is torch.Tensor for each in outputs)
    graphs = [call for call in cupy.timeline.calls if call[0] == "graph"]
    assert [call[2] for call in graphs] == [torch.stream.ptr]
    assert not {"memcpy", "gather"} & set(counts(cupy))
    with torch.stream:
        close([each.array.get() for each in outputs], reference(x))


def test_bf16_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    cupy = fake_cupy.make_cupy()
    torch = fake_cupy.make_torch(cupy)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(sys.modules, "torch", torch)
    x = some(8, 32).astype(ml_dtypes.bfloat16)
    with torch.stream:
        (got,) = on(CudaDevice(), "blend")(torch.Tensor(cupy.asarray(x)))
        assert got.dtype == "torch.bfloat16"
        np.testing.assert_array_equal(got.array.get(), x + x)


def test_torch_waits_for_arrays_of_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    cupy = fake_cupy.make_cupy()
    torch = fake_cupy.make_torch(cupy)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(sys.modules, "torch", torch)
    program = on(CudaDevice(), "scaled")
    x, y = some(5, 40), some(5, 40)
    with torch.stream:
        tensor = torch.Tensor(cupy.asarray(x))
    cupy.timeline.lazy = True
    (got,) = program(tensor, cupy.asarray(y))
    with torch.stream:
        close([got.array.get()], [x.astype(np.float64) * 2 + y])


class Foreign:
    """An array of another library, by the CUDA array interface."""

    def __init__(self, array: Any, stream: int | None) -> None:
        self._array = array
        self.__cuda_array_interface__ = {
            "shape": array.shape,
            "typestr": array.dtype.str,
            "data": (array.data.ptr, False),
            "strides": array.strides,
            "stream": stream,
            "version": 3,
        }


def test_foreign_memory_is_kept_until_it_was_read(cupy: Any) -> None:
    program = on(CudaDevice(), "two_products")
    stream, x = cupy.cuda.Stream(), some(32, 64)
    with stream:
        there = cupy.asarray(x)
    outputs, address = program(Foreign(there, stream.ptr)), there.data.ptr
    del there  # its memory would go back to a stream that the program is not on
    gc.collect()
    stream.synchronize()
    close([each.get() for each in outputs], reference(x))
    assert address in cupy.heap.owners
    program(x)
    stream.synchronize()
    assert address not in cupy.heap.owners


def test_the_cuda_array_interface_and_its_stream(cupy: Any) -> None:
    program = on(CudaDevice(), "two_products")
    stream = cupy.cuda.Stream()
    x = some(32, 64)
    with stream:
        there = cupy.asarray(x)
    cupy.timeline.lazy = True
    outputs = program(Foreign(there, stream.ptr))
    close([each.get() for each in outputs], reference(x))


class JaxArray:
    """An array of JAX, by DLPack."""

    def __init__(self, array: Any, place: tuple[int, int] = (2, 0)) -> None:
        self.array, self.place, self.streams = array, place, []

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.place

    def __dlpack__(self, stream: Any = None) -> Any:
        self.streams.append(stream)
        return self.array


JaxArray.__module__ = "jaxlib"


def test_jax_arrays_by_dlpack(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    jax = SimpleNamespace(dlpack=SimpleNamespace(from_dlpack=lambda a: ("jax", a)))
    monkeypatch.setitem(sys.modules, "jax", jax)
    program = on(CudaDevice(), "two_products")
    x = some(32, 64)
    value = JaxArray(cupy.asarray(x))
    with cupy.cuda.Stream() as stream:
        stream.wait_event(_recorded(cupy))
        outputs = program(value)
        assert value.streams == [stream.ptr]
        assert [kind for kind, _ in outputs] == ["jax", "jax"]
        close([each.get() for _, each in outputs], reference(x))


def _recorded(cupy: Any) -> Any:
    event = cupy.cuda.Event()
    event.record(cupy.cuda.Stream.null)
    return event


def test_numpy_beside_arrays_of_the_gpu(cupy: Any) -> None:
    program = on(CudaDevice(), "scaled")
    x, y = some(7, 40), some(7, 40)
    (got,) = program(cupy.asarray(x), y)
    assert type(got) is cupy.ndarray
    close([got.get()], [x.astype(np.float64) * 2 + y])


def test_misaligned_and_strided_inputs_are_copied(cupy: Any) -> None:
    program = on(CudaDevice(), "scaled")
    wide = some(7, 81)
    there = cupy.asarray(wide)
    shifted = there.part(4, (7, 40))  # contiguous from the second element on
    strided = there.part(0, (7, 40), (81 * 4, 4))
    x = wide.reshape(-1)[1:281].reshape(7, 40).astype(np.float64)
    for args, want in (
        ((shifted, strided), x * 2 + wide[:, :40]),
        ((strided, shifted), wide[:, :40].astype(np.float64) * 2 + x),
    ):
        del cupy.timeline.calls[:]
        close([program(*args)[0].get()], [want])
        assert counts(cupy)["gather"] == 1 and counts(cupy)["memcpy"] == 1


def test_empty_outputs_and_programs_on_another_gpu(cupy: Any) -> None:
    program = on("cuda:1", "two_products")
    assert program.device.id == 1
    x = some(32, 64)
    close(program(x), reference(x))
    assert {number for _, number in cupy.heap.owners.values()} == {1}


def test_an_array_on_another_gpu_is_refused(cupy: Any) -> None:
    program = on("cuda:0", "two_products")
    with cupy.cuda.Device(1):
        there = cupy.asarray(some(32, 64))
    message = (
        r"input 'x' of 'two_products' needs memory of cuda:0 \(Fake GPU\), but it is "
        r"on cuda:1; copy it, or load the program with device='cuda:1'"
    )
    for value in (there, Foreign(there, None)):
        with pytest.raises(WrongDevice, match=message) as caught:
            program(value)
        assert isinstance(caught.value, InputError)
        assert isinstance(caught.value, RuntimeFailure)


def test_arrays_that_do_not_fit_are_refused_before_anything_runs(cupy: Any) -> None:
    program = on(CudaDevice(), "scaled")
    good = cupy.asarray(some(3, 40))
    del cupy.timeline.calls[:]
    many = cupy.asarray(some(49, 40))
    for args, message in (
        ((good, cupy.asarray(some(3, 41))), "needs shape"),
        ((cupy.asarray(some(3, 40).astype(np.float16)), good), "needs dtype float32"),
        ((many, many), r"within 1\.\.48"),
        ((good, cupy.asarray(some(4, 40))), "as in an earlier input"),
    ):
        with pytest.raises(InputError, match=message):
            program(*args)
    with pytest.raises(InputError, match="needs 2 inputs"):
        program(good)
    assert not {"graph", "launch", "capture"} & set(counts(cupy))


def test_memory_is_asked_for_before_anything_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cupy = fake_cupy.make_cupy(memory=10_000)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    with pytest.raises(OutOfMemory) as caught:
        on(CudaDevice(), "two_products")
    message = str(caught.value)
    assert message.startswith("'two_products' needs 0.")
    for part in ("constants 0.0 MiB", "arena 0.0", "scratch", "inputs", "outputs"):
        assert part in message
    assert message.endswith("are free; declare smaller dimensions or free memory")
    assert not cupy.heap.owners


def test_memory_that_runs_out_in_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    cupy = fake_cupy.make_cupy()
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    program = on(CudaDevice(), "two_products")
    x = some(32, 64)
    there = cupy.asarray(x)
    cupy.heap.total = cupy.heap.used + 100
    for value in (x, there):
        with pytest.raises(
            OutOfMemory, match=r"cuda:0 \(Fake GPU\)' needs .* are free"
        ):
            program(value)
    cupy.heap.total = 1 << 30
    close(program(x), reference(x))
    assert not fake_cupy.is_capturing(cupy)


def test_a_failed_capture_leaves_the_stream_usable(
    cupy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = CudaDevice()
    program = on(device, "two_products")
    x = some(32, 64)

    def fail(*_: Any) -> None:
        raise fake_cupy.FakeError("cudaErrorLaunchFailure: unspecified launch failure")

    with monkeypatch.context() as patch:
        patch.setattr(device, "launch", fail)
        message = (
            "'two_products' needs a GPU that runs its kernels, but .* says "
            "cudaErrorLaunchFailure"
        )
        with pytest.raises(RuntimeFailure, match=message):
            program(x)
    assert not fake_cupy.is_capturing(cupy)
    close(program(x), reference(x))


def test_close_and_collection_wait_before_they_free_memory(cupy: Any) -> None:
    programs = [on(CudaDevice(), "two_products") for _ in range(2)]
    x, stream = some(32, 64), cupy.cuda.Stream()
    with stream:
        there = cupy.asarray(x)
        outputs = [program(there) for program in programs]
    programs[0].close()
    with pytest.raises(RuntimeFailure, match="needs an open executable"):
        programs[0](there)
    del programs[1]  # its work may still be queued
    gc.collect()
    cupy.cuda.Stream.null.synchronize()  # where its memory goes back to
    with stream:
        for each in outputs:
            close([array.get() for array in each], reference(x))
    del outputs, each, there, programs
    gc.collect()
    cupy.timeline.synchronize()
    assert not cupy.heap.owners


def test_many_threads_call_at_once(cupy: Any) -> None:
    program = on(CudaDevice(), "scaled")

    def work(seed: int) -> None:
        random = np.random.default_rng(seed)
        for _ in range(5):
            rows = int(random.integers(1, 48))
            x = random.standard_normal((rows, 40)).astype(np.float32)
            close(program(x, x), [x.astype(np.float64) * 3])

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work, seed) for seed in range(4)]:
            done.result(timeout=100)


def test_profile_times_each_launch_between_events(cupy: Any) -> None:
    program = on(CudaDevice(), "two_products")
    profile = program.profile(some(32, 64), calls=3)
    assert len(profile.calls_ms) == 3
    assert [k.launch for k in profile.kernels] == list(
        range(len(program.plan.launches))
    )
    assert {k.median_us for k in profile.kernels} == {cupy.elapsed_ms * 1e3}
    assert profile.to_json()["kernels"] and "kernel" in str(profile)


def test_jit_takes_and_gives_arrays_of_cupy(cupy: Any) -> None:
    jitted = ix.jit(lambda x: x * x + 1, target="sm_90a", device="cuda")
    for _ in range(2):
        x = some(9, 17)
        got = jitted(cupy.asarray(x))
        assert type(got) is cupy.ndarray
        close([got.get()], [x.astype(np.float64) ** 2 + 1])


def test_tensors_that_a_program_gives_out_are_passed_on() -> None:
    torch = pytest.importorskip("torch")
    from ix.runtime.arrays import tensor_of

    tensor = torch.ones(3)
    assert tensor_of(tensor) is tensor
    assert tensor_of(np.ones(3)).dtype == torch.float64
