"""A GPU program, ready to be called: a plan, PTX and constants on a device.

    executable(x, y)      arrays in, NumPy arrays out

The arena and the constants stay on the device between calls. Calls from several
threads run one after the other.
"""

from __future__ import annotations

import struct
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ix.runtime.device import Device
from ix.runtime.executable import Executable
from ix.runtime.launch_counts import CountedProfile, KernelCounts
from ix.runtime.plan import ALIGNMENT, COUNTER_BYTES, Plan
from ix.runtime.sizes import evaluate

__all__ = ["DeviceExecutable", "PreparedLaunch"]

Array = np.ndarray[Any, Any]


class PreparedLaunch(NamedTuple):
    """A launch with its addresses and sizes filled in.

    number: Of the launch in the plan.
    kernel: What the device made of its code.
    """

    number: int
    kernel: Any
    blocks: int
    threads: int
    arguments: list[bytes]


class DeviceMemory:
    """Allocations that live as long as an executable, and are freed once.

    Attributes:
        settle: Waits until nothing uses them any more.
    """

    settle: Callable[[], None]

    def __init__(self, device: Device) -> None:
        self.device = device
        self.settle = device.synchronize
        self._addresses: list[int] = []

    def allocate(self, size_bytes: int) -> int:
        """Memory of so many bytes, of one byte at least.

        Raises:
            RuntimeFailure: There is not so much left.
        """
        address = self.device.allocate(max(size_bytes, ALIGNMENT))
        self._addresses.append(address)
        return address

    def uploaded(self, array: Array) -> int:
        """Memory that holds a copy of an array."""
        address = self.allocate(array.nbytes)
        self.device.upload(address, np.ascontiguousarray(array))
        return address

    def release(self) -> None:
        """Frees everything, once the device has done with it."""
        addresses, self._addresses = self._addresses, []
        if addresses:
            self.settle()
        for address in addresses:
            self.device.free(address)


class DeviceExecutable(Executable):
    """A program compiled for a GPU.

    Args:
        plan: What to run.
        objects: PTX and cubin of each of plan.kernels; a cubin may be empty.
        constants: One array for each of plan.constants, in order.
        device: Runs it.

    Raises:
        RuntimeFailure: The device cannot run the code, or has too little memory.
    """

    def __init__(
        self,
        plan: Plan,
        objects: Sequence[bytes],
        constants: Sequence[Array],
        device: Device,
    ) -> None:
        super().__init__(plan, objects, constants)
        self.device = device
        self._lock = threading.Lock()
        self._kernels = [
            device.load(
                kernel.symbol,
                objects[2 * n],
                objects[2 * n + 1],
                kernel.dynamic_shared_bytes,
            )
            for n, kernel in enumerate(plan.kernels)
        ]
        self._memory = DeviceMemory(device)
        finalizer = weakref.finalize(self, self._memory.release)
        finalizer.atexit = False  # the device may be gone by then
        self._arena = self._memory.allocate(plan.arena_bytes)
        self._scratch = self._memory.allocate(plan.scratch_bytes)
        counters = min(plan.scratch_bytes, COUNTER_BYTES)
        device.upload(self._scratch, np.zeros(counters, np.uint8))
        self._constants = [self._memory.uploaded(array) for array in constants]

    def run_flat(self, arrays: Sequence[Any]) -> list[Any]:
        inputs, dims, outputs = self._arguments(arrays)
        with self._lock:
            self._check_open()
            self._run(inputs, dims, outputs)
        return outputs

    def profile(self, *arrays: Any, calls: int = 30) -> Any:
        """Counts what each launch does, where the device counts: on the emulator.

        One call is enough, for its counts are exact.
        """
        inputs, dims, outputs = self._arguments(arrays)
        with self._lock:
            self._check_open()
            counted = self._run(inputs, dims, outputs)
        launches = self.plan.launches
        return CountedProfile(
            tuple(
                KernelCounts(
                    number,
                    self.plan.kernels[launches[number].kernel],
                    launches[number].ops,
                    counts.as_dict(),
                )
                for number, counts in counted
                if counts is not None
            )
        )

    def close(self) -> None:
        with self._lock:
            if not self._closed:
                self._closed = True
                self._memory.release()

    @property
    def memory_bytes(self) -> dict[str, int]:
        return {
            "constants": sum(c.nbytes for c in self.constants),
            "arena": self.plan.arena_bytes,
            "scratch": self.plan.scratch_bytes,
        }

    def _arguments(
        self, arrays: Sequence[Any]
    ) -> tuple[list[Array], list[int], list[Array]]:
        """Checked inputs, sizes of the dimensions, and new outputs."""
        if len(arrays) != len(self._inputs):
            self._refuse_count(len(arrays))
        inputs = [
            check(array) for check, array in zip(self._inputs, arrays, strict=True)
        ]
        dims = self._bound(inputs)
        return inputs, dims, [make(dims) for make in self._outputs]

    def _run(
        self, inputs: Sequence[Array], dims: Sequence[int], outputs: Sequence[Array]
    ) -> list[tuple[int, Any]]:
        """Runs every launch; their numbers and what the device counted."""
        device = self.device
        memory = DeviceMemory(device)
        try:
            addresses = {
                "input": [memory.uploaded(array) for array in inputs],
                "output": [memory.allocate(array.nbytes) for array in outputs],
            }
            counted = [
                (
                    launch.number,
                    device.launch(
                        launch.kernel,
                        launch.blocks,
                        launch.threads,
                        launch.arguments,
                        self.plan.launches[launch.number].sources,
                    ),
                )
                for launch in self._prepared(dims, addresses)
            ]
            for array, address in zip(outputs, addresses["output"], strict=True):
                device.download(address, array)
        finally:
            memory.release()
        return counted

    def _prepared(
        self, dims: Sequence[int], addresses: Mapping[str, Sequence[int]]
    ) -> Iterator[PreparedLaunch]:
        """The launches in order, for addresses of the "input"s and "output"s.

        A launch without blocks is left out: its tensors are empty.
        """
        places = {**addresses, "constant": self._constants}
        for number, launch in enumerate(self.plan.launches):
            kernel = self.plan.kernels[launch.kernel]
            sizes = [evaluate(size, dims) for size in launch.sizes]
            blocks = evaluate(kernel.blocks, sizes)
            if blocks <= 0:
                continue
            pointers = [
                self._arena + at if kind == "arena" else places[kind][at]
                for kind, at in launch.arguments
            ]
            arguments = [struct.pack("<Q", p) for p in [*pointers, self._scratch]]
            arguments += [struct.pack("<q", size) for size in sizes]
            yield PreparedLaunch(
                number, self._kernels[launch.kernel], blocks, kernel.threads, arguments
            )
