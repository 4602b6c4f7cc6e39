"""Runs a module of ix ops through the whole compiler, on this machine's CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ix.compiler import compile_program
from ix.importer.program import Program
from ix.importer.weights import Weights
from ix.mlir import DYNAMIC, func, ir, ops_in

LARGEST = 64
"""Every dynamic size lies in 0..LARGEST."""


def run(module: Any, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """Compiles @main without the cache and calls it.

    Args:
        module: Holds @main; each `?` of an argument gets a dimension of its own.
        inputs: One array for each argument.

    Returns:
        One array for each result.
    """
    bounds = [[LARGEST] * array.ndim for array in inputs]
    executable = compile_program(program_of(module, bounds), "cpu", cache=False)
    return list(executable.run_flat(inputs))


def program_of(module: Any, bounds: Sequence[Sequence[int]]) -> Program:
    """A module as an importer leaves it.

    Args:
        module: Holds @main; it is changed.
        bounds: The upper bound of each axis of each argument, where it is `?`.
    """
    (main,) = ops_in(module, func.FuncOp)
    names, dims = _declare(module, main, bounds)
    results = [f"r{place}" for place in range(len(main.type.results))]
    return Program(module, Weights(), names, results, None, None, dims)


def _declare(
    module: Any, main: Any, bounds: Sequence[Sequence[int]]
) -> tuple[list[str], dict[str, Any]]:
    """Names arguments and dimensions as an importer does."""
    i64 = ir.IntegerType.get_signless(64, module.context)

    def range_of(most: int) -> Any:
        return ir.ArrayAttr.get([ir.IntegerAttr.get(i64, each) for each in (0, most)])

    names, attributes, dims = [], [], {}
    with module.context:
        for place, type_ in enumerate(main.type.inputs):
            names.append(f"x{place}")
            axes = [
                f"n{place}_{axis}" if size == DYNAMIC else ""
                for axis, size in enumerate(type_.shape)
            ]
            dims.update(
                {
                    axis: range_of(most)
                    for axis, most in zip(axes, bounds[place], strict=True)
                    if axis
                }
            )
            named = ir.ArrayAttr.get([ir.StringAttr.get(axis) for axis in axes])
            attributes.append(
                {"ix.name": ir.StringAttr.get(names[-1]), "ix.dims": named}
            )
        main.attributes["arg_attrs"] = ir.ArrayAttr.get(
            [ir.DictAttr.get(each) for each in attributes]
        )
        module.operation.attributes["ix.dims"] = ir.DictAttr.get(dims)
    return names, {}
