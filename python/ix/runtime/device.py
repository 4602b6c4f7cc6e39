"""The devices that run the kernels of a GPU program.

emulator     NumPy runs the PTX itself, and checks every access
cuda         a GPU, through CuPy
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from ix.errors import InputError

__all__ = ["DEVICES", "Device", "open_device"]

DEVICES = ("cuda", "emulator")


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
        """Fills a contiguous array from memory."""

    def load(self, symbol: str, ptx: bytes, cubin: bytes) -> Any:
        """Makes a kernel callable; an empty cubin is none.

        Raises:
            RuntimeFailure: The device cannot run the code.
        """

    def launch(
        self, kernel: Any, blocks: int, threads: int, arguments: Sequence[bytes]
    ) -> None:
        """Runs a kernel on a grid of one axis; arguments are the parameters' bytes."""


def open_device(name: str, target: str) -> Device:
    """A device by its name.

    Args:
        name: One of `DEVICES`.
        target: The GPU that programs are compiled for.

    Raises:
        InputError: There is no such device.
        RuntimeFailure: The device is not there.
    """
    if name == "emulator":
        from ix.emulator.device import EmulatorDevice

        return EmulatorDevice(target)
    if name == "cuda":
        from ix.runtime.cuda import CudaDevice

        return CudaDevice()
    raise InputError(
        f"a GPU program needs one of the devices {', '.join(DEVICES)}, but got {name!r}"
    )
