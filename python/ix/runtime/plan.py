"""The plan: what the compiler hands to a runtime. Data only, without MLIR or code.

A call binds the declared dimensions from the shapes of its inputs, takes one arena and
hands the entry function a table of pointers:

    inputs…, outputs…, constants…, arena, scratch

The entry launches every kernel in order. Nothing is allocated but the outputs.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from ix.runtime.sizes import Size, from_json

__all__ = [
    "COUNTER_BYTES",
    "Constant",
    "Decision",
    "Dim",
    "Kernel",
    "Launch",
    "Plan",
    "Tensor",
]

ENTRY = "ix_entry"
"""Symbol of the entry: void(ptr pool, ptr buffers, ptr dims)."""

ALIGNMENT = 64
"""Alignment of every buffer that ix allocates, in bytes: a cache line."""

COUNTER_BYTES = 1 << 16
"""On a GPU, the first bytes of scratch: 0 before each launch, and again after it."""


@dataclass(frozen=True)
class Dim:
    """A declared dynamic dimension: `low` ≤ size ≤ `high`."""

    name: str
    low: int
    high: int


@dataclass(frozen=True)
class Tensor:
    """An input or an output.

    dtype: an ml_dtypes/NumPy dtype name ("float32", "bfloat16", "int4", "bool", …).
    shape: one size for each axis; an input's size is an int or a declared dimension.
    """

    name: str
    dtype: str
    shape: tuple[Size, ...]


@dataclass(frozen=True)
class Constant:
    """A weight as the kernels read it: packed, folded, row-major.

    key: its name in the table of constants.
    source: what it was made from, for people ("layer.0.weight, panels of 32").
    """

    key: str
    dtype: str
    shape: tuple[int, ...]
    source: str = ""


@dataclass(frozen=True)
class Kernel:
    """One compiled function; several launches may share it.

    family: the kind of code.
    ops: the ix ops it computes, for people.
    flops, bytes: work of one launch at the upper bounds of the dimensions.
    scratch_bytes: of one thread on a CPU, of all blocks together on a GPU.
    blocks, threads: on a GPU, the grid over the launch's sizes, and one block.
    types: of its inputs, then of its outputs, such as "64x1000xf32".
    tensor_bytes: on a GPU, of the same tensors, over the launch's sizes.
    registers, spill_bytes: of a thread on a GPU, as ptxas reports; 0 without ptxas.
    shared_bytes: of a block on a GPU; dynamic_shared_bytes: the part of them that a
        launch asks for. occupancy: resident warps as a part of those possible.
    rule: which rule made the code. declined: (rule, code) of those asked before it, and
        of ways that it did not take; codes are listed in `ix.runtime.reasons`.
    """

    symbol: str
    family: str
    ops: tuple[str, ...]
    flops: int
    bytes: int
    scratch_bytes: int
    blocks: Size = 0
    threads: int = 0
    types: tuple[str, ...] = ()
    tensor_bytes: tuple[Size, ...] = ()
    registers: int = 0
    spill_bytes: int = 0
    shared_bytes: int = 0
    dynamic_shared_bytes: int = 0
    occupancy: float = 0.0
    rule: str = ""
    declined: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Launch:
    """One launch, in order.

    kernel: Its number in the plan's kernels.
    arguments: Where each buffer lies, what is read before what is written: ("input" |
        "output" | "constant", number) or ("arena", offset in bytes).
    sizes: The kernel's size arguments.
    reads, writes: Names of the buffers, for people.
    ops: What it computes, as the source names it.
    location: Where the first of them stands.
    sources: On a GPU, what op n of the kernel is in the model, counted from 1 as the
        kernel's `.loc 1 n` does: "ix.exp at model.py:3:9".
    """

    kernel: int
    arguments: tuple[tuple[str, int], ...]
    sizes: tuple[Size, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    ops: tuple[str, ...] = ()
    location: str = ""
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Decision:
    """Why two ops became one kernel, or why they did not.

    reason: a code, listed in `ix.runtime.reasons`.
    saved_bytes: traffic that the fusion saves in one call, at the upper bounds.
    """

    producer: str
    consumer: str
    fused: bool
    reason: str
    saved_bytes: int = 0
    location: str = ""


@dataclass(frozen=True)
class Plan:
    """Everything a runtime needs but the code and the constants' bytes."""

    name: str
    target: str
    dims: tuple[Dim, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    constants: tuple[Constant, ...]
    arena_bytes: int
    scratch_bytes: int  # the most of any kernel
    kernels: tuple[Kernel, ...]
    launches: tuple[Launch, ...]
    decisions: tuple[Decision, ...] = ()
    flops: int = 0
    notes: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The plan as plain lists and dictionaries, in a fixed order."""
        return dataclasses.asdict(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> Plan:
        """Reads what `to_json` wrote.

        Raises:
            KeyError, TypeError: The data is not a plan's.
        """

        def tensors(items: Any) -> tuple[Tensor, ...]:
            return tuple(
                Tensor(t["name"], t["dtype"], tuple(from_json(s) for s in t["shape"]))
                for t in items
            )

        def tuples(item: dict[str, Any]) -> dict[str, Any]:
            return {k: tuple(v) if isinstance(v, list) else v for k, v in item.items()}

        return Plan(
            name=data["name"],
            target=data["target"],
            dims=tuple(Dim(**d) for d in data["dims"]),
            inputs=tensors(data["inputs"]),
            outputs=tensors(data["outputs"]),
            constants=tuple(Constant(**tuples(c)) for c in data["constants"]),
            arena_bytes=data["arena_bytes"],
            scratch_bytes=data["scratch_bytes"],
            kernels=tuple(_kernel(k) for k in data["kernels"]),
            launches=tuple(_launch(each) for each in data["launches"]),
            decisions=tuple(Decision(**d) for d in data["decisions"]),
            flops=data["flops"],
            notes=data["notes"],
        )


def _kernel(data: dict[str, Any]) -> Kernel:
    read = {
        "ops": tuple(data["ops"]),
        "types": tuple(data["types"]),
        "tensor_bytes": tuple(map(from_json, data.get("tensor_bytes", ()))),
        "blocks": from_json(data["blocks"]),
        "declined": tuple((rule, code) for rule, code in data.get("declined", ())),
    }
    return Kernel(**{**data, **read})


def _launch(data: dict[str, Any]) -> Launch:
    return Launch(
        kernel=data["kernel"],
        arguments=tuple((kind, number) for kind, number in data["arguments"]),
        sizes=tuple(from_json(size) for size in data["sizes"]),
        reads=tuple(data["reads"]),
        writes=tuple(data["writes"]),
        ops=tuple(data["ops"]),
        location=data["location"],
        sources=tuple(data.get("sources", ())),
    )
