"""A GPU program on CUDA: one arena, one graph for each shape, streams in order.

Arrays on the GPU are read and written where they are. Arrays of NumPy, and inputs that
are not contiguous or not aligned, pass through buffers on the GPU that stay, so that
the graph of a shape stays too. Calls are queued and return before they are done,
unless an output is NumPy's.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np

from ix.errors import RuntimeFailure, WrongDevice
from ix.runtime.arrays import dtype_of
from ix.runtime.cuda import CudaDevice
from ix.runtime.device_arrays import (
    KINDS,
    DeviceArray,
    device_array,
    empty_outputs,
    finished,
)
from ix.runtime.device_executable import DeviceExecutable
from ix.runtime.graph_cache import GraphCache
from ix.runtime.memory_needs import check_memory, most_bytes
from ix.runtime.plan import Plan
from ix.runtime.profile import KernelTime, Profile, percentile
from ix.runtime.sizes import evaluate
from ix.runtime.stream_order import HeldInputs, StreamOrder

__all__ = ["CudaExecutable"]

ACCESS_BYTES = 16
"""Kernels take buffers to start at multiples of this: the widest access of a thread."""

GRAPHS = 64
"""Graphs that an executable keeps."""


class _Call(NamedTuple):
    """A call that was checked.

    kind: Of the outputs.
    held: Owners of inputs whose memory the stream does not keep.
    """

    inputs: list[Any]
    dims: list[int]
    kind: str
    stream: Any
    held: list[Any]


class CudaExecutable(DeviceExecutable):
    """A program compiled for a GPU, on one; see `DeviceExecutable`.

    Work goes to torch's current stream if a torch tensor comes in, else to CuPy's.

    Raises:
        OutOfMemory: Before anything is allocated, if the program alone needs more than
            there is.
    """

    device: CudaDevice

    def __init__(
        self,
        plan: Plan,
        objects: Sequence[bytes],
        constants: Sequence[np.ndarray[Any, Any]],
        device: CudaDevice,
    ) -> None:
        check_memory(plan, constants, device)
        self._graphs = GraphCache(GRAPHS)
        self._staging: dict[tuple[str, int], int] = {}
        self._dtypes = [dtype_of(tensor.dtype) for tensor in plan.outputs]
        self._shapes: list[Any] = [tensor.shape for tensor in plan.outputs]
        with device.activated():
            super().__init__(plan, objects, constants, device)
            self._held = HeldInputs(device)
            self._order = StreamOrder(device)
            self._order.leave(device.current_stream())  # calls wait for the constants
        self._memory.settle = self._order.settle

    def run_flat(self, arrays: Sequence[Any]) -> list[Any]:
        if len(arrays) != len(self._inputs):
            self._refuse_count(len(arrays))
        try:
            with self.device.activated():
                call = self._opened(arrays)
                outputs, addresses = self._new_outputs(call)
                with self._lock:
                    self._check_open()
                    self._order.enter(call.stream)
                    try:
                        self._queue(call, outputs, addresses)
                    finally:
                        self._order.leave(call.stream)
                return finished(call.kind, outputs)
        except self.device.failures as error:
            raise self._failure(error) from error

    def _queue(
        self, call: _Call, outputs: list[Any], addresses: list[int] | None
    ) -> None:
        """Queues a call; waits for it if the outputs are NumPy's."""
        places = self._places(call, addresses)
        self._start(call, places)
        if addresses is None:
            for array, at in zip(outputs, places["output"], strict=True):
                self.device.download(at, array, call.stream)
        self._held.keep(call.held, call.stream)

    def profile(self, *arrays: Any, calls: int = 30, rounds: int = 9) -> Profile:
        """Times whole calls, and each launch between two events.

        A launch's time has about two microseconds of the events' own in it.
        """
        latencies = []
        with self.device.activated():
            for number in range(calls + 2):
                stream = self._opened(arrays).stream
                start = time.perf_counter()
                self.run_flat(arrays)
                stream.synchronize()
                if number >= 2:
                    latencies.append((time.perf_counter() - start) * 1e3)
            try:
                times = self._timed(arrays, rounds)
            except self.device.failures as error:
                raise self._failure(error) from error
        return Profile(tuple(latencies), tuple(times))

    def close(self) -> None:
        super().close()
        self._graphs.clear()
        self._held.clear()

    def _opened(self, arrays: Sequence[Any]) -> _Call:
        """Checks the inputs and finds the stream.

        Raises:
            InputError: An input does not fit, or is on another GPU.
        """
        device = self.device
        inputs: list[Any] = []
        kinds: set[str] = set()
        for check, value in zip(self._inputs, arrays, strict=True):
            found = None
            if type(value) is not np.ndarray:
                found = device_array(value, check.tensor.name, device)
            if found is None:
                inputs.append(check(value))
                continue
            check.require(found)
            if found.number != device.id:
                self._refuse_device(check.tensor.name, found.number)
            kinds.add(found.kind)
            inputs.append(found)
        dims = self._bound(inputs) if self.plan.dims else []
        kind = next((each for each in KINDS if each in kinds), "numpy")
        stream = device.stream_of(kind)
        if kinds <= {"numpy", "cupy"} and not any(
            type(each) is DeviceArray and each.foreign for each in inputs
        ):
            return _Call(inputs, dims, kind, stream, [])
        there = [each for each in inputs if type(each) is DeviceArray]
        current = device.current_stream()
        if kinds - {kind} and stream.ptr != current.ptr:
            device.wait(stream, current)
        for each in there:
            if each.stream is not None and each.stream != stream.ptr:
                device.wait(stream, device.stream_at(each.stream))
        held = [each.owner for each in there if each.foreign or each.kind != kind]
        return _Call(inputs, dims, kind, stream, held)

    def _refuse_device(self, name: str, number: int) -> NoReturn:
        raise WrongDevice(
            f"input '{name}' of '{self.plan.name}' needs memory of {self.device}, but "
            f"it is on cuda:{number}; copy it, or load the program with "
            f"device='cuda:{number}'"
        )

    def _new_outputs(self, call: _Call) -> tuple[list[Any], list[int] | None]:
        """New outputs; their addresses if they are the GPU's."""
        if call.kind == "numpy":
            return [make(call.dims) for make in self._outputs], None
        shapes = self._shapes
        if self.plan.dims:
            shapes = [
                tuple(evaluate(size, call.dims) for size in tensor.shape)
                for tensor in self.plan.outputs
            ]
        return empty_outputs(call.kind, shapes, self._dtypes, self.device)

    def _places(
        self, call: _Call, outputs: list[int] | None
    ) -> dict[str, Sequence[int]]:
        """Addresses of inputs and outputs; what cannot be read in place is copied."""
        if outputs is None:
            count = len(self.plan.outputs)
            outputs = [self._staged("output", number) for number in range(count)]
        inputs = [
            self._placed(number, each, call.stream)
            for number, each in enumerate(call.inputs)
        ]
        return {"input": inputs, "output": outputs}

    def _placed(self, number: int, array: Any, stream: Any) -> int:
        device = self.device
        if type(array) is not DeviceArray:
            address = self._staged("input", number)
            device.upload(address, array, stream)
            return address
        if array.strides is None and array.address % ACCESS_BYTES == 0:
            return array.address
        address = self._staged("input", number)
        if array.strides is None:
            device.copy(address, array.address, array.nbytes, stream)
        else:
            size = array.dtype.itemsize
            where = (array.address, array.shape, array.strides, size)
            device.gather(address, *where, stream)
        return address

    def _staged(self, kind: str, number: int) -> int:
        """A buffer on the GPU for an input or output, large enough for every size."""
        address = self._staging.get((kind, number))
        if address is None:
            tensors = self.plan.inputs if kind == "input" else self.plan.outputs
            size_bytes = most_bytes(tensors[number], self.plan)
            address = self._staging[kind, number] = self._memory.allocate(size_bytes)
        return address

    def _start(self, call: _Call, places: dict[str, Sequence[int]]) -> None:
        """Queues the launches: as a graph, or one by one if there is none to keep."""
        key = (*call.dims, *places["input"], *places["output"])
        graph = self._graphs.find(key)
        if graph is None and self._graphs.admits(key):
            with self.device.capture() as captured:
                self._launch(call.dims, places)
            graph = captured.graph
            self._graphs.add(key, graph)
        if graph is not None:
            graph.launch(call.stream)
            return
        with call.stream:
            self._launch(call.dims, places)

    def _launch(self, dims: Sequence[int], places: dict[str, Sequence[int]]) -> None:
        """Queues the launches on CuPy's current stream."""
        for _, kernel, blocks, threads, arguments in self._prepared(dims, places):
            self.device.launch(kernel, blocks, threads, arguments)

    def _timed(self, arrays: Sequence[Any], rounds: int) -> list[KernelTime]:
        call = self._opened(arrays)
        outputs, addresses = self._new_outputs(call)
        device, stream = self.device, call.stream
        with self._lock, stream:
            self._check_open()
            self._order.enter(stream)
            prepared = list(
                self._prepared(call.dims, self._places(call, addresses)),
            )
            marks = []
            for _ in range(rounds):
                for launch in prepared:
                    start, end = device.event(timing=True), device.event(timing=True)
                    start.record(stream)
                    device.launch(*launch[1:])
                    end.record(stream)
                    marks.append((launch.number, start, end))
            self._order.leave(stream)
            stream.synchronize()
        del outputs  # the launches wrote them until here
        times: dict[int, list[float]] = {}
        for number, start, end in marks:
            times.setdefault(number, []).append(device.elapsed_us(start, end))
        return [
            KernelTime(
                number,
                (kernel := self.plan.kernels[self.plan.launches[number].kernel]).symbol,
                kernel.family,
                self.plan.launches[number].ops,
                percentile(found, 50),
                kernel.flops,
                kernel.bytes,
            )
            for number, found in times.items()
        ]

    def _failure(self, error: Exception) -> RuntimeFailure:
        return RuntimeFailure(
            f"'{self.plan.name}' needs a GPU that runs its kernels, but {self.device} "
            f"says {error}; after such an error start the process anew, and run the "
            "program with device='emulator' to find a fault of its own"
        )
