"""What a step may ask the scheduler for, instead of letting its threads go on."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ix.emulator.batch import Active, Array, Batch

if TYPE_CHECKING:
    from ix.emulator.kernel_code import KernelCode
    from ix.emulator.syntax import Instruction

__all__ = ["Compile", "Exit", "Hold", "Jump", "Outcome", "Step", "Wait"]


@dataclass(frozen=True, slots=True)
class Wait:
    """Some of the active threads wait, each until `scheduler.wake(event)` of its event.

    events:  (event, bool over the threads of the batch: who waits for it); an event is
             a tuple of words that name it, as it is printed when threads deadlock
    retry:   execute the instruction again when woken; else go on behind it
    """

    events: Sequence[tuple[Hashable, Array]]
    retry: bool


@dataclass(frozen=True, slots=True)
class Hold:
    """Some threads stand at the instruction until others of their warp join them.

    mask:     bool over the threads: who stands; the other active ones try again at once
    missing:  bool over the threads: for whom they wait
    """

    mask: Array
    missing: Array


@dataclass(frozen=True, slots=True)
class Jump:
    """The active threads go on at these instruction indices, (count,)."""

    targets: Array


@dataclass(frozen=True, slots=True)
class Exit:
    """The active threads end."""


Outcome = Wait | Hold | Jump | Exit
Step = Callable[[Batch, Active], Outcome | None]
Compile = Callable[["Instruction", "KernelCode"], Step]
