"""Runs the threads of a batch: which go next, and who waits for what.

Threads at the lowest instruction go first, all together, until they meet the next
group, diverge or wait; so threads that diverged come together again where their paths
join. Waiting is real: a thread that waits is not runnable until its event is woken.

Two orders: in lock step, every runnable thread at the lowest instruction; with a seed,
a random half of the warps, for a random number of steps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable

import numpy as np

from ix.emulator.batch import WARP, Active, Array, Batch
from ix.emulator.deadlock import deadlock_message, missing_message
from ix.emulator.errors import (
    DeadlockError,
    DivergenceError,
    KernelFault,
    StepLimitError,
)
from ix.emulator.kernel_code import Compiled
from ix.emulator.outcome import Exit, Hold, Jump, Outcome, Wait

__all__ = ["Scheduler"]

_NEVER = 1 << 60
_QUANTUM = 20_000  # steps that a group may take while others could run


class Scheduler:
    """The state of all threads of a batch.

    Attributes:
        pcs: The instruction that each thread stands at.
        exited: Which threads have ended (padding from the start).
        blocked: Which threads wait for an event.
        steps: How many instructions were executed, one count for all threads together.
        on_exit: Called with the mask of threads that have just ended.
        on_idle: Called when no thread can run; True if that made something happen.
    """

    def __init__(
        self, batch: Batch, start: int, seed: int | None, step_limit: int
    ) -> None:
        self.batch = batch
        self.code = batch.kernel.code
        threads = batch.threads
        self.pcs = np.full(threads, start, np.int64)
        in_cta = np.arange(threads) % batch.cta_threads
        self.exited = in_cta >= batch.launch.block_threads
        self.blocked = np.zeros(threads, np.bool_)
        self.held = np.zeros(threads, np.bool_)
        self.live_count = int(threads - np.count_nonzero(self.exited))
        self.steps = 0
        self.step_limit = step_limit
        self.random = None if seed is None else np.random.default_rng(seed)
        self.waiting: dict[Hashable, list[Array]] = defaultdict(list)
        self.on_exit: list[Callable[[Array], None]] = []
        self.on_idle: list[Callable[[], bool]] = []
        self.woken = False
        self._missing: Array | None = None
        self._resting: Array | None = None

    # What instructions use

    def wake(self, event: Hashable) -> None:
        """Lets all threads that wait for an event run again."""
        for mask in self.waiting.pop(event, ()):
            self.blocked &= ~mask
            self.woken = True

    # The loop

    def run(self) -> None:
        """Runs until every thread has exited.

        Raises:
            KernelFault: What the kernel did wrong.
        """
        with np.errstate(all="ignore"):
            while self.live_count:
                runnable = ~(self.exited | self.blocked)
                ready = runnable & ~self.held if self.held.any() else runnable
                if ready.any():
                    self._run_some(runnable, ready)
                elif not self._is_helped():
                    raise self._stuck()

    def _is_helped(self) -> bool:
        """Whether something asynchronous could still happen, and did."""
        return any([hook() for hook in self.on_idle])

    def _stuck(self) -> KernelFault:
        if self.held.any():
            thread = int(np.argmax(self.held))
            self.batch.pc = int(self.pcs[thread])
            assert self._missing is not None
            return self.batch.error(
                DivergenceError, missing_message(self, self._missing), thread
            )
        thread = int(np.argmax(~self.exited))
        self.batch.pc = int(self.pcs[thread])
        return self.batch.error(DeadlockError, deadlock_message(self), thread)

    def _run_some(self, runnable: Array, ready: Array) -> None:
        """Chooses a group of the threads that are ready, and runs it."""
        quantum = _QUANTUM
        if self.random is not None:
            ready = self._some_warps(ready)
            quantum = int(self.random.integers(1, 64))
        pcs = self.pcs
        ready = self._rotated(ready)
        pc = int(pcs.min() if ready.all() else pcs[ready].min())
        # The warps of a warpgroup come together, whoever of them was chosen.
        meets = self.code[pc].aligned > WARP
        mask = (runnable if meets else ready) & (pcs == pc)
        count = int(np.count_nonzero(mask))
        others = pcs[runnable & ~mask] if count < len(mask) else pcs[:0]
        ahead = others[others > pc]
        limit = int(ahead.min()) if ahead.size else _NEVER
        is_alone = not (others.size or self.blocked.any())
        stop = self.step_limit + 1 if is_alone else self.steps + quantum
        whole = None if count == len(mask) else mask
        active = Active(len(mask), whole, count, count == self.live_count)
        before = self.steps
        self._run_group(active, pc, limit, stop)
        if self.steps > before:
            self.held[:] = False
        if self.steps > self.step_limit:
            raise self.batch.error(
                StepLimitError,
                f"needs to end within {self.step_limit} steps, but it goes on; look "
                "for a loop that waits for another CTA or never ends",
                int(np.argmax(~self.exited)),
            )

    def _rotated(self, ready: Array) -> Array:
        """The threads that are ready, without those that have just run for long."""
        resting, self._resting = self._resting, None
        if resting is None:
            return ready
        others = ready & ~resting
        return others if others.any() else ready

    def _some_warps(self, ready: Array) -> Array:
        """A random half of the warps that can run."""
        assert self.random is not None
        warps = np.asarray(ready.reshape(-1, WARP).any(1))
        chosen = warps & (self.random.random(len(warps)) < 0.5)
        if not chosen.any():
            able = np.flatnonzero(warps)
            chosen[self.random.choice(able)] = True
        return ready & np.repeat(chosen, WARP)

    def _run_group(self, active: Active, pc: int, limit: int, stop: int) -> None:
        """Runs threads that stand together until they part, wait or meet others."""
        batch, code, counter = self.batch, self.code, self.batch.counter
        warps, threads = counter.warps, counter.threads
        self.woken = False
        while True:
            compiled = code[pc]
            batch.pc = pc
            current: Active | None = active
            if compiled.predicate >= 0:
                current = self._predicated(compiled, active)
            if compiled.aligned > 1 and current is not None:
                held = self._unaligned(compiled.aligned, current, active)
                if held is not None:
                    self._hold(held, active, pc)
                    return
                batch.race.meet_in_passing(current)
            self.steps += 1
            warps[pc] += active.warp_count
            if current is None:
                pc += 1
            elif compiled.target >= 0:
                threads[pc] += current.count
                if current is not active:
                    self._diverge(active, current, compiled.target, pc)
                    return
                pc = compiled.target
            else:
                assert compiled.step is not None
                threads[pc] += current.count
                stop -= compiled.patience
                outcome = compiled.step(batch, current)
                if outcome is not None:
                    self._settle(outcome, active, current, pc)
                    return
                pc += 1
            if pc >= limit or self.steps >= stop or self.woken:
                self._leave(active, pc, self.steps >= stop)
                return

    def _leave(self, active: Active, pc: int, has_run_long: bool) -> None:
        """Stops a group before an instruction, for others to run."""
        self._go(active, pc)
        if self.random is None and has_run_long:
            self._resting = active.full_mask

    def _go(self, active: Active, pc: int) -> None:
        if active.mask is None:
            self.pcs[:] = pc
        else:
            self.pcs[active.mask] = pc

    def _predicated(self, compiled: Compiled, active: Active) -> Active | None:
        """The active threads whose predicate holds; None if it holds for none."""
        value = self.batch.registers[compiled.predicate]
        if value.ndim == 0:
            return active if bool(value) != compiled.negated else None
        chosen = ~value if compiled.negated else value
        mask = chosen if active.mask is None else chosen & active.mask
        count = int(np.count_nonzero(mask))
        if count == active.count:
            return active
        if count == 0:
            return None
        return Active(len(mask), mask, count, False)

    def _diverge(self, active: Active, taken: Active, target: int, pc: int) -> None:
        self._go(active, pc + 1)
        self.pcs[taken.mask] = target
        rest = active.by_warp & ~taken.by_warp
        split = int(np.count_nonzero(rest.any(1) & taken.warp_mask))
        self.batch.counter.add(pc, "divergent_branches", split)

    def _settle(
        self, outcome: Outcome, active: Active, current: Active, pc: int
    ) -> None:
        """Does what a step asks for; the group then chooses anew."""
        if isinstance(outcome, Hold):
            self.batch.counter.warps[pc] -= active.warp_count
            self.batch.counter.threads[pc] -= current.count
            self.steps -= 1
            self._hold(outcome, active, pc)
            return
        self._go(active, pc + 1)
        if isinstance(outcome, Wait):
            for event, mask in outcome.events:
                self.blocked |= mask
                self.waiting[event].append(mask)
                if outcome.retry:
                    self.pcs[mask] = pc
        elif isinstance(outcome, Jump):
            self.pcs[current.lanes] = outcome.targets
            self._count_divergence(current, pc)
        elif isinstance(outcome, Exit):
            self.exit(current.full_mask)

    def _count_divergence(self, active: Active, pc: int) -> None:
        """Counts the warps whose active threads do not go to one instruction."""
        targets = np.where(active.full_mask, self.pcs, -1).reshape(-1, WARP)
        lowest = np.where(active.by_warp, targets, len(self.code)).min(1)
        split = np.asarray(targets.max(1) > lowest) & active.warp_mask
        if split.any():
            count = int(np.count_nonzero(split))
            self.batch.counter.add(pc, "divergent_branches", count)

    def exit(self, mask: Array) -> None:
        """Ends threads."""
        self.exited = self.exited | mask
        self.live_count = int(len(mask) - np.count_nonzero(self.exited))
        for hook in self.on_exit:
            hook(mask)

    def _hold(self, hold: Hold, active: Active, pc: int) -> None:
        self._go(active, pc)
        self.held |= hold.mask
        self._missing = hold.missing

    def _unaligned(self, group: int, current: Active, active: Active) -> Hold | None:
        """Checks that whole warps or warpgroups execute an aligned instruction.

        Raises:
            DivergenceError: A predicate excludes some of the threads, or they exited.
        """
        if current.mask is None or group in current.whole:
            return None
        group = min(group, self.batch.cta_threads)
        if self.batch.cta_threads % group:
            return None  # no warpgroup is whole: the instruction says so
        mask = current.mask.reshape(-1, group)
        touched = np.asarray(mask.any(1))
        missing = ~mask & touched[:, None]
        if not missing.any():
            current.whole.add(group)
            return None
        missing = missing.reshape(-1)
        excluded = missing & active.full_mask
        if excluded.any():
            raise self.batch.error(
                DivergenceError,
                f"needs all {group} threads of a {_group_name(group)}, but its "
                "predicate excludes some of them; branch around it by whole warps",
                int(np.argmax(excluded)),
            )
        absent = missing & ~self.exited
        if not absent.any():
            return None
        split = np.asarray(absent.reshape(-1, group).any(1))
        return Hold((mask & split[:, None]).reshape(-1), absent)


def _group_name(group: int) -> str:
    return "warp" if group == WARP else "warpgroup"
