"""The CUDA device: what it says when something is missing, and which code it loads."""

from __future__ import annotations

import ctypes
import sys
from enum import Enum
from types import ModuleType, SimpleNamespace
from typing import Any

import fake_cupy
import numpy as np
import pytest
from gpu_programs import RANDOM, compiled

from ix.errors import (
    InputError,
    NoDevice,
    OldDriver,
    OutOfMemory,
    RuntimeFailure,
    WrongArchitecture,
)
from ix.runtime.cuda import CudaDevice
from ix.runtime.device import open_device
from ix.runtime.gpu_code import CUDA_OF_PTX, PtxHeader, cubin_runs
from ix.runtime.tensor_map import TensorMap


def device(monkeypatch: pytest.MonkeyPatch, number: int = 0, **facts: Any) -> Any:
    cupy = fake_cupy.make_cupy(**facts)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    return CudaDevice(number), cupy


def test_without_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    message = (
        r"device 'cuda' needs CuPy, but it cannot be imported .*install "
        r"ix-compiler\[cuda12\] or ix-compiler\[cuda13\]"
    )
    with pytest.raises(NoDevice, match=message):
        open_device("cuda", "sm_90a")


@pytest.mark.parametrize(
    ("facts", "number", "error", "message"),
    [
        ({"driver": 0}, 0, NoDevice, "needs an NVIDIA driver, but none answers"),
        (
            {"gpus": 0},
            0,
            NoDevice,
            "needs a GPU, but the driver says cudaErrorNoDevice",
        ),
        (
            {"gpus": 1},
            1,
            NoDevice,
            "'cuda:1' needs a GPU of that number, but there is 1",
        ),
        (
            {"gpus": 2},
            5,
            NoDevice,
            "'cuda:5' needs a GPU of that number, but there are",
        ),
        (
            {"driver": 12080, "runtime": 13000},
            0,
            OldDriver,
            r"for CUDA 13\.0 or newer, but this one is for CUDA 12\.8; update",
        ),
    ],
)
def test_what_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, facts: Any, number: int, error: Any, message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        device(monkeypatch, number, **facts)
    assert isinstance(caught.value, RuntimeFailure)


def test_an_older_driver_of_the_same_major_version_is_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, _ = device(monkeypatch, driver=12020, runtime=12090)
    assert str(found) == "cuda:0 (Fake GPU)"


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:1 "])
def test_devices_that_there_are_not(name: str) -> None:
    with pytest.raises(InputError, match=r"one of the devices cuda, emulator, cuda:1"):
        open_device(name, "sm_90a")


def ptx(target: str, version: str = "8.3") -> bytes:
    text = compiled("scaled").objects[0].decode()
    head, _, body = text.partition(".target sm_90a")
    head = head.rpartition(".version")[0] + f".version {version}\n"
    return f"{head}.target {target}{body}".encode()


def symbol() -> str:
    return compiled("scaled").plan.kernels[0].symbol


@pytest.mark.parametrize(
    ("target", "capability", "runs"),
    [
        ("sm_80", (8, 0), True),
        ("sm_80", (8, 9), True),
        ("sm_80", (10, 0), True),
        ("sm_80", (7, 5), False),
        ("sm_89", (8, 6), False),
        ("sm_90a", (9, 0), True),
        ("sm_90a", (10, 0), False),
        ("sm_100a", (10, 3), False),
        ("sm_100a", (10, 0), True),
        ("sm_120a", (12, 0), True),
    ],
)
def test_ptx_runs_on_newer_gpus_unless_it_is_specific(
    monkeypatch: pytest.MonkeyPatch, target: str, capability: Any, runs: bool
) -> None:
    found, cupy = device(monkeypatch, capability=capability, target=target)
    if runs:
        assert found.load(symbol(), ptx(target), b"")
        return
    with pytest.raises(WrongArchitecture) as caught:
        found.load(symbol(), ptx(target), b"")
    message = str(caught.value)
    assert f"kernel '{symbol()}' needs compute capability" in message
    assert f"cuda:0 (Fake GPU) has {capability[0]}.{capability[1]}; compile" in message
    assert ("runs on no other" in message) == target.endswith("a")
    assert not [call for call in cupy.timeline.calls if call[0] == "load"]


