"""THE SPINE: a program from an importer → stages → code → an executable.

    compile_program(program, target)    all of it
    lower(program, target, stage)       the module after one stage
    lower_text(program, target, stage)  the same to read; PTX after the last for a GPU

The disk cache holds whole programs (keyed by the imported module, the target and the
versions) and single kernels (keyed by their LLVM IR), never the weights.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from ix import knobs
from ix.cost.cuda_tools import find_tool
from ix.dialects.ix import reference
from ix.dialects.ix.shapes import numpy_dtype
from ix.importer.program import Program
from ix.importer.weights import Weights
from ix.mlir import ir, ops_in
from ix.passes.compiled_program import CompiledProgram
from ix.passes.cpu.compile_program import compile_cpu
from ix.passes.framework import Stage
from ix.passes.gpu.compile_program import compile_gpu
from ix.passes.pipeline import stages_of, stages_through
from ix.passes.schedule.form_kernels import main_of, main_sizes
from ix.passes.schedule.program import ConstantSource
from ix.program_cache import load_program, program_digest, store_program
from ix.runtime.arrays import aligned_copy
from ix.runtime.cache import DiskCache, default_cache
from ix.runtime.executable import Executable
from ix.runtime.load import executable_of
from ix.runtime.plan import Constant, Tensor
from ix.target import Target

__all__ = ["code_of", "compile_program", "lower", "lower_text", "parse_target"]

SHARED_BYTES = 1 << 20
"""Read-only weights from here on stay in the caller's memory where a kernel can."""


def parse_target(text: str | Target) -> Target:
    """A target from its name; "cpu" is this host."""
    return text if isinstance(text, Target) else Target.parse(text)


def lower(program: Program, target: str | Target, stage: str) -> Any:
    """The module after a stage, in the program's context.

    Raises:
        InputError: There is no such stage for the target.
        CompileError: A pass refuses the program.
    """
    return _lowered(program, parse_target(target), stage)[0]


def lower_text(program: Program, target: str | Target, stage: str) -> str:
    """What `lower` gives, as text; PTX for the stage "ptx".

    Raises:
        InputError: There is no such stage for the target.
        CompileError: A pass refuses the program.
    """
    module, last = _lowered(program, parse_target(target), stage)
    with module.context, ir.Location.unknown():
        return last.show(module)


def _lowered(program: Program, target: Target, name: str) -> tuple[Any, Stage]:
    """The module after a stage, and the stage."""
    stages = stages_through(name, target)
    module = _copy(program, target)
    with module.context, ir.Location.unknown():
        for stage in stages:
            stage.run(module)
    return module, stages[-1]


def compile_program(
    program: Program,
    target: str | Target = "cpu",
    *,
    num_threads: int | None = None,
    cache: bool = True,
    device: Any = None,
) -> Executable:
    """Compiles an imported program.

    Args:
        program: From an importer; it is not changed.
        target: A target or its name.
        num_threads: Threads of one call; None: IX_NUM_THREADS, else all processors.
        cache: Whether the disk cache is read and written.
        device: Where a GPU program runs: "cuda" (the default), "cuda:1", "emulator",
            or "none" for what is only saved or explained.

    Raises:
        CompileError: The program cannot be compiled for the target.
    """
    chosen = parse_target(target)
    disk = default_cache() if cache else None
    module = _copy(program, chosen)
    assembler = _assembler(chosen, device)
    with module.context, ir.Location.unknown():
        digest = program_digest(module, chosen, assembler)
        compiled = load_program(disk, digest)
        if compiled is None:
            compiled = _compile(module, chosen, disk, bool(assembler))
            store_program(disk, digest, compiled)
        constants = _constants(compiled, program.weights)
    return executable_of(
        compiled.plan, compiled.objects, constants, num_threads, device
    )


def _assembler(target: Target, device: Any) -> str:
    """Where ptxas is, if a GPU is going to run the program; the emulator runs PTX."""
    name = "cuda" if device is None else str(device)
    if target.kind == "cpu" or not name.startswith(("cuda", "none")):
        return ""
    return str(find_tool("ptxas") or "")


def code_of(program: Program, target: str | Target = "cpu") -> CompiledProgram:
    """The plan, the objects and each kernel's LLVM IR, made anew.

    Raises:
        CompileError: The program cannot be compiled for the target.
    """
    chosen = parse_target(target)
    module = _copy(program, chosen)
    with module.context, ir.Location.unknown():
        return _compile(module, chosen, None)


def _copy(program: Program, target: Target) -> Any:
    """The program's module again, with the target on it."""
    text = program.module.operation.get_asm(enable_debug_info=True)
    module = ir.Module.parse(text, program.module.context)
    with program.module.context:
        module.operation.attributes["ix.target"] = ir.StringAttr.get(str(target))
    return module


