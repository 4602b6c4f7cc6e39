"""Rewrites what ix has no op for by PyTorch's own decompositions, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import fx

from ix.importer.torch_export.ops import HANDLERS, IGNORED, SIZES

__all__ = ["decomposed", "decompositions", "functional_name", "is_known"]

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
        for node in _calls(module)
        if not is_known(node.target) and functional_name(node.target) not in HANDLERS
    }


def _mutates(module: fx.GraphModule) -> bool:
    """Whether something is written to that could be seen elsewhere."""
    order = {node: at for at, node in enumerate(_calls(module))}
    return any(
        node.target._schema.is_mutable and not _is_private(node, order)
        for node in order
        if isinstance(node.target, torch._ops.OpOverload)
    )


def _calls(module: fx.GraphModule) -> list[fx.Node]:
    return [
        node
        for part in module.modules()
        if isinstance(part, fx.GraphModule)
        for node in part.graph.nodes
        if node.op == "call_function"
    ]


def functional_name(target: Any) -> str:
    """`aten.relu.default` of `aten.relu_.default`; other names as they are."""
    package, _, rest = str(target).partition(".")
    name, _, overload = rest.partition(".")
    if not name.startswith("__"):
        name = name.removesuffix("_")
    return f"{package}.{name}.{overload}"


def _is_private(node: fx.Node, order: Mapping[fx.Node, int]) -> bool:
    """Whether a call writes to a new tensor that nothing else reads any more.

    Then it is the functional op: relu_(conv(x)) is relu(conv(x)).
    """
    written = node.args[0] if node.args else None
    if not isinstance(written, fx.Node) or functional_name(node.target) not in HANDLERS:
        return False
    if not _is_new(written) and functional_name(written.target) not in _NEW_MEMORY:
        return False
    readers = [user for user in written.users if user is not node]
    return all(_is_new(user) and order[user] < order[node] for user in readers)


def _is_new(node: fx.Node) -> bool:
    """Whether a call's result shares no memory with its arguments."""
    return node.op == "call_function" and str(node.target) in _NEW_MEMORY


_NEW_MEMORY = frozenset(
    f"aten.{name}"
    for name in (
        "add.Tensor sub.Tensor mul.Tensor div.Tensor relu.default hardtanh.default "
        "silu.default gelu.default hardswish.default hardsigmoid.default "
        "sigmoid.default leaky_relu.default conv1d.default conv2d.default "
        "conv3d.default conv_transpose2d.input linear.default matmul.default "
        "mm.default bmm.default addmm.default batch_norm.default layer_norm.default "
        "group_norm.default max_pool2d.default avg_pool2d.default cat.default "
        "embedding.default softmax.int scaled_dot_product_attention.default "
        "_native_batch_norm_legit_no_training.default"
    ).split()
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
