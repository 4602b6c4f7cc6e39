"""Where the variables of a kernel lie: shared, local and parameters.

Address windows of generic addresses: those of shared and local memory stand apart;
everything else (global, const, kernel parameters) has one address in all spaces.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ix.emulator.ptx_types import bytes_of
from ix.emulator.syntax import Function, Module, Variable

__all__ = [
    "CLUSTER_SHIFT",
    "FUNCTION_BASE",
    "GLOBAL_BASE",
    "LOCAL_WINDOW",
    "SHARED_WINDOW",
    "WINDOW_BYTES",
    "Layout",
    "Placed",
    "align_up",
    "bytes_of_variable",
    "parameter_layout",
]

WINDOW_BYTES = 1 << 32
SHARED_WINDOW = 0x0100_0000_0000
LOCAL_WINDOW = 0x0200_0000_0000
GLOBAL_BASE = 0x7F00_0000_0000
# `mov` of a function gives its first instruction plus this, so that none is null.
FUNCTION_BASE = 0x1000
# A shared::cluster address of CTA rank r: (r + 1) << CLUSTER_SHIFT | offset.
CLUSTER_SHIFT = 24


def align_up(value: int, align: int) -> int:
    """The next multiple of align."""
    return -(-value // align) * align


def bytes_of_variable(variable: Variable) -> int:
    """Size in bytes; 0 for arrays of unknown size."""
    return bytes_of(variable.type) * (variable.count or 0)


@dataclass(frozen=True, slots=True)
class Placed:
    """A variable with its place in its space, in bytes."""

    name: str
    offset: int
    size: int


def parameter_layout(parameters: Iterable[Variable]) -> tuple[dict[str, Placed], int]:
    """Places kernel parameters as the driver does; and their bytes all together."""
    placed: dict[str, Placed] = {}
    end = 0
    for variable in parameters:
        offset = align_up(end, variable.align)
        placed[variable.name] = Placed(
            variable.name, offset, bytes_of_variable(variable)
        )
        end = offset + bytes_of_variable(variable)
    return placed, end


@dataclass(slots=True)
class Layout:
    """The static layout of one kernel with the functions that it may call.

    shared:         variable → place; functions' own variables as `function:name`
    shared_bytes:   static shared memory, where dynamic shared memory begins
    local:          `function:name` → place in the memory of one thread; parameters and
                    results of functions lie there as well
    local_bytes:    local memory of one thread
    """

    shared: dict[str, Placed] = field(default_factory=dict)
    shared_bytes: int = 0
    local: dict[str, Placed] = field(default_factory=dict)
    local_bytes: int = 0

    @classmethod
    def of(cls, module: Module, functions: Iterable[Function]) -> Layout:
        """Lays out the shared variables of a module and the variables of functions."""
        layout = cls()
        functions = list(functions)
        shared = [
            (name, variable)
            for name, variable in module.variables.items()
            if variable.space == "shared"
        ]
        for function in functions:
            for name, variable in function.variables.items():
                if variable.space == "shared":
                    shared.append((f"{function.name}:{name}", variable))
        layout._place_shared(shared)
        for function in functions:
            layout._place_local(function)
        return layout

    def _place_shared(self, variables: list[tuple[str, Variable]]) -> None:
        for name, variable in variables:
            if variable.count is not None:
                offset = align_up(self.shared_bytes, variable.align)
                size = bytes_of_variable(variable)
                self.shared[name] = Placed(name, offset, size)
                self.shared_bytes = offset + size
        dynamic = [(n, v) for n, v in variables if v.count is None]
        if not dynamic:
            return
        # All extern arrays begin at the same address.
        align = max(variable.align for _, variable in dynamic)
        self.shared_bytes = align_up(self.shared_bytes, align)
        for name, _ in dynamic:
            self.shared[name] = Placed(name, self.shared_bytes, 0)

    def _place_local(self, function: Function) -> None:
        own = [
            variable
            for variable in function.variables.values()
            if variable.space in ("local", "param")
        ]
        if not function.is_entry:
            own += [*function.parameters, *function.returns]
        for variable in own:
            if variable.space == "reg":
                continue
            offset = align_up(self.local_bytes, max(variable.align, 4))
            size = bytes_of_variable(variable)
            name = f"{function.name}:{variable.name}"
            self.local[name] = Placed(name, offset, size)
            self.local_bytes = offset + size
