"""What keeps calls on several streams apart: their order, and the memory they read."""

from __future__ import annotations

from collections import deque
from typing import Any

from ix.runtime.cuda import CudaDevice

__all__ = ["HeldInputs", "StreamOrder"]


class StreamOrder:
    """Makes calls on different streams wait for each other: they share the arena."""

    def __init__(self, device: CudaDevice) -> None:
        self._event = device.event()

    def enter(self, stream: Any) -> None:
        """What is queued on the stream from now on waits for the call before.

        That is so on the same stream, too: its handle may be that of a new stream.
        """
        stream.wait_event(self._event)

    def leave(self, stream: Any) -> None:
        """What the stream has by now is a call that the next one waits for."""
        self._event.record(stream)

    def settle(self) -> None:
        """Waits for the last call."""
        self._event.synchronize()


class HeldInputs:
    """Inputs whose allocators might give their memory out while a call still reads it.

    They are kept until the call is done, as seen by one of the next calls.
    """

    def __init__(self, device: CudaDevice) -> None:
        self._device = device
        self._calls: deque[tuple[Any, list[Any]]] = deque()

    def keep(self, owners: list[Any], stream: Any) -> None:
        """Keeps the inputs of a call that is queued on a stream."""
        while self._calls and self._calls[0][0].done:
            self._calls.popleft()
        if owners:
            event = self._device.event()
            event.record(stream)
            self._calls.append((event, owners))

    def clear(self) -> None:
        """Lets go of everything, once it is done."""
        self._calls.clear()
