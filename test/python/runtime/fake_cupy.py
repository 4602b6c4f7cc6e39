"""A CuPy without a GPU: it records what is called, and runs kernels on the emulator.

    cupy = make_cupy(); monkeypatch.setitem(sys.modules, "cupy", cupy)

It has what `ix.runtime.cuda` and the tests use, with CuPy's names and arguments.
`cupy.timeline.calls` lists the calls. Memory that is given back is freed in the order
of the stream that it was made on, as CuPy's pool gives it out again.
"""

from __future__ import annotations

import ctypes
import math
import threading
from types import ModuleType, SimpleNamespace
from typing import Any

import ml_dtypes
import numpy as np
from fake_streams import Event, FakeError, Stream, Timeline

from ix.emulator import Emulator


class OutOfMemoryError(MemoryError):
    """cupy.cuda.memory.OutOfMemoryError."""


class DriverError(RuntimeError):
    """cupy.cuda.driver.CUDADriverError."""


class Heap:
    """The memory of the GPUs: one emulator's, with the owner of each allocation."""

    def __init__(self, target: str, total: int, timeline: Timeline) -> None:
        self.emulator = Emulator(target)
        self.total, self.used = total, 0
        self.timeline = timeline
        self.owners: dict[int, tuple[int, int]] = {}

    def allocate(self, size: int, number: int) -> int:
        if self.used + size > self.total:
            raise OutOfMemoryError(f"Out of memory allocating {size} bytes")
        self.used += size
        address = self.emulator.alloc(size)
        self.owners[address] = (size, number)
        return address

    def free(self, address: int) -> None:
        self.used -= self.owners.pop(address)[0]
        self.emulator.free(address)

    def number_of(self, address: int) -> int:
        for start, (size, number) in self.owners.items():
            if start <= address < start + size:
                return number
        raise FakeError("cudaErrorInvalidValue: invalid argument")


class MemoryPointer:
    """cupy.cuda.MemoryPointer; with a heap it owns its memory."""

    def __init__(self, mem: Any, offset: int, stream: int = 0) -> None:
        self.mem, self.ptr, self.device_id = mem, mem.ptr + offset, mem.device_id
        self._stream = stream

    def __del__(self) -> None:
        heap = getattr(self.mem, "heap", None)
        if heap is not None:
            address = self.mem.ptr
            heap.timeline.queue(self._stream).add(lambda: heap.free(address))


class UnownedMemory:
    """cupy.cuda.UnownedMemory."""

    def __init__(self, ptr: int, size: int, owner: Any, device_id: int = -1) -> None:
        self.ptr, self.size, self.owner, self.device_id = ptr, size, owner, device_id


class ndarray:
    """cupy.ndarray, over memory of the fake GPU."""

    cupy: Any

    def __init__(
        self, shape: Any, dtype: Any = float, memptr: Any = None, strides: Any = None
    ) -> None:
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)
        contiguous = np.empty(self.shape, np.uint8).strides
        self._steps = tuple(s * self.dtype.itemsize for s in contiguous)
        self.strides = self._steps if strides is None else tuple(strides)
        size = math.prod(self.shape) * self.dtype.itemsize
        self.data = self.cupy.cuda.alloc(max(size, 1)) if memptr is None else memptr
        is_c = self.strides == self._steps
        self.flags = SimpleNamespace(c_contiguous=is_c)

    ndim = property(lambda self: len(self.shape))

    def _elements(self) -> np.ndarray:
        """The bytes of each element, from the emulator's memory as it is."""
        size = self.dtype.itemsize
        spans = zip(self.shape, self.strides, strict=True)
        extent = sum((n - 1) * step for n, step in spans) + size
        raw = self.cupy.heap.emulator.read(self.data.ptr, np.uint8, extent)
        shape, strides = (*self.shape, size), (*self.strides, 1)
        return np.lib.stride_tricks.as_strided(raw, shape, strides)

    def _is_empty(self) -> bool:
        return 0 in self.shape

    def __setitem__(self, key: Any, other: ndarray) -> None:
        assert key is Ellipsis and self.shape == other.shape
        assert self.flags.c_contiguous
        if self._is_empty():
            return
        target = self.data.ptr

        def work() -> None:
            elements = np.ascontiguousarray(other._elements())
            self.cupy.heap.emulator.write(target, elements.reshape(-1))

        stream = self.cupy.cuda.get_current_stream()
        self.cupy.timeline.calls.append(("gather", stream.ptr))
        self.cupy.timeline.queue(stream.ptr).add(work)

    def get(self) -> np.ndarray:
        """The values, once the current stream is done."""
        self.cupy.cuda.get_current_stream().synchronize()
        if self._is_empty():
            return np.empty(self.shape, self.dtype)
        raw = np.ascontiguousarray(self._elements()).reshape(-1)
        return raw.view(self.dtype).reshape(self.shape)

    def part(self, offset: int, shape: Any, strides: Any = None) -> ndarray:
        """A view from a byte offset on."""
        pointer = MemoryPointer(UnownedMemory(self.data.ptr + offset, 0, self,
                                              self.data.device_id), 0)  # fmt: skip
        return type(self)(shape, self.dtype, pointer, strides)


