"""Which op of the model a piece of a kernel's code comes from.

Equal kernels share one function and one code, so the code does not name places in
models: it numbers the ops of its function from 1, and every launch says what its ops
are. The numbers are kept in locations, and the texts in the location of the call:

    %0 = call @kernel_0(%x)   loc(fused<["ix.exp at m.py:3:9", …]>["ix.exp"(…)])
    func @kernel_0
      %0 = linalg.generic …   loc(fused<1>["ix.exp"("m.py":3:9)])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ix.errors import place_of
from ix.mlir import ir

__all__ = [
    "located_call",
    "name_of",
    "number_of",
    "number_ops",
    "source_of",
    "sources_of",
]


def name_of(op: Any) -> str:
    """What an op was in the model, as its location names it, else the op's name."""
    return place_of(op.operation.location)[1] or str(op.operation.name)


def source_of(op: Any) -> str:
    """The same with its place, for people: "ix.softmax at model.py:14:5"."""
    place, _ = place_of(op.operation.location)
    return f"{name_of(op)} at {place}" if place else name_of(op)


def located_call(location: Any, sources: Sequence[str]) -> Any:
    """The location of a launch whose kernel function has ops from these sources."""
    texts = ir.ArrayAttr.get([ir.StringAttr.get(text) for text in sources])
    return ir.Location.fused([_plain(location)], texts)


def sources_of(call: Any) -> tuple[str, ...]:
    """What `located_call` noted, one text for each op of the kernel function."""
    noted = _metadata(call.operation.location)
    if not isinstance(noted, ir.ArrayAttr):
        return ()
    return tuple(ir.StringAttr(text).value for text in noted)


def number_ops(ops: Sequence[Any]) -> None:
    """Gives the ops of a kernel function numbers from 1, in their locations."""
    integer = ir.IntegerType.get_signless(64)
    for number, op in enumerate(ops, 1):
        noted = ir.IntegerAttr.get(integer, number)
        old = op.operation.location
        op.operation.location = ir.Location.fused([_plain(old)], noted)


def number_of(location: Any) -> int:
    """The number of the op that a location was given to; 0 where there is none."""
    noted = _metadata(location)
    return ir.IntegerAttr(noted).value if isinstance(noted, ir.IntegerAttr) else 0


def _metadata(location: Any) -> Any:
    if not isinstance(location, ir.FusedLoc) or location.metadata is None:
        return None
    return location.metadata.maybe_downcast()


def _plain(location: Any) -> Any:
    """A location without what this file noted on it."""
    if isinstance(_metadata(location), ir.ArrayAttr | ir.IntegerAttr):
        (inner,) = location.locations
        return inner
    return location
