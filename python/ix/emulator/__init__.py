"""Runs PTX on the CPU, in NumPy, with every check that a GPU does not make.

    from ix.emulator import Emulator

It reads the very PTX that a GPU would run, and finds races, reads of memory that nobody
wrote, accesses out of bounds, deadlocks; it counts sectors, bank conflicts, operations
and barriers. It needs NumPy alone. See docs in `emulator.Emulator`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ix.emulator.counters import Counters
    from ix.emulator.emulator import Emulator, LoadedModule

__all__ = ["Counters", "Emulator", "LoadedModule"]

_HOME = {
    "Counters": "ix.emulator.counters",
    "Emulator": "ix.emulator.emulator",
    "LoadedModule": "ix.emulator.emulator",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'ix.emulator' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOME[name]), name)