@pytest.mark.parametrize(
    ("target", "capability", "loads"),
    [
        ("sm_80", (8, 0), ["cubin"]),
        ("sm_80", (8, 6), ["cubin"]),
        ("sm_80", (9, 0), ["ptx"]),
        ("sm_86", (8, 9), ["cubin"]),
        ("sm_90a", (9, 0), ["cubin"]),
    ],
)
def test_a_cubin_is_taken_where_it_fits_else_ptx(
    monkeypatch: pytest.MonkeyPatch, target: str, capability: Any, loads: list[str]
) -> None:
    found, cupy = device(monkeypatch, capability=capability)
    code = ptx(target)
    assert found.load(symbol(), code, b"cubin:" + code)
    calls = [call[1] for call in cupy.timeline.calls if call[0] == "load"]
    assert ["cubin" if c.startswith(b"cubin") else "ptx" for c in calls] == loads


def test_ptx_stands_in_for_a_cubin_that_the_driver_refuses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, cupy = device(monkeypatch)
    assert found.load(symbol(), ptx("sm_90a"), b"broken cubin")
    assert len([call for call in cupy.timeline.calls if call[0] == "load"]) == 2


def test_a_kernel_may_get_more_shared_memory_than_launches_do_by_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, _ = device(monkeypatch)
    kernel = found.load(symbol(), ptx("sm_90a"), b"", 200 << 10)
    function = kernel.func
    assert function.most_shared == kernel.keywords["shared_mem"] == 200 << 10
    with pytest.raises(found.failures, match="INVALID_VALUE"):
        function((1,), (32,), (), shared_mem=(200 << 10) + 1)
    plain = found.load(symbol(), ptx("sm_90a"), b"")
    with pytest.raises(found.failures, match="INVALID_VALUE"):
        plain((1,), (32,), (), shared_mem=49 << 10)


