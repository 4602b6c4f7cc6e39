"""What the launches of one call do, counted where a device counts: the emulator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ix.runtime.plan import Kernel

__all__ = ["CountedProfile", "KernelCounts"]

_COLUMNS = (
    ("global_load_sectors", "loaded"),
    ("global_store_sectors", "stored"),
    ("shared_load_conflicts", "conflicts"),
    ("barriers", "barriers"),
    ("flops", "flops"),
    ("tensor_flops", "tensor"),
)


@dataclass(frozen=True)
class KernelCounts:
    """One launch: its number, kernel, ops and amounts by counter name."""

    launch: int
    kernel: Kernel
    ops: tuple[str, ...]
    amounts: dict[str, int]


@dataclass(frozen=True)
class CountedProfile:
    """The launches of one call; counts are exact, so one call is enough."""

    kernels: tuple[KernelCounts, ...]

    def __str__(self) -> str:
        head = "".join(f"{title:>12}" for _, title in _COLUMNS)
        lines = [
            f"{len(self.kernels)} launches; sectors of 32 bytes, bank conflicts, "
            "operations",
            f"{'#':>4}{head}  kernel",
        ]
        for k in self.kernels:
            cells = "".join(f"{k.amounts[name]:>12}" for name, _ in _COLUMNS)
            lines.append(f"{k.launch:>4}{cells}  {k.kernel.family}: {', '.join(k.ops)}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """The counts as plain data."""
        return {
            "kernels": [
                {
                    "launch": k.launch,
                    "symbol": k.kernel.symbol,
                    "family": k.kernel.family,
                    "ops": list(k.ops),
                    "counters": k.amounts,
                }
                for k in self.kernels
            ]
        }
