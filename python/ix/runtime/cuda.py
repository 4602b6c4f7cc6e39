"""A GPU as a device: every call of CuPy and of the driver that ix makes.

Nothing else imports cupy or cuda.bindings, and this file does so late: programs for
the CPU and the emulator need neither. Memory comes from CuPy's current allocator, so
that a pool of the user's serves ix too.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ix.errors import NoDevice, OldDriver, OutOfMemory, RuntimeFailure
from ix.runtime.gpu_code import check_code, cubin_runs, version_text
from ix.runtime.tensor_map import SIZE, TensorMap

__all__ = ["Capture", "CudaDevice"]

EXTRA = "ix-compiler[cuda12] or ix-compiler[cuda13], as the driver's CUDA version is"

MAX_DYNAMIC_SHARED_SIZE_BYTES = 8
"""A kernel's attribute. Source: CUDA Driver API, CUfunction_attribute."""

Array = np.ndarray[Any, Any]


class Capture:
    """What was launched within `CudaDevice.capture`: a graph, once that is left."""

    graph: Any = None


class CudaDevice:
    """A GPU; see `ix.runtime.device.Device` for what every device has.

    Work goes to CuPy's current stream of the calling thread, or to the stream that is
    named. Several executables and threads may share a device.

    Args:
        device_id: The GPU's number, as CUDA counts them.

    Attributes:
        capability: Compute capability, (major, minor).
        failures: The exceptions of CuPy when a call of CUDA fails.

    Raises:
        NoDevice: CuPy, a driver or this GPU is missing.
        OldDriver: CuPy needs a newer driver.
    """

    def __init__(self, device_id: int = 0) -> None:
        cupy = _cupy()
        cuda = cupy.cuda
        self.id = device_id
        self.failures = (cuda.runtime.CUDARuntimeError, cuda.driver.CUDADriverError)
        _check_driver(cuda.runtime)
        _check_number(cuda.runtime, device_id)
        self._cupy, self._cuda, self._runtime = cupy, cuda, cuda.runtime
        self._device = cuda.Device(device_id)
        properties = cuda.runtime.getDeviceProperties(device_id)
        self.model: str = properties["name"].decode()
        self.capability: tuple[int, int] = (properties["major"], properties["minor"])
        self.driver: int = cuda.runtime.driverGetVersion()
        self._owned: dict[int, Any] = {}
        self._capturing = threading.Lock()
        self._capture_stream: Any = None

    def __str__(self) -> str:
        return f"cuda:{self.id} ({self.model})"

    # Memory

    def allocate(self, size_bytes: int) -> int:
        try:
            with self._device:
                pointer = self._cuda.alloc(size_bytes)
        except self._cuda.memory.OutOfMemoryError as error:
            raise OutOfMemory(
                f"'{self}' needs {mebibytes(size_bytes)} more, but "
                f"{mebibytes(self.free_bytes())} are free; free arrays, or call "
                "cupy.get_default_memory_pool().free_all_blocks()"
            ) from error
        self._owned[pointer.ptr] = pointer
        return int(pointer.ptr)

    def free(self, address: int) -> None:
        del self._owned[address]

    def free_bytes(self) -> int:
        """Bytes that can still be had: of the GPU, and unused ones of CuPy's pool."""
        pool = self._cupy.get_default_memory_pool()
        with self._device:
            free = self._runtime.memGetInfo()[0] + pool.free_bytes()
            limit = pool.get_limit()
            return int(min(free, limit - pool.used_bytes()) if limit else free)

    def upload(self, address: int, array: Array, stream: Any = None) -> None:
        # The driver copies pageable memory away before it returns.
        kind = self._runtime.memcpyHostToDevice
        self._copy(address, array.ctypes.data, array.nbytes, kind, stream)

    def download(self, address: int, array: Array, stream: Any = None) -> None:
        kind = self._runtime.memcpyDeviceToHost
        with self._device:
            stream = stream or self.current_stream()
            self._copy(array.ctypes.data, address, array.nbytes, kind, stream)
            stream.synchronize()

    def copy(self, target: int, source: int, size_bytes: int, stream: Any) -> None:
        """Copies memory of the GPU."""
        kind = self._runtime.memcpyDeviceToDevice
        self._copy(target, source, size_bytes, kind, stream)

    def _copy(
        self, target: int, source: int, size_bytes: int, kind: int, stream: Any
    ) -> None:
        if size_bytes:
            with self._device:
                pointer = (stream or self.current_stream()).ptr
                self._runtime.memcpyAsync(target, source, size_bytes, kind, pointer)

    def gather(
        self,
        target: int,
        source: int,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        element_bytes: int,
        stream: Any,
    ) -> None:
        """Copies a strided array of the GPU to contiguous memory; strides in bytes."""
        with self._device, stream:
            from_view = self._view(source, shape, strides, element_bytes)
            self._view(target, shape, None, element_bytes)[...] = from_view

    def _view(
        self,
        address: int,
        shape: tuple[int, ...],
        strides: tuple[int, ...] | None,
        element_bytes: int,
    ) -> Any:
        """A CuPy array of unsigned integers over memory that others own."""
        memory = self._cuda.UnownedMemory(address, 0, self, self.id)
        pointer = self._cuda.MemoryPointer(memory, 0)
        dtype = f"u{element_bytes}"
        return self._cupy.ndarray(shape, dtype, pointer, strides)

    # Arrays

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
        """A new CuPy array with undefined contents.

        Raises:
            OutOfMemory: There is not so much left.
        """
        try:
            return self._cupy.empty(shape, dtype)
        except self._cuda.memory.OutOfMemoryError as error:
            raise OutOfMemory(
                f"'{self}' needs memory for an output of shape {shape}, but "
                f"{mebibytes(self.free_bytes())} are free; free arrays first"
            ) from error

    def from_dlpack(self, value: Any) -> Any:
        """A CuPy array over an array's memory, ordered on the current stream."""
        return self._cupy.from_dlpack(value)

    def number_of(self, address: int) -> int:
        """The number of the GPU whose memory an address is."""
        return int(self._runtime.pointerGetAttributes(address).device)

    # Code

    def load(
        self, symbol: str, ptx: bytes, cubin: bytes, dynamic_shared_bytes: int = 0
    ) -> Any:
        found = self._function(symbol, ptx, cubin)
        if not dynamic_shared_bytes:
            return found
        with self._device:
            # Without it a launch gets 48 KiB at most, declared arrays included.
            self._cuda.driver.funcSetAttribute(
                found.ptr, MAX_DYNAMIC_SHARED_SIZE_BYTES, dynamic_shared_bytes
            )
        return functools.partial(found, shared_mem=dynamic_shared_bytes)

    def _function(self, symbol: str, ptx: bytes, cubin: bytes) -> Any:
        module = self._cuda.function.Module()
        with self._device:
            if cubin and cubin_runs(ptx, self.capability):
                # A driver of an older CUDA refuses it, and may take the PTX.
                with contextlib.suppress(self._cuda.driver.CUDADriverError):
                    module.load(cubin)
                    return module.get_function(symbol)
            check_code(symbol, ptx, str(self), self.capability, self.driver)
            try:
                module.load(ptx)
                return module.get_function(symbol)
            except self._cuda.driver.CUDADriverError as error:
                raise RuntimeFailure(
                    f"kernel '{symbol}' needs PTX that the driver of {self} takes, "
                    f"but it says {error}; update the driver"
                ) from error

    def launch(
        self,
        kernel: Any,
        blocks: int,
        threads: int,
        arguments: Sequence[bytes],
        sources: Sequence[str] = (),
    ) -> None:
        # CuPy passes a NumPy array of one element by value, whatever its size.
        values = tuple(np.frombuffer(each, f"V{len(each)}") for each in arguments)
        kernel((blocks,), (threads,), values)

    def tensor_map(self, description: TensorMap) -> bytes:
        driver = _driver()
        with self._device:
            arguments = description.driver_arguments(driver)
            status, found = driver.cuTensorMapEncodeTiled(*arguments)
        if status != driver.CUresult.CUDA_SUCCESS:
            raise RuntimeFailure(
                f"'tensor map' needs a description that the driver takes, but it says "
                f"{status.name} on {self}; tensor maps need compute capability 9.0"
            )
        return ctypes.string_at(int(found.getPtr()), SIZE)

    # Order

    def activated(self) -> Any:
        """A context in which this GPU is the current one."""
        return self._device

    def synchronize(self) -> None:
        self._device.synchronize()

    def current_stream(self) -> Any:
        """CuPy's current stream of this thread."""
        return self._cuda.get_current_stream()

    def stream_of(self, kind: str) -> Any:
        """The stream to work on for arrays of a kind: torch has one of its own."""
        if kind != "torch":
            return self.current_stream()
        torch = sys.modules["torch"]
        return self.stream_at(torch.cuda.current_stream(self.id).cuda_stream)

    def wait(self, stream: Any, other: Any) -> None:
        """What is queued on a stream from now on waits for what another one has."""
        event = self.event()
        event.record(other)
        stream.wait_event(event)

    def stream_at(self, pointer: int) -> Any:
        """A stream of another library, by its handle."""
        if hasattr(self._cuda.Stream, "from_external"):
            return self._cuda.Stream.from_external(_Handle(pointer))
        return self._cuda.ExternalStream(pointer)  # CuPy 13

    def event(self, timing: bool = False) -> Any:
        """A mark in streams: record(stream), synchronize()."""
        return self._cuda.Event(disable_timing=not timing)

    def elapsed_us(self, start: Any, end: Any) -> float:
        """Microseconds between two events that were reached."""
        return float(self._cuda.get_elapsed_time(start, end)) * 1e3

    @contextlib.contextmanager
    def capture(self) -> Iterator[Capture]:
        """Launches within become a graph and do not run."""
        captured = Capture()
        with self._capturing, self._device:
            if self._capture_stream is None:
                self._capture_stream = self._cuda.Stream(non_blocking=True)
            stream = self._capture_stream
            with stream:
                stream.begin_capture()
                try:
                    yield captured
                except BaseException:
                    with contextlib.suppress(*self.failures):
                        stream.end_capture()
                    raise
                captured.graph = stream.end_capture()


