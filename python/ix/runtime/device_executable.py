"""A GPU program, ready to be called: a plan, PTX and constants on a device.

    executable(x, y)      arrays in, NumPy arrays out

The arena and the constants stay on the device between calls. Calls from several
threads run one after the other.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from ix.errors import RuntimeFailure
from ix.runtime.device import Device
from ix.runtime.executable import InputCheck, output_maker, refuse_count
from ix.runtime.plan import ALIGNMENT, COUNTER_BYTES, Launch, Plan
from ix.runtime.sizes import evaluate

__all__ = ["DeviceExecutable"]


class DeviceExecutable:
    """A compiled GPU program.

    Args:
        plan: What to run.
        objects: PTX and cubin of each of plan.kernels; a cubin may be empty.
        constants: One array for each of plan.constants, in order.
        device: Runs it.
    """

    def __init__(
        self,
        plan: Plan,
        objects: Sequence[bytes],
        constants: Sequence[np.ndarray[Any, Any]],
        device: Device,
    ) -> None:
        self.plan = plan
        self.objects = list(objects)
        self.constants = list(constants)
        self.device = device
        self._kernels = [
            device.load(kernel.symbol, objects[2 * n], objects[2 * n + 1])
            for n, kernel in enumerate(plan.kernels)
        ]
        self._inputs = [InputCheck(t, plan) for t in plan.inputs]
        self._outputs = [output_maker(t) for t in plan.outputs]
        self._lock = threading.Lock()
        self._closed = False
        self._arena = device.allocate(max(plan.arena_bytes, ALIGNMENT))
        self._scratch = device.allocate(max(plan.scratch_bytes, ALIGNMENT))
        counters = min(plan.scratch_bytes, COUNTER_BYTES)
        device.upload(self._scratch, np.zeros(counters, np.uint8))
        self._constants = [self._uploaded(array) for array in constants]

    def __call__(self, *arrays: Any) -> list[np.ndarray[Any, Any]]:
        """Runs the program; outputs come back as new arrays, in the plan's order."""
        return self.run_flat(arrays)

    def run_flat(self, arrays: Sequence[Any]) -> list[np.ndarray[Any, Any]]:
        """Runs the program on a sequence of inputs, in the plan's order.

        Raises:
            InputError: Count, dtype, rank or a size does not fit.
            RuntimeFailure: The executable is closed, or memory ran out.
        """
        if len(arrays) != len(self._inputs):
            refuse_count(self.plan, len(arrays))
        checked = [
            check(array) for check, array in zip(self._inputs, arrays, strict=True)
        ]
        sizes: dict[int, int] = {}
        for check, array in zip(self._inputs, checked, strict=True):
            check.bind(array, sizes)
        dims = [sizes[index] for index in range(len(self.plan.dims))]
        outputs = [make(dims) for make in self._outputs]
        with self._lock:
            if self._closed:
                raise RuntimeFailure(
                    f"'{self.plan.name}' needs an open executable, but it was closed; "
                    "compile or load it again"
                )
            self._run(checked, dims, outputs)
        return outputs

    def _run(
        self,
        inputs: Sequence[np.ndarray[Any, Any]],
        dims: Sequence[int],
        outputs: Sequence[np.ndarray[Any, Any]],
    ) -> None:
        device = self.device
        addresses: dict[str, list[int]] = {"constant": self._constants}
        taken: list[int] = []
        try:
            for kind, arrays in (("input", inputs), ("output", outputs)):
                addresses[kind] = []
                for array in arrays:
                    address = device.allocate(max(array.nbytes, ALIGNMENT))
                    taken.append(address)
                    addresses[kind].append(address)
                    if kind == "input":
                        device.upload(address, array)
            for launch in self.plan.launches:
                self._launch(launch, dims, addresses)
            for array, address in zip(outputs, addresses["output"], strict=True):
                device.download(address, array)
        finally:
            for address in taken:
                device.free(address)

    def _launch(
        self, launch: Launch, dims: Sequence[int], addresses: dict[str, list[int]]
    ) -> None:
        kernel = self.plan.kernels[launch.kernel]
        sizes = [evaluate(size, dims) for size in launch.sizes]
        blocks = evaluate(kernel.blocks, sizes)
        if blocks <= 0:  # an empty tensor: there is nothing to compute
            return
        pointers = [
            self._arena + number if kind == "arena" else addresses[kind][number]
            for kind, number in launch.arguments
        ]
        arguments = [struct.pack("<Q", p) for p in [*pointers, self._scratch]]
        arguments += [struct.pack("<q", size) for size in sizes]
        self.device.launch(
            self._kernels[launch.kernel], blocks, kernel.threads, arguments
        )

    def explain(self) -> str:
        """The kernels, their work, the memory, and why ops were fused or not."""
        from ix.runtime.explain import explain

        return explain(self.plan, self.memory_bytes)

    def save(self, path: Any) -> None:
        """Writes the executable to a file that `ix.load` reads."""
        from ix.runtime.artifact import save

        save(self, path)

    def close(self) -> None:
        """Frees the device's memory; a later call raises RuntimeFailure."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for address in (self._arena, self._scratch, *self._constants):
                self.device.free(address)

    @property
    def memory_bytes(self) -> dict[str, int]:
        """Bytes on the device beyond inputs and outputs, by kind."""
        return {
            "constants": sum(c.nbytes for c in self.constants),
            "arena": self.plan.arena_bytes,
            "scratch": self.plan.scratch_bytes,
        }

    def _uploaded(self, array: np.ndarray[Any, Any]) -> int:
        address = self.device.allocate(max(array.nbytes, ALIGNMENT))
        self.device.upload(address, np.ascontiguousarray(array))
        return address
