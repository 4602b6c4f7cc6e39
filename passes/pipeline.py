"""READ FIRST: every stage, what goes in and comes out, and its passes in order.

A string is an upstream pass. A comment stands only where the order matters.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ix.errors import InputError
from ix.mlir import ir
from ix.passes.cpu.kernel_object import LOWER
from ix.passes.framework import Instrumentation, Pass, Stage
from ix.passes.gpu.emit_gpu import emit_gpu
from ix.passes.gpu.merge_launches import merge_launches
from ix.passes.graph.cancel_movement import cancel_movement
from ix.passes.graph.choose_layout import choose_layout
from ix.passes.graph.decompose_attention import decompose_attention
from ix.passes.graph.decompose_conv_transpose import decompose_conv_transpose
from ix.passes.graph.fold_batch_norm import fold_batch_norm
from ix.passes.graph.fold_constants import fold_constants
from ix.passes.graph.fold_padding import fold_padding
from ix.passes.graph.hoist_constants import hoist_constants
from ix.passes.graph.merge_sibling_matmuls import merge_sibling_matmuls
from ix.passes.graph.recognize_attention import recognize_attention
from ix.passes.graph.recognize_causal_mask import recognize_causal_mask
from ix.passes.graph.recognize_gelu import recognize_gelu
from ix.passes.graph.recognize_layer_norm import recognize_layer_norm
from ix.passes.graph.recognize_linear import recognize_linear
from ix.passes.graph.recognize_rms_norm import recognize_rms_norm
from ix.passes.graph.recognize_sigmoid import recognize_sigmoid
from ix.passes.graph.recognize_softmax import recognize_softmax
from ix.passes.graph.simplify_algebra import simplify_algebra
from ix.passes.graph.split_reduction import split_reduction
from ix.passes.graph.split_to_slices import split_to_slices
from ix.passes.linalg.lower_to_linalg import lower_to_linalg
from ix.passes.nvvm.kernel_text import ptx_text
from ix.passes.nvvm.lower_to_nvvm import lower_to_nvvm
from ix.passes.schedule.emit_loops import emit_loops
from ix.passes.schedule.form_kernels import form_kernels
from ix.target import Target

__all__ = [
    "GROUPS",
    "STAGES",
    "leave_out",
    "lower_to",
    "named_target",
    "stages_of",
    "stages_through",
]

GPU = "cuda"

STAGES: tuple[Stage, ...] = (
    Stage("import", "a model → ix: as the importer wrote it", []),
    Stage(
        "graph",
        "ix → ix: cheaper whole-tensor programs",
        [
            split_to_slices,
            fold_constants,
            simplify_algebra,
            # Recognisers compare values: equal ones must be one.
            "cse",
            recognize_softmax,
            recognize_layer_norm,
            # A norm of centered values would pass for one by root mean square.
            recognize_rms_norm,
            # A form of gelu has a sigmoid.
            recognize_sigmoid,
            recognize_gelu,
            recognize_linear,
            recognize_attention,
            recognize_causal_mask,
            # After recognition, so that what it found is fused or written out.
            decompose_attention,
            # Before transposed convolutions lose their channel axis.
            fold_batch_norm,
            fold_padding,
            choose_layout,
            decompose_conv_transpose,
            merge_sibling_matmuls,
            cancel_movement,
            # Norms over channels have come to run over the last axis.
            recognize_layer_norm,
            # After recognition, which knows whole reductions.
            split_reduction,
            "cse",
            # Last: what depends on weights alone leaves @main.
            hoist_constants,
        ],
    ),
    Stage("precision", "ix → ix: a number format for each op", []),
    Stage("sparsity", "ix → ix: a sparse encoding for each weight that has one", []),
    Stage("linalg", "ix → linalg on tensors", [lower_to_linalg, "cse", "canonicalize"]),
    Stage(
        "schedule",
        "linalg → kernels, one function each",
        [form_kernels, merge_launches],
    ),
    # The compiler itself lowers kernel by kernel from here on (compile_program.py).
    Stage("loops", "kernels → loops and vectors on memrefs", [emit_loops], "cpu"),
    Stage("llvm", "loops → llvm", [LOWER], "cpu"),
    Stage("gpu", "kernels → gpu: the code of a thread, and launches", [emit_gpu], GPU),
    Stage("nvvm", "gpu → nvvm and llvm", [lower_to_nvvm], GPU),
    Stage("ptx", "nvvm → the text of PTX", [], GPU, ptx_text),
)

GROUPS: dict[str, tuple[Pass, ...]] = {
    "algebra": (simplify_algebra,),
    "constants": (fold_constants, hoist_constants),
    "fusion": (),  # a decision of ix-form-kernels
    "layout": (fold_padding, choose_layout),
    "movement": (cancel_movement,),
    "recognition": (
        recognize_softmax,
        recognize_layer_norm,
        recognize_rms_norm,
        recognize_sigmoid,
        recognize_gelu,
        recognize_linear,
        recognize_attention,
        recognize_causal_mask,
    ),
    "reductions": (split_reduction,),
    "weights": (fold_batch_norm, merge_sibling_matmuls),
}
"""What a program can be compiled without, to find out which part is at fault."""


def leave_out(module: Any, groups: Iterable[str]) -> None:
    """Marks a module to be compiled without some groups of `GROUPS`.

    The marks are `ix.skip`, the names of passes, and `ix.unfused`.

    Raises:
        InputError: There is no such group.
    """
    names: list[str] = []
    attributes = module.operation.attributes
    for group in groups:
        if group not in GROUPS:
            raise InputError(
                f"there is no group '{group}' of passes; groups: {', '.join(GROUPS)}"
            )
        names += [each.name for each in GROUPS[group]]
        if group == "fusion":
            attributes["ix.unfused"] = ir.UnitAttr.get(module.context)
    with module.context:
        attributes["ix.skip"] = ir.ArrayAttr.get(list(map(ir.StringAttr.get, names)))


def stages_of(target: Target | None) -> tuple[Stage, ...]:
    """The stages that a target has, in order; all of them where it is not known."""
    kinds = ("", target.kind) if target is not None else ("", "cpu", GPU)
    return tuple(stage for stage in STAGES if stage.kind in kinds)


def stages_through(name: str, target: Target | None = None) -> tuple[Stage, ...]:
    """The stages up to and including the one called `name`.

    Args:
        target: What the program is compiled for, where that is known.

    Raises:
        InputError: There is no such stage, or the target does not have it.
    """
    stages = stages_of(target)
    names = [stage.name for stage in stages]
    if name not in names:
        known = ", ".join(names)
        whose = "" if target is None else f" for the target {target.name}"
        raise InputError(f"there is no stage '{name}'{whose}; stages: {known}")
    last = stages[names.index(name)]
    return tuple(
        stage
        for stage in stages[: names.index(name) + 1]
        if stage.kind in ("", last.kind)
    )


def named_target(module: Any) -> Target | None:
    """The target that a module says it is compiled for, or None."""
    attributes = module.operation.attributes
    if "ix.target" not in attributes:
        return None
    return Target.parse(ir.StringAttr(attributes["ix.target"]).value)


def lower_to(
    module: Any, stage_name: str, *, instrument: Instrumentation | None = None
) -> None:
    """Runs the stages up to and including `stage_name` on a module, in place.

    Raises:
        InputError: There is no such stage for the module's target.
        CompileError: A pass refuses the program.
    """
    for stage in stages_through(stage_name, named_target(module)):
        stage.run(module, instrument)
