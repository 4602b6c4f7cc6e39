"""The emulator as a device that runs compiled GPU programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ix.emulator import Counters, Emulator
from ix.runtime.tensor_map import TensorMap

__all__ = ["EmulatorDevice"]


class EmulatorDevice:
    """Runs PTX in NumPy; see `ix.runtime.device.Device`.

    Args:
        target: The GPU to stand for.
        options: What else `Emulator` takes.

    Attributes:
        emulator: Its memory, and what it counts.
        launches: (kernel's symbol, counters) of every launch so far, in order.
    """

    def __init__(self, target: str = "sm_90a", **options: Any) -> None:
        self.emulator = Emulator(target, **options)
        self.launches: list[tuple[str, Any]] = []

    def allocate(self, size_bytes: int) -> int:
        return self.emulator.alloc(size_bytes)

    def free(self, address: int) -> None:
        self.emulator.free(address)

    def upload(self, address: int, array: np.ndarray[Any, Any]) -> None:
        self.emulator.write(address, array)

    def download(self, address: int, array: np.ndarray[Any, Any]) -> None:
        found = self.emulator.read(address, np.dtype(np.uint8), array.nbytes)
        array.reshape(-1).view(np.uint8)[:] = found

    def load(self, symbol: str, ptx: bytes, cubin: bytes) -> Any:
        return self.emulator.load(ptx.decode()), symbol

    def launch(
        self, kernel: Any, blocks: int, threads: int, arguments: Sequence[bytes]
    ) -> Counters:
        module, symbol = kernel
        counters = self.emulator.launch(
            module, symbol, (blocks, 1, 1), (threads, 1, 1), arguments
        )
        self.launches.append((symbol, counters))
        return counters

    def tensor_map(self, description: TensorMap) -> bytes:
        return description.to_bytes()

    def synchronize(self) -> None:
        """Nothing is left to wait for: a launch returns when it is done."""
