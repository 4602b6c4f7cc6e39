"""Rewrites what ix has no op for by PyTorch's own decompositions, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import fx

from ix.importer.torch_export.ops import HANDLERS, IGNORED, SIZES

__all__ = ["decomposed", "decompositions", "is_known"]

MAX_ROUNDS = 4
"""A decomposition may call ops that need one themselves."""


def is_known(target: Any) -> bool:
    """Whether the importer takes a call of this target as it is."""
    if not isinstance(target, torch._ops.OpOverload):
        return True  # a size, getitem or a higher-order op; the walk judges it
    name = str(target)
    return name in HANDLERS or name in IGNORED or name in SIZES


def decomposed(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """The program in functional form, with as few ops taken apart as possible.

    A program that is functional and known already is returned as it is; the caller's
    is never changed.
    """
    unknown = _unknown(program.graph_module)
    if not unknown and not _mutates(program.graph_module):
        return program
    for _ in range(MAX_ROUNDS):
        program = program.run_decompositions(_table(unknown))
        unknown = _unknown(program.graph_module)
        if not _table(unknown):
            break
    return program


def decompositions() -> dict[Any, Callable[..., Any]]:
    """PyTorch's decompositions of every op that the importer does not know."""
    table = torch._decomp.core_aten_decompositions()
    return {op: rule for op, rule in table.items() if not is_known(op)}


def _unknown(module: fx.GraphModule) -> set[Any]:
    """The ATen overloads of a module, and of those inside it, that have no handler."""
    return {
        node.target
        for part in module.modules()
        if isinstance(part, fx.GraphModule)
        for node in part.graph.nodes
        if node.op == "call_function" and not is_known(node.target)
    }


def _mutates(module: fx.GraphModule) -> bool:
    return any(
        isinstance(node.target, torch._ops.OpOverload)
        and node.target._schema.is_mutable
        for part in module.modules()
        if isinstance(part, fx.GraphModule)
        for node in part.graph.nodes
    )


_NOT_HELPFUL = ("aten.fft_", "aten._fft_")
"""Ops whose decompositions end in primitives that ix lacks as well."""


def _table(unknown: set[Any]) -> dict[Any, Callable[..., Any]]:
    """What PyTorch decomposes the unknown ops to; those it cannot are left out."""
    unknown = {op for op in unknown if not str(op).startswith(_NOT_HELPFUL)}
    if not unknown:
        return {}
    found = dict(torch._decomp.get_decompositions(list(unknown)))
    composite = torch.export.default_decompositions()
    for op in unknown - found.keys():
        if op in composite:
            found[op] = composite[op]
    return found
