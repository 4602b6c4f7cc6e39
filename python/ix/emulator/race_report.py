"""The report of a race: both PTX lines, both warps, and the bytes."""

from __future__ import annotations

import numpy as np

from ix.emulator import faults
from ix.emulator.access import Access
from ix.emulator.batch import Array, Batch, shorten
from ix.emulator.errors import RaceError
from ix.emulator.race_shadow import instruction_of

__all__ = ["raise_race"]


def raise_race(
    batch: Batch,
    access: Access,
    bad: Array,
    earlier: int | Array,
    verb: str,
    who: str,
    remedy: str = "put a barrier or a wait between them",
    kind: type[RaceError] = RaceError,
) -> None:
    """Raises for the first bad granule of an access.

    Args:
        access: The later access.
        bad: bool over its granules, access by access.
        earlier: The packed earlier access.
        verb: What the earlier access did: "wrote" or "read".
        who: Who did it.
        kind: The class of the report.
    """
    per_access = len(bad) // len(access.addresses)
    i = int(np.argmax(bad)) // max(per_access, 1)
    line = batch.kernel.code[instruction_of(int(earlier))].instruction
    address = int(access.addresses[i])
    does = {"read": "reads", "write": "writes", "atomic": "updates"}[access.kind]
    raise batch.error(
        kind,
        f"needs an order between accesses, but it {does} {access.space} memory that "
        f"{who} {verb} at line {line.line} `{shorten(line.text)}`, and nothing orders "
        f"the two: {faults.where(batch.memory, access, address)}; {remedy}",
        access.threads[i],
    )