def test_a_driver_too_old_for_the_ptx(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = device(monkeypatch, driver=12020)
    message = (
        r"needs a driver for CUDA 12\.8 or newer, for it is in PTX 8\.7, but cuda:0 "
        r"\(Fake GPU\) has one for CUDA 12\.2; update the driver"
    )
    with pytest.raises(OldDriver, match=message):
        found.load(symbol(), ptx("sm_90a", "8.7"), b"")
    code = ptx("sm_90a", "8.7")
    assert found.load(symbol(), code, b"cubin:" + ptx("sm_90a"))  # needs no PTX


def test_ptx_that_the_driver_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    found, cupy = device(monkeypatch)

    def refuse(*_: Any) -> None:
        raise fake_cupy.DriverError("CUDA_ERROR_INVALID_PTX: a PTX JIT failed")

    monkeypatch.setattr(
        cupy.cuda.function, "Module", lambda: SimpleNamespace(load=refuse)
    )
    with pytest.raises(RuntimeFailure, match="but it says CUDA_ERROR_INVALID_PTX"):
        found.load(symbol(), ptx("sm_90a"), b"")


def test_text_that_is_no_ptx() -> None:
    with pytest.raises(WrongArchitecture, match=r"directives \.version and \.target"):
        cubin_runs(b"\x7fELF", (9, 0))


def test_what_ix_writes_is_in_a_known_version_of_ptx() -> None:
    for target in ("sm_80", "sm_90a"):
        header = PtxHeader.of(compiled("scaled", target).objects[0])
        assert header.target == target and header.version in CUDA_OF_PTX
        assert header.specific == (target == "sm_90a")


def test_memory_that_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = device(monkeypatch, memory=4 << 20)
    message = (
        r"'cuda:0 \(Fake GPU\)' needs 8\.0 MiB more, but 4\.0 MiB are free; free "
        "arrays, or call cupy.get_default_memory_pool"
    )
    with pytest.raises(OutOfMemory, match=message):
        found.allocate(8 << 20)
    with pytest.raises(OutOfMemory, match=r"an output of shape \(4096, 512\), but"):
        found.empty((4096, 512), np.dtype(np.float32))


def test_a_limit_of_cupys_pool_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    found, cupy = device(monkeypatch, memory=4 << 20)
    pool = cupy.get_default_memory_pool()
    pool.get_limit, pool.free_bytes = lambda: 1 << 20, lambda: 4096
    assert found.free_bytes() == 1 << 20
    pool.get_limit = lambda: 0
    assert found.free_bytes() == (4 << 20) + 4096


def test_memory_moves_up_and_down(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = device(monkeypatch)
    array, back = RANDOM.standard_normal((3, 5)), np.full((3, 5), np.nan)
    address = found.allocate(array.nbytes)
    found.upload(address, array)
    found.download(address, back)
    np.testing.assert_array_equal(back, array)
    found.free(address)


MAP = TensorMap("f16", 0x7F0000000000, (64, 128), (128,), (64, 32), swizzle=128)


class Status(Enum):
    CUDA_SUCCESS = 0
    CUDA_ERROR_INVALID_VALUE = 1


def fake_driver(status: Status, calls: list[Any]) -> Any:
    """`cuda.bindings.driver`, whose tensor maps are 128 bytes of 7."""
    driver: Any = ModuleType("cuda.bindings.driver")
    driver.CUresult = Status
    driver.cuuint32_t = driver.cuuint64_t = int
    for name in "DataType Interleave Swizzle L2promotion FloatOOBfill".split():
        setattr(driver, f"CUtensorMap{name}", _Names())
    memory = ctypes.create_string_buffer(b"\x07" * 128, 128)

    def encode(*arguments: Any) -> Any:
        calls.append(arguments)
        found = SimpleNamespace(getPtr=lambda: ctypes.addressof(memory))
        return status, found

    driver.cuTensorMapEncodeTiled = encode
    return driver


class _Names:
    """An enumeration whose members are their names."""

    def __getattr__(self, name: str) -> str:
        return name


def with_driver(monkeypatch: pytest.MonkeyPatch, driver: Any) -> None:
    for name in ("cuda", "cuda.bindings"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", driver)
    sys.modules["cuda.bindings"].driver = driver  # type: ignore[attr-defined]


def test_tensor_maps_are_encoded_by_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = device(monkeypatch)
    calls: list[Any] = []
    with_driver(monkeypatch, fake_driver(Status.CUDA_SUCCESS, calls))
    assert found.tensor_map(MAP) == b"\x07" * 128
    (arguments,) = calls
    assert arguments[:7] == (
        "CU_TENSOR_MAP_DATA_TYPE_FLOAT16", 2, MAP.address, [64, 128], [128], [64, 32],
        [1, 1],
    )  # fmt: skip
    assert arguments[8] == "CU_TENSOR_MAP_SWIZZLE_128B"


def test_tensor_maps_that_the_driver_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = device(monkeypatch)
    driver = fake_driver(Status.CUDA_ERROR_INVALID_VALUE, [])
    with_driver(monkeypatch, driver)
    with pytest.raises(RuntimeFailure, match="says CUDA_ERROR_INVALID_VALUE on cuda:0"):
        found.tensor_map(MAP)
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    with pytest.raises(NoDevice, match=r"needs cuda-bindings, .*ix-compiler\[cuda12\]"):
        found.tensor_map(MAP)


def test_the_emulator_takes_the_same_description() -> None:
    found = open_device("emulator", "sm_90a")
    assert TensorMap.from_bytes(found.tensor_map(MAP)) == MAP


def test_arguments_of_any_size_go_by_value(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = device(monkeypatch)
    seen: list[Any] = []
    arguments = [b"\1" * 8, bytes(range(128)), b"\2" * 4]
    found.launch(lambda *call: seen.append(call), 3, 128, arguments)
    ((grid, block, values),) = seen
    assert (grid, block) == ((3,), (128,))
    assert all(isinstance(v, np.ndarray) and v.size == 1 for v in values)
    assert [value.tobytes() for value in values] == arguments


def test_the_fake_has_only_what_cupy_has() -> None:
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    fake = fake_cupy.make_cupy()
    own = {"timeline", "heap", "local", "elapsed_ms"}
    names = {n for n in vars(fake) if not n.startswith("__")} - own - {"cuda"}
    assert not [name for name in names if not hasattr(cupy, name)]
    for group in (
        "cuda",
        "cuda.runtime",
        "cuda.memory",
        "cuda.driver",
        "cuda.function",
    ):
        found, real = fake, cupy
        for part in group.split("."):
            found, real = getattr(found, part), getattr(real, part)
        assert not [name for name in vars(found) if not hasattr(real, name)], group
    for name in ("Stream", "Event"):
        found = getattr(fake.cuda, name)
        methods = [n for n in dir(found) if not n.startswith("_")]
        methods = [n for n in methods if n not in ("timeline", "local", "get_current")]
        assert not [n for n in methods if not hasattr(getattr(cupy.cuda, name), n)]
    assert hasattr(cupy.cuda.Graph, "launch")
