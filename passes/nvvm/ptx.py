"""LLVM IR → PTX, through the NVPTX back end of llvmlite.

Products and sums are not contracted behind the program's back: a fused multiply-add
stands where the code says so. A kernel computes the same bits at every level of
optimisation, and on the CPU the same as here.
"""

from __future__ import annotations

import functools
import hashlib
import re
from typing import Any

import llvmlite
import llvmlite.binding as llvm

from ix.errors import CompileError
from ix.passes.nvvm.remainder import with_remainders
from ix.target import Target

__all__ = ["PTX_FEATURE", "compile_ptx", "ptx_digest"]

PTX_FEATURE = {"sm_100a": "+ptx87", "sm_120a": "+ptx87", "sm_90a": "+ptx83"}
"""The version of PTX that a target is written in; older GPUs take 7.8."""

OLDEST = "+ptx78"

SPEED_LEVEL = 3

LOOP_VECTORS = False
"""A thread has no vectors to compute with: its loops would only become longer."""

_EMPTY_TABLE = re.compile(r"^\s*\.section\s+\.debug_macinfo\s+\{\s*\}\s*$", re.M)


def compile_ptx(llvm_ir: str, target: Target) -> str:
    """Compiles a module to PTX; the same text gives the same PTX.

    Raises:
        CompileError: LLVM does not accept the text, or the code would call a library.
    """
    machine = _machine(target.cpu)
    context = llvm.create_context()
    try:
        module = llvm.parse_assembly(with_remainders(llvm_ir), context)
        module.verify()
    except RuntimeError as error:
        raise CompileError(
            None, f"LLVM needs a valid module, but found: {str(error).strip()}"
        ) from error
    module.triple = target.triple
    module.data_layout = str(machine.target_data)
    options = llvm.create_pipeline_tuning_options(SPEED_LEVEL)
    options.loop_vectorization = options.loop_interleaving = LOOP_VECTORS
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    _check_calls(module)
    return _EMPTY_TABLE.sub("", str(machine.emit_assembly(module)))


def ptx_digest(llvm_ir: str, target: Target) -> str:
    """The cache key of a module's PTX: all that its text depends on."""
    options = f"ptx {SPEED_LEVEL} {LOOP_VECTORS}"
    parts = (llvm_ir, str(target), options, llvmlite.__version__)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@functools.cache
def _machine(cpu: str) -> Any:
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    llvm.set_option("", "-nvptx-fma-level=0")
    return llvm.Target.from_triple("nvptx64-nvidia-cuda").create_target_machine(
        cpu=cpu, features=PTX_FEATURE.get(cpu, OLDEST), opt=3
    )


# What NVPTX has no instruction for ends the process in the back end.
_LIBRARY = re.compile(
    r"@llvm\.(?:exp|exp2|exp10|log|log2|log10|pow|powi|sin|cos|tan|asin|acos|atan"
    r"|atan2|sinh|cosh|tanh)\.\w+|@(?!llvm\.)[\w.$]+"
)


def _check_calls(module: Any) -> None:
    """Refuses calls that the back end cannot make.

    Raises:
        CompileError: Names the function.
    """
    for function in module.functions:
        if function.is_declaration and _LIBRARY.fullmatch(f"@{function.name}"):
            raise CompileError(
                None,
                f"a GPU kernel needs code of its own for every function, but calls "
                f"{function.name}; expand it before the conversion to NVVM",
            )