def make_cupy(
    *,
    gpus: int = 1,
    capability: tuple[int, int] = (9, 0),
    driver: int = 12080,
    runtime: int = 12090,
    memory: int = 1 << 30,
    target: str = "sm_90a",
    seed: int = 0,
    protocol: bool = True,
) -> Any:
    """A module `cupy` with so many GPUs.

    protocol: As CuPy 14: streams of others come in through `Stream.from_external`.
    """
    timeline = Timeline(seed)
    heap = Heap(target, memory, timeline)
    cupy: Any = ModuleType("cupy")
    cupy.timeline, cupy.heap = timeline, heap
    cupy.local = threading.local()  # .stack: the GPUs that are entered
    cupy.elapsed_ms = 0.004
    cupy.ndarray = type("ndarray", (ndarray,), {"cupy": cupy})
    cupy.ndarray.__module__ = "cupy"
    cupy.empty = lambda shape, dtype=float: cupy.ndarray(shape, dtype)
    cupy.from_dlpack = lambda value: value.__dlpack__(
        stream=cupy.cuda.get_current_stream().ptr
    )
    pool = SimpleNamespace(
        free_bytes=lambda: 0, get_limit=lambda: 0, used_bytes=lambda: heap.used
    )
    cupy.get_default_memory_pool = lambda: pool

    def asarray(array: Any) -> Any:
        array = np.ascontiguousarray(array)
        result = cupy.empty(array.shape, array.dtype)
        if array.size:
            flat = array.reshape(-1).view(np.uint8).copy()
            stream = cupy.cuda.get_current_stream()
            at = result.data.ptr
            timeline.queue(stream.ptr).add(lambda: heap.emulator.write(at, flat))
        return result

    cupy.asarray = asarray
    cupy.cuda = _cuda(cupy, gpus, capability, driver, runtime, protocol)
    return cupy


def _cuda(
    cupy: Any, gpus: int, capability: Any, driver: int, runtime: int, protocol: bool
) -> Any:
    timeline, heap = cupy.timeline, cupy.heap
    stream = type("Stream", (Stream,), {"timeline": timeline})
    cuda: Any = SimpleNamespace(
        Stream=stream,
        Event=type("Event", (Event,), {"timeline": timeline}),
        MemoryPointer=MemoryPointer,
        UnownedMemory=UnownedMemory,
        memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
        driver=SimpleNamespace(
            CUDADriverError=DriverError, funcSetAttribute=_set_attribute
        ),
        function=SimpleNamespace(Module=lambda: _Module(cupy, capability)),
    )
    stream.null = stream(null=True)
    stream.local = threading.local()
    if not protocol:
        external = stream.from_external
        cuda.ExternalStream = lambda ptr: external(
            SimpleNamespace(__cuda_stream__=lambda: (0, ptr))
        )
        cuda.Stream = _without_protocol(stream)
    cuda.get_current_stream = stream.get_current

    def elapsed(start: Any, end: Any) -> float:
        assert start.timing and end.timing
        assert start.mark.is_reached and end.mark.is_reached
        return float(cupy.elapsed_ms)

    cuda.get_elapsed_time = elapsed

    def alloc(size: int) -> MemoryPointer:
        queue = timeline.queue(cuda.get_current_stream().ptr)
        assert queue.captured is None, "memory is allocated within a capture"
        stack = getattr(cupy.local, "stack", None) or [0]
        memory = UnownedMemory(heap.allocate(size, stack[-1]), size, None, stack[-1])
        memory.heap = heap
        return MemoryPointer(memory, 0, cuda.get_current_stream().ptr)

    cuda.alloc = alloc
    cuda.Device = lambda device_id: _Device(cupy, device_id)
    cuda.runtime = _runtime(cupy, gpus, capability, driver, runtime)
    return cuda


def _without_protocol(stream: Any) -> Any:
    """CuPy 13's Stream: a function to call, without from_external."""

    def make(null: bool = False, non_blocking: bool = False) -> Any:
        return stream(null, non_blocking)

    return make


class _Device:
    """cupy.cuda.Device."""

    def __init__(self, cupy: Any, device_id: int) -> None:
        self.cupy, self.id = cupy, device_id

    def __enter__(self) -> _Device:
        local = self.cupy.local
        local.stack = [*getattr(local, "stack", []), self.id]
        return self

    def __exit__(self, *_: object) -> None:
        assert self.cupy.local.stack.pop() == self.id

    def synchronize(self) -> None:
        self.cupy.timeline.synchronize()


class _Module:
    """cupy.cuda.function.Module: PTX goes to the emulator; of cubins only some load."""

    def __init__(self, cupy: Any, capability: tuple[int, int]) -> None:
        self.cupy, self.code, self.capability = cupy, b"", capability

    def load(self, code: bytes) -> None:
        self.cupy.timeline.calls.append(("load", code[:12]))
        if code.startswith((b"broken", b"\x7fELF")):  # no machine code is emulated
            raise DriverError("CUDA_ERROR_INVALID_SOURCE: device kernel is invalid")
        # A cubin of the tests is "cubin:" before the PTX that it was made from.
        self.code = code.removeprefix(b"cubin:")

    def get_function(self, name: str) -> Any:
        return _Function(self.cupy, self.code.decode(), name)


