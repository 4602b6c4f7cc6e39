"""Streams, events and graphs of a GPU that does not exist.

Work is queued, and runs when somebody waits for it: the queues advance in a random
order, as far as events allow. So a wait that is missing shows in the results.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

Work = Callable[[], None]


class FakeError(RuntimeError):
    """What CuPy raises when a call of CUDA fails."""


class Timeline:
    """The queues of all streams.

    calls: what was called, in order: (name, facts…).
    lazy: The queue that is waited for goes first, the others only as it needs them.
    """

    lazy = False

    def __init__(self, seed: int = 0) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.random = random.Random(seed)
        self.streams: dict[int, Queue] = {}

    def queue(self, pointer: int) -> Queue:
        return self.streams.setdefault(pointer, Queue())

    def new_stream(self) -> int:
        pointer = 0x5000 + 0x10 * len(self.streams)
        self.queue(pointer)
        return pointer

    def run_until(self, queue: Queue, count: int) -> None:
        """Lets queues advance until one has done so many of its works."""
        while queue.done < count:
            ready = [q for q in self.streams.values() if q.is_ready()]
            assert ready, "streams wait for each other"
            first = self.lazy and queue in ready
            (queue if first else self.random.choice(ready)).step()

    def synchronize(self) -> None:
        for queue in list(self.streams.values()):
            self.run_until(queue, queue.queued)


class Queue:
    """A stream's work."""

    def __init__(self) -> None:
        self.waiting: deque[Work | Mark] = deque()
        self.queued = self.done = 0
        self.captured: list[Work] | None = None

    def add(self, work: Work | Mark) -> None:
        if self.captured is not None:
            if isinstance(work, Mark):
                raise FakeError("cudaErrorStreamCaptureIsolation")
            self.captured.append(work)
            return
        self.waiting.append(work)
        self.queued += 1

    def is_ready(self) -> bool:
        if not self.waiting:
            return False
        first = self.waiting[0]
        return not isinstance(first, Mark) or first.is_reached

    def step(self) -> None:
        work = self.waiting.popleft()
        self.done += 1
        if not isinstance(work, Mark):
            work()


class Mark:
    """A place in a queue."""

    def __init__(self, queue: Queue) -> None:
        self.queue, self.count = queue, queue.queued

    @property
    def is_reached(self) -> bool:
        return self.queue.done >= self.count


class Event:
    """cupy.cuda.Event."""

    timeline: Timeline

    def __init__(self, block: bool = False, disable_timing: bool = False) -> None:
        self.mark: Mark | None = None
        self.timing = not disable_timing

    def record(self, stream: Any = None) -> None:
        self.timeline.calls.append(("record", stream.ptr))
        self.mark = Mark(self.timeline.queue(stream.ptr))

    @property
    def done(self) -> bool:
        return self.mark is None or self.mark.is_reached

    def synchronize(self) -> None:
        if self.mark is not None:
            self.timeline.run_until(self.mark.queue, self.mark.count)


class Graph:
    """cupy.cuda.Graph: the works that a capture saw."""

    def __init__(self, timeline: Timeline, works: list[Work]) -> None:
        self.timeline, self.works = timeline, works

    def launch(self, stream: Any = None) -> None:
        self.timeline.calls.append(("graph", len(self.works), stream.ptr))
        queue = self.timeline.queue(stream.ptr)
        for work in self.works:
            queue.add(work)


class Stream:
    """cupy.cuda.Stream; each thread has a current one."""

    timeline: Timeline
    null: Stream
    local: threading.local

    def __init__(self, null: bool = False, non_blocking: bool = False) -> None:
        self.ptr = 0 if null else self.timeline.new_stream()
        self.timeline.queue(self.ptr)

    @classmethod
    def from_external(cls, value: Any) -> Stream:
        stream = cls.__new__(cls)
        version, stream.ptr = value.__cuda_stream__()
        assert version == 0
        return stream

    @classmethod
    def get_current(cls) -> Stream:
        stack: list[Stream] = getattr(cls.local, "stack", [])
        return stack[-1] if stack else cls.null

    def __enter__(self) -> Stream:
        self.local.stack = [*getattr(self.local, "stack", []), self]
        return self

    def __exit__(self, *_: object) -> None:
        assert self.local.stack.pop() is self

    def synchronize(self) -> None:
        self.timeline.calls.append(("synchronize", self.ptr))
        queue = self.timeline.queue(self.ptr)
        self.timeline.run_until(queue, queue.queued)

    def wait_event(self, event: Event) -> None:
        self.timeline.calls.append(("wait", self.ptr))
        if event.mark is not None:
            self.timeline.queue(self.ptr).add(event.mark)

    def begin_capture(self) -> None:
        if self.ptr in (0, 1):
            raise RuntimeError("cannot capture on the default (legacy) stream")
        queue = self.timeline.queue(self.ptr)
        assert queue.captured is None
        self.timeline.calls.append(("capture",))
        queue.captured = []

    def end_capture(self) -> Graph:
        queue = self.timeline.queue(self.ptr)
        works, queue.captured = queue.captured, None
        assert works is not None
        return Graph(self.timeline, works)
