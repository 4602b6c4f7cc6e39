"""The emulator as a device that runs compiled GPU programs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ix.emulator import Counters, Emulator
from ix.emulator.errors import EmulatorError
from ix.emulator.syntax import Module
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

    def load(
        self, symbol: str, ptx: bytes, cubin: bytes, dynamic_shared_bytes: int = 0
    ) -> Any:
        return self.emulator.load(ptx.decode()), symbol, dynamic_shared_bytes

    def launch(
        self,
        kernel: Any,
        blocks: int,
        threads: int,
        arguments: Sequence[bytes],
        sources: Sequence[str] = (),
    ) -> Counters:
        """Runs a kernel; see `Device`.

        Raises:
            EmulatorError: What is wrong with the kernel or the launch; the message
                names the op of the model that the PTX comes from, by `sources`.
        """
        module, symbol, shared = kernel
        try:
            counters = self.emulator.launch(
                module, symbol, (blocks, 1, 1), (threads, 1, 1), arguments, shared
            )
        except EmulatorError as error:
            text = _with_lines(str(error), module.module)
            error.args = (_with_sources(text, sources),)
            raise
        self.launches.append((symbol, counters))
        return counters

    def tensor_map(self, description: TensorMap) -> bytes:
        return description.to_bytes()

    def synchronize(self) -> None:
        """Nothing is left to wait for: a launch returns when it is done."""


_LINE = re.compile(r"\bop:(\d+):\d+")
"""How an error names a line of `.file 1 "op"`: the number of an op of the kernel."""


_OTHER_LINE = re.compile(r"\bat line (\d+) `[^`]*`")
"""How an error names an instruction beside the one at fault."""


def _with_lines(message: str, module: Module) -> str:
    """An error's message with what `.loc` says of the other lines that it names."""
    places = {
        instruction.line: instruction.location
        for function in module.functions.values()
        for instruction in function.instructions
    }

    def located(match: re.Match[str]) -> str:
        place = places.get(int(match[1]))
        return match[0] if place is None else f"{match[0]} (from {place})"

    return _OTHER_LINE.sub(located, message)


def _with_sources(message: str, sources: Sequence[str]) -> str:
    """An error's message with ops of the model in place of their numbers."""
    if not sources:
        return message

    def named(match: re.Match[str]) -> str:
        number = int(match[1])
        if 0 < number <= len(sources):
            return sources[number - 1]
        return f"no single op of {whole}"

    whole = ", ".join(dict.fromkeys(sources))
    if _LINE.search(message) is None:
        return f"{message} (the kernel computes {whole})"
    return _LINE.sub(named, message)