FUNCTIONS: dict[int, _Function] = {}


class _Function:
    """cupy.cuda.function.Function: a launch queues a run of the emulator."""

    def __init__(self, cupy: Any, code: str, name: str) -> None:
        self.cupy, self.module, self.name = cupy, cupy.heap.emulator.load(code), name
        self.ptr, self.most_shared = len(FUNCTIONS) + 1, 48 << 10
        FUNCTIONS[self.ptr] = self

    def __call__(self, grid: Any, block: Any, args: Any, shared_mem: int = 0) -> None:
        cupy, module, name = self.cupy, self.module, self.name
        stream = cupy.cuda.get_current_stream()
        assert all(arg.size == 1 for arg in args)
        values = [arg.tobytes() for arg in args]
        if shared_mem > self.most_shared:
            raise DriverError("CUDA_ERROR_INVALID_VALUE: invalid argument")
        cupy.timeline.calls.append(("launch", name, grid, block, stream.ptr))
        emulator = cupy.heap.emulator
        cupy.timeline.queue(stream.ptr).add(
            lambda: emulator.launch(
                module, name, (*grid, 1, 1), (*block, 1, 1), values, shared_mem
            )
        )


def _set_attribute(function: int, attribute: int, value: int) -> None:
    """cupy.cuda.driver.funcSetAttribute, of the most dynamic shared memory."""
    assert attribute == 8
    FUNCTIONS[function].most_shared = value


def _runtime(
    cupy: Any, gpus: int, capability: tuple[int, int], driver: int, runtime: int
) -> Any:
    heap, timeline = cupy.heap, cupy.timeline

    def device_count() -> int:
        if gpus == 0:
            raise FakeError("cudaErrorNoDevice: no CUDA-capable device is detected")
        return gpus

    def memcpy(target: int, source: int, size: int, kind: int, stream: int) -> None:
        timeline.calls.append(("memcpy", kind, size, stream))
        queue = timeline.queue(stream)
        assert queue.captured is None or kind == 3, "the host is read within a capture"
        if kind == 1:
            data = _host(source, size).copy()
            queue.add(lambda: heap.emulator.write(target, data))
        elif kind == 2:
            read = heap.emulator.read

            def work() -> None:
                _host(target, size)[:] = read(source, np.uint8, size)

            queue.add(work)
        else:
            queue.add(
                lambda: heap.emulator.write(
                    target, heap.emulator.read(source, np.uint8, size)
                )
            )

    return SimpleNamespace(
        CUDARuntimeError=FakeError,
        memcpyHostToDevice=1,
        memcpyDeviceToHost=2,
        memcpyDeviceToDevice=3,
        driverGetVersion=lambda: driver,
        runtimeGetVersion=lambda: runtime,
        getDeviceCount=device_count,
        getDeviceProperties=lambda number: {
            "name": b"Fake GPU", "major": capability[0], "minor": capability[1],
        },
        memGetInfo=lambda: (heap.total - heap.used, heap.total),
        memcpyAsync=memcpy,
        pointerGetAttributes=lambda at: SimpleNamespace(device=heap.number_of(at)),
    )  # fmt: skip


def _host(address: int, size: int) -> np.ndarray:
    """Memory of this process as bytes."""
    return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))


def make_torch(cupy: Any) -> Any:
    """A module `torch` whose tensors lie on the fake GPU, and that has a stream."""
    torch: Any = ModuleType("torch")
    torch.stream = cupy.cuda.Stream()
    for name in ("float32", "float16", "bfloat16", "int64", "bool"):
        setattr(torch, name, f"torch.{name}")

    class Tensor:
        def __init__(self, array: Any, number: int = 0) -> None:
            self.array, self.shape = array, array.shape
            self.dtype = f"torch.{array.dtype.name}"
            self.device = SimpleNamespace(type="cuda", index=number)

        is_neg = staticmethod(lambda: False)

        def is_contiguous(self) -> bool:
            return bool(self.array.flags.c_contiguous)

        def stride(self) -> tuple[int, ...]:
            size = self.array.dtype.itemsize
            return tuple(step // size for step in self.array.strides)

        def data_ptr(self) -> int:
            return int(self.array.data.ptr)

    Tensor.__module__ = "torch"
    torch.Tensor = Tensor

    def empty(shape: Any, dtype: str, device: str) -> Tensor:
        name = dtype.removeprefix("torch.")
        kind = getattr(ml_dtypes, name, None) or name
        with torch.stream:
            return Tensor(cupy.empty(shape, kind), int(device.partition(":")[2]))

    torch.empty = empty
    torch.cuda = SimpleNamespace(
        current_stream=lambda number: SimpleNamespace(cuda_stream=torch.stream.ptr)
    )
    return torch


def is_capturing(cupy: Any) -> bool:
    """Whether a stream is left within a capture."""
    queues = cupy.timeline.streams.values()
    return any(queue.captured is not None for queue in queues)
