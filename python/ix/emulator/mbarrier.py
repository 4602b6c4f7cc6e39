"""mbarrier: init, inval, arrive, arrive_drop, expect_tx, complete_tx, waits, counts.

A state, as `arrive` returns it, is the number of the phase above the arrivals that were
pending before. `try_wait` suspends the thread until the phase completes, where it does
not time out.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator

import numpy as np

from ix.emulator.batch import WARP, Active, Array, Batch
from ix.emulator.errors import BarrierError
from ix.emulator.kernel_code import KernelCode, Reader, Writer
from ix.emulator.mbarrier_table import BYTES, MBarrier, MBarrierTable
from ix.emulator.memory import space_of
from ix.emulator.outcome import Outcome, Step, Wait
from ix.emulator.race_sync import Order
from ix.emulator.scopes import CLUSTER, CTA, WEAK, scope_of
from ix.emulator.shared_address import check_shared, shared_reader
from ix.emulator.syntax import Instruction, Operand

__all__ = ["INSTRUCTIONS", "barriers_of", "locate"]

_PHASE_SHIFT = 32  # of a state


def locate(
    batch: Batch, active: Active, addresses: Array, *, is_init: bool = False
) -> tuple[Array, Array]:
    """The CTA and the offset of the mbarrier that each active thread names, (count,).

    Raises:
        MisalignedError: An address is no multiple of 8.
        OutOfBoundsError: An address lies outside of shared memory.
    """
    memory = batch.memory
    chosen = check_shared(batch, active, addresses)
    kind = "write" if is_init else "read"
    access = memory.access("shared", kind, chosen, BYTES, active.lanes)
    access.scope = WEAK if is_init else CLUSTER
    _, index = memory.locate(access)
    if batch.race.enabled:
        batch.race.access(access, index)
    assert access.ctas is not None
    return access.ctas, access.addresses.astype(np.int64)


def barriers_of(
    batch: Batch, active: Active, addresses: Array
) -> Iterator[tuple[int, int, MBarrier]]:
    """(index among the active threads, thread, mbarrier) of each active thread."""
    table = MBarrierTable.of(batch)
    ctas, offsets = locate(batch, active, addresses)
    named = zip(active.lanes.tolist(), ctas.tolist(), offsets.tolist(), strict=True)
    for index, (thread, cta, offset) in enumerate(named):
        yield index, thread, table.find(cta, offset, thread)


def _reader_of(
    instruction: Instruction, kernel: KernelCode, operand: Operand
) -> Reader:
    return shared_reader(instruction, kernel, operand, space_of(instruction.modifiers))


def _compile_init(instruction: Instruction, kernel: KernelCode) -> Step:
    address = _reader_of(instruction, kernel, instruction.operands[0])
    is_init = instruction.modifiers[0] == "init"
    count = kernel.reader(instruction.operands[1], "u32") if is_init else None

    def step(batch: Batch, active: Active) -> None:
        table = MBarrierTable.of(batch)
        ctas, offsets = locate(batch, active, address(batch), is_init=True)
        counts = offsets if count is None else active.select(count(batch))
        for thread, cta, offset, number in zip(
            active.lanes.tolist(), ctas.tolist(), offsets.tolist(), counts.tolist(),
            strict=True,
        ):  # fmt: skip
            if is_init:
                table.init(cta, offset, number, thread)
            else:
                table.inval(cta, offset, thread)

    return step


def _order_of(instruction: Instruction) -> Order:
    """What an arrival or a wait orders: by default, within the CTA."""
    orders = not instruction.has("relaxed")
    return Order(scope_of(instruction, CTA), acquires=orders, releases=orders)


def _compile_arrive(instruction: Instruction, kernel: KernelCode) -> Step:
    result, target, *rest = instruction.operands
    address = _reader_of(instruction, kernel, target)
    number = kernel.reader(rest[0], "s32") if rest else None
    write = kernel.writer(result, "b64")
    expects = instruction.has("expect_tx")
    drops = instruction.modifiers[0] == "arrive_drop"
    may_complete = not instruction.has("noComplete")
    order = _order_of(instruction)

    def step(batch: Batch, active: Active) -> None:
        batch.counter.add(batch.pc, "mbarrier_arrivals", active.count)
        table = MBarrierTable.of(batch)
        numbers = None if number is None else active.select(number(batch))
        states = np.zeros(active.count, np.uint64)
        for index, thread, barrier in barriers_of(batch, active, address(batch)):
            states[index] = barrier.phase << _PHASE_SHIFT | barrier.pending
            value = 1 if numbers is None else int(numbers[index])
            batch.race.release_to(barrier, thread // WARP, order)
            if expects:
                # Together with the arrival: no phase may complete in between.
                barrier.bytes += value
            count = 1 if expects else value
            if not may_complete:
                _check_incomplete(batch, barrier, count, thread)
            if drops:
                barrier.expected -= count
            table.arrive(barrier, count, thread)
        write(batch, states, active)

    return step


def _check_incomplete(batch: Batch, barrier: MBarrier, count: int, thread: int) -> None:
    if count >= barrier.pending:
        raise batch.error(
            BarrierError,
            f"needs arrivals that leave the phase incomplete, but {count} of "
            f"{barrier.pending} pending ones come at the mbarrier {barrier}; drop "
            ".noComplete",
            thread,
        )


def _compile_transaction(instruction: Instruction, kernel: KernelCode) -> Step:
    target, amount = instruction.operands
    address = _reader_of(instruction, kernel, target)
    number = kernel.reader(amount, "s32")
    sign = 1 if instruction.modifiers[0] == "expect_tx" else -1

    def step(batch: Batch, active: Active) -> None:
        table, numbers = MBarrierTable.of(batch), active.select(number(batch))
        for index, thread, barrier in barriers_of(batch, active, address(batch)):
            table.transact(barrier, sign * int(numbers[index]), thread)

    return step


def _compile_wait(instruction: Instruction, kernel: KernelCode) -> Step:
    result, target, phase = instruction.operands[:3]
    address = _reader_of(instruction, kernel, target)
    by_parity = instruction.has("parity")
    read = kernel.reader(phase, "u32" if by_parity else "b64")
    write = kernel.writer(result, "pred")
    suspends = instruction.modifiers[0] == "try_wait"
    order = _order_of(instruction)

    def step(batch: Batch, active: Active) -> Outcome | None:
        done = np.zeros(batch.threads, np.bool_)
        waiting: list[tuple[Hashable, Array]] = []
        table = MBarrierTable.of(batch)
        for barrier, wanted, lanes in _parties(batch, active, address, read):
            is_over = _check_of(batch, barrier, wanted, by_parity, int(lanes[0]))
            if suspends and not is_over() and table.times_out(barrier, lanes):
                continue
            if is_over() or (table.land(barrier) and is_over()):
                done[lanes] = True
                batch.race.acquire_from(barrier, np.unique(lanes // WARP), order)
            elif suspends:
                mask = np.zeros(batch.threads, np.bool_)
                mask[lanes] = True
                waiting.append((barrier.event, mask))
        counted = np.unique(np.flatnonzero(done) // WARP).size
        batch.counter.add(batch.pc, "mbarrier_waits", counted)
        if not waiting:
            write(batch, active.select(done), active)
            return None
        _write_found(batch, active, done, write, [mask for _, mask in waiting])
        return Wait(waiting, retry=True)

    return step


def _write_found(
    batch: Batch, active: Active, done: Array, write: Writer, waiting: list[Array]
) -> None:
    """Gives what they found to those that go on; who waits gets nothing yet."""
    on = active.full_mask & ~np.logical_or.reduce(waiting)
    count = int(np.count_nonzero(on))
    if count:
        write(batch, done[on], Active(len(on), on, count, False))


def _parties(
    batch: Batch, active: Active, address: Reader, read: Reader
) -> Iterator[tuple[MBarrier, int, Array]]:
    """(mbarrier, phase, threads) for each mbarrier and phase that threads wait for."""
    table = MBarrierTable.of(batch)
    ctas, offsets = locate(batch, active, address(batch))
    wanted = active.select(read(batch)).astype(np.int64)
    same = [values.min() == values.max() for values in (ctas, offsets, wanted)]
    if all(same):
        groups = [active.lanes]
    else:
        keys = np.stack([ctas, offsets, wanted], 1)
        _, inverse = np.unique(keys, axis=0, return_inverse=True)
        inverse = inverse.reshape(-1)
        groups = [active.lanes[inverse == i] for i in range(int(inverse.max()) + 1)]
    at = np.searchsorted(active.lanes, [group[0] for group in groups])
    for index, lanes in zip(at.tolist(), groups, strict=True):
        thread = int(lanes[0])
        barrier = table.find(int(ctas[index]), int(offsets[index]), thread)
        yield barrier, int(wanted[index]), lanes


def _check_of(
    batch: Batch, barrier: MBarrier, wanted: int, by_parity: bool, thread: int
) -> Callable[[], bool]:
    """What tells whether a phase has completed."""
    if by_parity:
        if wanted > 1:
            raise batch.error(
                BarrierError,
                f"needs a parity of 0 or 1, but it is {wanted}; pass the phase modulo "
                "2",
                thread,
            )
        return lambda: barrier.phase & 1 != wanted
    phase = wanted >> _PHASE_SHIFT
    if not barrier.phase - 1 <= phase <= barrier.phase:
        raise batch.error(
            BarrierError,
            f"needs the state of the running phase or of the one before, but it is "
            f"of phase {phase} at the mbarrier {barrier}; wait for each phase in "
            "turn",
            thread,
        )
    return lambda: barrier.phase > phase


def _compile_pending_count(instruction: Instruction, kernel: KernelCode) -> Step:
    result, state = instruction.operands
    read, write = kernel.reader(state, "b64"), kernel.writer(result, "u32")
    low = np.uint64((1 << _PHASE_SHIFT) - 1)

    def step(batch: Batch, active: Active) -> None:
        write(batch, (read(batch) & low).astype(np.uint32), active)

    return step


_COMPILERS: dict[str, Callable[[Instruction, KernelCode], Step]] = {
    "init": _compile_init,
    "inval": _compile_init,
    "arrive": _compile_arrive,
    "arrive_drop": _compile_arrive,
    "expect_tx": _compile_transaction,
    "complete_tx": _compile_transaction,
    "test_wait": _compile_wait,
    "try_wait": _compile_wait,
    "pending_count": _compile_pending_count,
}


def compile_mbarrier(instruction: Instruction, kernel: KernelCode) -> Step:
    """Compiles every instruction of mbarrier."""
    compiler = _COMPILERS.get(instruction.modifiers[0])
    if compiler is None:
        raise kernel.unsupported(instruction, "its operation is not known")
    return compiler(instruction, kernel)


INSTRUCTIONS = {"mbarrier": compile_mbarrier}