class _Handle:
    """A stream's handle, in the form of the CUDA stream protocol."""

    def __init__(self, pointer: int) -> None:
        self.pointer = pointer

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self.pointer


def mebibytes(size_bytes: int) -> str:
    """A size for people."""
    return f"{size_bytes / 2**20:.1f} MiB"


def _cupy() -> Any:
    try:
        import cupy
    except ImportError as error:
        raise NoDevice(
            f"device 'cuda' needs CuPy, but it cannot be imported ({error}); install "
            f"{EXTRA}, or pass device='emulator'"
        ) from error
    return cupy


def _driver() -> Any:
    try:
        from cuda.bindings import driver
    except ImportError as error:
        raise NoDevice(
            f"'tensor map' needs cuda-bindings, but they cannot be imported ({error}); "
            f"install {EXTRA}"
        ) from error
    return driver


def _check_driver(runtime: Any) -> None:
    found = runtime.driverGetVersion()
    if not found:
        raise NoDevice(
            "device 'cuda' needs an NVIDIA driver, but none answers; install one, or "
            "pass device='emulator'"
        )
    # Within a major version old drivers run what newer toolkits made.
    # Source: CUDA Compatibility, "Minor Version Compatibility".
    needed = runtime.runtimeGetVersion() // 1000 * 1000
    if found < needed:
        raise OldDriver(
            f"CuPy needs a driver for CUDA {version_text(needed)} or newer, but this "
            f"one is for CUDA {version_text(found)}; update the driver, or install "
            f"{EXTRA}"
        )


def _check_number(runtime: Any, device_id: int) -> None:
    try:
        count = runtime.getDeviceCount()
    except runtime.CUDARuntimeError as error:
        raise NoDevice(
            f"device 'cuda:{device_id}' needs a GPU, but the driver says {error}; pass "
            "device='emulator' to run without one"
        ) from error
    if device_id >= count:
        raise NoDevice(
            f"device 'cuda:{device_id}' needs a GPU of that number, but there "
            f"{'is 1' if count == 1 else f'are {count}'}; the first is 'cuda:0', and "
            "device='emulator' needs none"
        )
