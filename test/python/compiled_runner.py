"""Runs a module of ix ops through the whole compiler, on this machine's CPU."""

from __future__ import annotations

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
    (main,) = ops_in(module, func.FuncOp)
    names, dims = _declare(module, main)
    results = [f"r{place}" for place in range(len(main.type.results))]
    program = Program(module, Weights(), names, results, None, None, dims)
    outputs = compile_program(program, "cpu", cache=False)(*inputs)
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


def _declare(module: Any, main: Any) -> tuple[list[str], dict[str, Any]]:
    """Names arguments and dimensions as an importer does."""
    i64 = ir.IntegerType.get_signless(64, module.context)
    bounds = [ir.IntegerAttr.get(i64, bound) for bound in (0, LARGEST)]
    names, attributes, dims = [], [], {}
    with module.context:
        for place, type_ in enumerate(main.type.inputs):
            names.append(f"x{place}")
            axes = [
                f"n{place}_{axis}" if size == DYNAMIC else ""
                for axis, size in enumerate(type_.shape)
            ]
            dims.update({axis: ir.ArrayAttr.get(bounds) for axis in axes if axis})
            named = ir.ArrayAttr.get([ir.StringAttr.get(axis) for axis in axes])
            attributes.append(
                {"ix.name": ir.StringAttr.get(names[-1]), "ix.dims": named}
            )
        main.attributes["arg_attrs"] = ir.ArrayAttr.get(
            [ir.DictAttr.get(each) for each in attributes]
        )
        module.operation.attributes["ix.dims"] = ir.DictAttr.get(dims)
    return names, {}
