"""The report of a race: both PTX lines, both warps, and the bytes."""

from __future__ import annotations

import numpy as np

from ix.emulator import faults
from ix.emulator.access import Access
from ix.emulator.batch import Array, Batch, shorten
from ix.emulator.errors import RaceError
from ix.emulator.race_shadow import SEVERAL, instruction_of, lane_of

__all__ = [
    "AMONG_CTAS",
    "AMONG_LANES",
    "AMONG_WARPS",
    "differing",
    "name_lane",
    "raise_race",
]

AMONG_CTAS = "release the one and acquire the other in a scope that has both CTAs"
AMONG_WARPS = "put a barrier or a wait between them"
AMONG_LANES = "put bar.warp.sync or a barrier between them"


def name_lane(packed: int) -> str:
    """Names the lane of a packed access, before the name of its warp."""
    lane = int(lane_of(np.array([packed]))[0])
    return "other lanes of the" if lane == SEVERAL else f"lane {lane} of"


def differing(at: Array, values: Array | None) -> Array:
    """Where writes of one granule in one step differ from the last of them.

    Args:
        at: The granule of each write.
        values: What is written, row by row; None where it is not known: then nowhere.
    """
    if values is None:
        return np.zeros(len(at), np.bool_)
    rows = np.ascontiguousarray(values).view(np.uint8).reshape(len(at), -1)
    _, inverse = np.unique(at, return_inverse=True)
    last = np.empty(len(at), np.int64)
    last[inverse] = np.arange(len(at))
    return np.asarray((rows != rows[last[inverse]]).any(1))


def raise_race(
    batch: Batch,
    access: Access,
    bad: Array,
    earlier: int | Array,
    verb: str,
    who: str,
    remedy: str = AMONG_WARPS,
    kind: type[RaceError] = RaceError,
) -> None:
    """Raises for the first bad granule of an access.

    Args:
        access: The later access.
        bad: bool over its granules, access by access.
        earlier: The packed earlier access.
        verb: What the earlier access did: "wrote" or "read".
        who: Who did it.
        remedy: What to do about it.
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
