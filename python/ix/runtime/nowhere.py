"""The device "none": programs are compiled, saved and explained, but not run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from ix.errors import NoDevice
from ix.runtime.tensor_map import TensorMap

__all__ = ["Nowhere"]


class Nowhere:
    """Takes everything and runs nothing; see `ix.runtime.device.Device`."""

    def allocate(self, size_bytes: int) -> int:
        return 0

    def free(self, address: int) -> None:
        """Nothing was taken."""

    def upload(self, address: int, array: np.ndarray[Any, Any]) -> None:
        """Nobody is going to read it."""

    def download(self, address: int, array: np.ndarray[Any, Any]) -> NoReturn:
        raise _refusal()

    def load(
        self, symbol: str, ptx: bytes, cubin: bytes, dynamic_shared_bytes: int = 0
    ) -> str:
        return symbol

    def launch(
        self,
        kernel: Any,
        blocks: int,
        threads: int,
        arguments: Sequence[bytes],
        sources: Sequence[str] = (),
    ) -> NoReturn:
        raise _refusal()

    def tensor_map(self, description: TensorMap) -> bytes:
        return description.to_bytes()

    def synchronize(self) -> None:
        """Nothing was started."""


def _refusal() -> NoDevice:
    return NoDevice(
        "a GPU program needs a device to run on, but it was opened for the device "
        "'none'; open it for 'cuda' or 'emulator'"
    )
