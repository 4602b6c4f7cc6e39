"""The devices that run the kernels of a GPU program.

emulator     NumPy runs the PTX itself, and checks every access
cuda         a GPU, through CuPy; cuda:1 is the second one
none         nothing: programs are only compiled, saved and explained
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from ix.errors import InputError
from ix.runtime.tensor_map import TensorMap

__all__ = ["DEVICES", "Device", "open_device"]

DEVICES = ("cuda", "emulator")

_CUDA = re.compile(r"cuda(?::(?P<id>\d{1,4}))?")


class Device(Protocol):
    """Memory, and launches on it. Addresses are plain integers."""

    def allocate(self, size_bytes: int) -> int:
        """Memory of so many bytes at a multiple of 256; its contents are undefined.

        Raises:
            RuntimeFailure: There is not so much left.
        """

    def free(self, address: int) -> None:
        """Gives memory back."""

    def upload(self, address: int, array: np.ndarray[Any, Any]) -> None:
        """Copies a contiguous array to memory."""

    def download(self, address: int, array: np.ndarray[Any, Any]) -> None:
        """Fills a contiguous array from memory, once all before it is done."""

    def load(
        self, symbol: str, ptx: bytes, cubin: bytes, dynamic_shared_bytes: int = 0
    ) -> Any:
        """Makes a kernel callable; an empty cubin is none.

        Args:
            dynamic_shared_bytes: What each launch gives a block beside the arrays that
                the kernel declares.

        Raises:
            RuntimeFailure: The device cannot run the code.
        """

    def launch(
        self,
        kernel: Any,
        blocks: int,
        threads: int,
        arguments: Sequence[bytes],
        sources: Sequence[str] = (),
    ) -> Any:
        """Runs a kernel on a grid of one axis; arguments are the parameters' bytes.

        Args:
            sources: What op n of the kernel is in the model, for errors; see
                `ix.runtime.plan.Launch`.

        Returns:
            What the device counted (`ix.emulator.Counters`), or None.
        """

    def tensor_map(self, description: TensorMap) -> bytes:
        """The 128 bytes of a tensor map that a kernel takes by value.

        Raises:
            RuntimeFailure: The device has no such maps, or refuses this one.
        """

    def synchronize(self) -> None:
        """Waits until everything that was started is done."""


def open_device(name: str, target: str) -> Device:
    """A device by its name.

    Args:
        name: One of `DEVICES`, "cuda:" and a GPU's number, or "none".
        target: The GPU that programs are compiled for.

    Raises:
        InputError: There is no such device.
        RuntimeFailure: The device is not there.
    """
    if name == "emulator":
        from ix.emulator.device import EmulatorDevice

        return EmulatorDevice(target)
    if name == "none":
        from ix.runtime.nowhere import Nowhere

        return Nowhere()
    found = _CUDA.fullmatch(name)
    if found is not None:
        from ix.runtime.cuda import CudaDevice

        return CudaDevice(int(found["id"] or 0))
    raise InputError(
        f"a GPU program needs one of the devices {', '.join(DEVICES)}, cuda:1, …, but "
        f"got {name!r}; pass one of them"
    )
