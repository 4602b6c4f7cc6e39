"""The figures of a kernel and of a model, and how they are kept as JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ix.cost.errors import BudgetError

__all__ = ["KernelFigures", "ModelFigures", "Signature"]

VERSION = 1


@dataclass(frozen=True, order=True)
class Signature:
    """What a kernel computes, whatever it is called.

    Attributes:
        family: The rule that made it: `row`, `contraction`, ...
        ops: The ops that are fused in it, in their order.
        shapes: The types of its operands and results, such as `64x1000xf32`.
    """

    family: str
    ops: tuple[str, ...]
    shapes: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.family}({'+'.join(self.ops)})[{', '.join(self.shapes)}]"


@dataclass(frozen=True)
class KernelFigures:
    """What a kernel costs; sums over its launches unless something else is said.

    Attributes:
        signature: What it computes.
        launches: How often the model launches it.
        global_load_sectors, global_store_sectors: Sectors of 32 bytes that it touches.
        ideal_load_sectors, ideal_store_sectors: The least for the bytes it needs.
        global_load_requests, global_store_requests: Instructions of warps.
        bank_conflicts: Wavefronts of shared memory beyond the ones without conflicts.
        tensor_ops: Operations of tensor cores.
        barriers: Barriers that warps pass.
        bytes_read, bytes_written: Bytes of global memory.
        flops: Floating-point operations outside of tensor cores.
        registers: 32-bit registers of a thread.
        spill_bytes: Bytes of spill instructions (ptxas), each counted once.
        shared_bytes: Shared memory of a block, static and dynamic.
        occupancy: Resident warps as a part of those possible, 0 to 1.
        sass: Machine instructions by opcode, static counts; empty without nvdisasm.
    """

    signature: Signature
    launches: int = 1
    global_load_sectors: int = 0
    global_store_sectors: int = 0
    ideal_load_sectors: int = 0
    ideal_store_sectors: int = 0
    global_load_requests: int = 0
    global_store_requests: int = 0
    bank_conflicts: int = 0
    tensor_ops: int = 0
    barriers: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    flops: int = 0
    registers: int = 0
    spill_bytes: int = 0
    shared_bytes: int = 0
    occupancy: float = 0.0
    sass: Mapping[str, int] = field(default_factory=dict)

    def numbers(self) -> dict[str, float]:
        """Every figure but the signature and the instructions, by name."""
        return {name: getattr(self, name) for name in NUMBERS}

    def to_json(self) -> dict[str, Any]:
        """The figures as plain data; what is 0 is left out."""
        signature = dataclasses.asdict(self.signature)
        figures = {n: round(v, 4) for n, v in self.numbers().items() if v}
        data: dict[str, Any] = {"signature": signature, **figures}
        return data | ({"sass": dict(self.sass)} if self.sass else {})

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> KernelFigures:
        """What `to_json` gave.

        Raises:
            BudgetError: It is not such data.
        """
        try:
            rest = dict(data)
            given = rest.pop("signature")
            signature = Signature(
                str(given["family"]), tuple(given["ops"]), tuple(given["shapes"])
            )
            sass = {str(k): int(v) for k, v in rest.pop("sass", {}).items()}
            numbers = {name: NUMBERS[name](value) for name, value in rest.items()}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise BudgetError(
                f"'budget' needs kernels with a signature and figures, but one is "
                f"malformed ({error!r}); write it anew with --update"
            ) from error
        return KernelFigures(signature, sass=sass, **numbers)


NUMBERS: dict[str, type] = {
    f.name: float if f.type == "float" else int
    for f in dataclasses.fields(KernelFigures)
    if f.name not in ("signature", "sass")
}

# Figures of one launch or one thread, which do not add up over a model.
_NOT_SUMMED = {"registers", "shared_bytes", "occupancy"}


@dataclass(frozen=True)
class ModelFigures:
    """What a model costs for one call.

    Attributes:
        target: What it is compiled for, such as `sm_90a`.
        kernels: Its kernels.
        dims: The sizes of the declared dimensions in that call.
    """

    target: str
    kernels: tuple[KernelFigures, ...]
    dims: Mapping[str, int] = field(default_factory=dict)

    @property
    def launches(self) -> int:
        """How many kernels are launched."""
        return sum(kernel.launches for kernel in self.kernels)

    @property
    def totals(self) -> dict[str, float]:
        """The sums over all kernels of the figures that add up."""
        return {
            name: sum(kernel.numbers()[name] for kernel in self.kernels)
            for name in NUMBERS
            if name not in _NOT_SUMMED
        }

    def to_json(self) -> dict[str, Any]:
        """The figures as plain data, in an order that does not depend on names."""
        kernels = sorted(
            (kernel.to_json() for kernel in self.kernels),
            key=lambda data: (str(data["signature"]), str(data)),
        )
        return {
            "version": VERSION,
            "target": self.target,
            **({"dims": dict(self.dims)} if self.dims else {}),
            "totals": {n: v for n, v in self.totals.items() if v},
            "kernels": kernels,
        }

    @staticmethod
    def from_json(data: Any) -> ModelFigures:
        """What `to_json` gave; the totals are computed anew.

        Raises:
            BudgetError: It is not such data, or of another version of ix.
        """
        if not isinstance(data, dict) or data.get("version") != VERSION:
            found = data.get("version") if isinstance(data, dict) else data
            raise BudgetError(
                f"'budget' needs version {VERSION}, but it is {found!r}; write it anew "
                "with --update"
            )
        kernels = data.get("kernels", ())
        return ModelFigures(
            str(data.get("target", "")),
            tuple(map(KernelFigures.from_json, kernels)),
            data.get("dims", {}),
        )
