"""Places the .global and .const variables of a module in global memory."""

from __future__ import annotations

import numpy as np

from ix.emulator.batch import Array
from ix.emulator.errors import PtxSyntaxError
from ix.emulator.heap import Heap
from ix.emulator.layout import bytes_of_variable
from ix.emulator.ptx_types import STORAGE, dtype_of
from ix.emulator.syntax import Module, Symbol, Variable

__all__ = ["allocate_variables"]


def allocate_variables(heap: Heap, module: Module) -> dict[str, int]:
    """Allocates and initialises the variables; their addresses by name.

    Variables without an initialiser hold zeros, as the driver gives them.

    Raises:
        PtxSyntaxError: An initialiser names something that the module does not have.
    """
    variables = [*module.variables.values()]
    for function in module.functions.values():
        variables += function.variables.values()
    own = [each for each in variables if each.space in ("global", "const")]
    allocations = {
        variable.name: heap.allocate(max(bytes_of_variable(variable), 1), variable.name)
        for variable in own
    }
    addresses = {name: each.start for name, each in allocations.items()}
    for variable in own:
        data = _initial_bytes(variable, addresses)
        if data.size:
            heap.write(addresses[variable.name], data)
        allocations[variable.name].is_writable = variable.space == "global"
    return addresses


def _initial_bytes(variable: Variable, addresses: dict[str, int]) -> Array:
    dtype = dtype_of(variable.type)
    out = np.zeros(variable.count or 0, dtype)
    for i, value in enumerate(variable.initialiser):
        if isinstance(value, Symbol):
            if value.name not in addresses:
                raise PtxSyntaxError(
                    f"PTX line {variable.line}: '{variable.name}' needs initialisers "
                    f"of the module, but '{value.name}' is none; declare it first"
                )
            bits = addresses[value.name] + value.offset
            out.view(STORAGE[dtype.itemsize])[i] = bits
        elif dtype.kind in "iu" and isinstance(value, int):
            mask = (1 << 8 * dtype.itemsize) - 1
            out.view(STORAGE[dtype.itemsize])[i] = value & mask
        else:
            out[i] = value
    return out.view(np.uint8)