def _compile(
    module: Any, target: Target, disk: DiskCache | None, machine_code: bool = True
) -> CompiledProgram:
    """Runs the stages, then the code generator."""
    signature = _Signature(module)
    dump = knobs.dump_folder()
    for number, stage in enumerate(stages_through("schedule", target)):
        stage.run(module)
        if dump is not None:
            _dump(dump, number, stage, module)
    if dump is not None:
        _dump_code_stages(dump, module, target)

    def cached(digest: str, make: Callable[[], bytes]) -> bytes:
        return make() if disk is None else disk.fetch("objects", digest, make)

    tensors = signature.tensors(module)
    if target.kind == "cpu":
        return compile_cpu(module, target, tensors, signature.name, cached)
    return compile_gpu(
        module, target, tensors, signature.name, cached, machine_code=machine_code
    )


def _dump(folder: Path, number: int, stage: Stage, module: Any) -> None:
    """Writes what a module is after a stage."""
    folder.mkdir(parents=True, exist_ok=True)
    if stage.text is not None:
        (folder / f"{number}-{stage.name}.txt").write_text(stage.show(module))
        return
    text = module.operation.get_asm(enable_debug_info=True)
    (folder / f"{number}-{stage.name}.mlir").write_text(text)


def _dump_code_stages(folder: Path, module: Any, target: Target) -> None:
    """Runs the stages after "schedule" on a copy: the code generators skip them."""
    text = module.operation.get_asm(enable_debug_info=True)
    copy = ir.Module.parse(text, module.context)
    done = len(stages_through("schedule", target))
    for number, stage in enumerate(stages_of(target)[done:], done):
        stage.run(copy)
        _dump(folder, number, stage, copy)


class _Signature:
    """Names and dtypes of inputs and outputs, as the importer saw them."""

    def __init__(self, module: Any) -> None:
        main = main_of(module)
        attributes = module.operation.attributes
        self.name = "main"
        if "sym_name" in attributes:
            self.name = ir.StringAttr(attributes["sym_name"]).value
        kind = main.type
        self.inputs = _names(main, "arg_attrs", "arg", len(kind.inputs))
        self.outputs = _names(main, "res_attrs", "out", len(kind.results))
        self.input_dtypes = [numpy_dtype(t.element_type).name for t in kind.inputs]
        self.output_dtypes = [numpy_dtype(t.element_type).name for t in kind.results]

    def tensors(self, module: Any) -> tuple[list[Tensor], list[Tensor]]:
        """The signature with the sizes that @main computes after all stages."""
        main = main_of(module)
        sizes = main_sizes(main)
        block = main.entry_block
        results = block.operations[len(block.operations) - 1].operation.operands
        inputs = [
            Tensor(name, dtype, sizes.shape(value))
            for name, dtype, value in zip(
                self.inputs, self.input_dtypes, block.arguments, strict=True
            )
        ]
        outputs = [
            Tensor(name, dtype, sizes.shape(value))
            for name, dtype, value in zip(
                self.outputs, self.output_dtypes, results, strict=True
            )
        ]
        return inputs, outputs


def _names(main: Any, key: str, prefix: str, count: int) -> list[str]:
    """`ix.name` of each argument or result; made up where there is none."""
    attributes = main.operation.attributes
    names = [f"{prefix}{number}" for number in range(count)]
    if key in attributes:
        for number, entry in enumerate(ir.ArrayAttr(attributes[key])):
            one = ir.DictAttr(entry)
            if "ix.name" in one:
                names[number] = ir.StringAttr(one["ix.name"]).value
    return names


def _constants(compiled: CompiledProgram, weights: Weights) -> list[np.ndarray]:
    """Evaluates, packs and aligns the constants; fills in the plan's entries."""
    folded = _fold(compiled.constants_module, weights)

    def found(source: ConstantSource) -> np.ndarray:
        array = source.data
        if array is None:
            array = folded.get(source.name)
        return weights.array(source.name) if array is None else array

    def placed(source: ConstantSource, array: np.ndarray) -> np.ndarray:
        if source.packing is not None:
            return aligned_copy(np.asarray(source.packing.apply(array)))
        array = np.asarray(array)
        return array if _is_mapped(array) else aligned_copy(array)

    # NumPy lets other threads run while it copies.
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 8)) as pool:
        arrays = list(
            pool.map(placed, compiled.constants, map(found, compiled.constants))
        )
    entries = [
        Constant(entry.key, array.dtype.name, tuple(array.shape), source.name)
        for source, entry, array in zip(
            compiled.constants, compiled.plan.constants, arrays, strict=True
        )
    ]
    compiled.plan = dataclasses.replace(compiled.plan, constants=tuple(entries))
    return arrays


def _is_mapped(array: np.ndarray) -> bool:
    """Whether a large array can stay where it is: nobody may write to it."""
    flags = array.flags
    return (
        bool(flags.c_contiguous)
        and not flags.writeable
        and array.nbytes >= SHARED_BYTES
    )


def _fold(text: str, weights: Weights) -> dict[str, np.ndarray]:
    """Runs @constants on the weights: what depends on nothing else, once."""
    if not text:
        return {}
    module = ir.Module.parse(text)
    (function,) = module.body.operations
    needed = {
        ir.StringAttr(op.operation.attributes["name"]).value
        for op in ops_in(module)
        if op.operation.name == "ix.parameter"
    }
    parameters = {name: weights.array(name) for name in needed}
    results = reference.evaluate(function, [], parameters)
    return {f"@{number}": array for number, array in enumerate(results)}
