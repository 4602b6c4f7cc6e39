"""Compiles programs for a GPU and runs them in the emulator, with all its checks.

The tests of ops, graphs and models for the CPU call `compile_program`, or
`linalg_runner.run`. A `GpuRunner` takes their place, so that the same bodies test GPU
code: each launch is checked for races, for accesses out of bounds and for reads of
memory that nobody wrote.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import compiled_runner
import linalg_runner
import numpy as np

from ix import compiler
from ix.cost.ptxas import KernelResources, assemble
from ix.dialects.ix.reference import evaluate
from ix.emulator.device import EmulatorDevice

__all__ = [
    "CONFIGURATIONS",
    "Assembler",
    "GpuRunner",
    "load_tests",
    "runner_of",
    "share_tests",
]

FOLDER = Path(__file__).parents[1]

CONFIGURATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "sm_80": ("sm_80", {}),
    "sm_90a": ("sm_90a", {}),
    "sm_80-random": ("sm_80", {"schedule": 1, "completion": "early"}),
    "sm_90a-random": ("sm_90a", {"schedule": 2, "completion": "early"}),
    "ptxas": ("", {}),
}
"""Name → target, and how the emulator runs: in lock step with late completion of
asynchronous work, or in a random order of the warps with early completion. The last one
runs nothing: ptxas assembles the kernels for `ASSEMBLED`."""

ASSEMBLED = ("sm_80", "sm_90a", "sm_100a")

ENTRY_POINTS = ("compile_program", "compiled_runner", "linalg_runner")
"""Names that a function mentions which compiles something."""

compile_for = compiler.compile_program


@dataclass
class GpuRunner:
    """Stands in for `ix.compiler.compile_program` and `linalg_runner.run`.

    Args:
        target: The GPU that programs are compiled for, and that the emulator is.
        options: What else the emulator takes.

    Attributes:
        programs: How many programs were compiled so far.
        launches: The symbol and the counters of each launch so far.
    """

    target: str
    options: dict[str, Any] = field(default_factory=dict)
    programs: int = 0
    launches: list[tuple[str, Any]] = field(default_factory=list)

    def compile_program(self, program: Any, *_: Any, **__: Any) -> Any:
        """Compiles for `self.target`, whatever target the caller names."""
        device = EmulatorDevice(self.target, **self.options)
        device.launches = self.launches
        executable = compile_for(program, self.target, device=device)
        self.programs += 1
        return executable

    def run(self, module: Any, inputs: list[Any]) -> list[Any]:
        """Compiles @main of a module and calls it.

        A dynamic size may be a little larger than it is: the arena is planned for the
        upper bounds, and the emulator keeps a record of every byte.
        """
        bounds = [[size + 3 for size in np.shape(array)] for array in inputs]
        program = compiled_runner.program_of(module, bounds)
        return list(self.compile_program(program).run_flat(inputs))

    def install(self, monkeypatch: Any, modules: Iterable[ModuleType] = ()) -> None:
        """Takes the compiler's place, in modules that have imported it already too."""
        for module in (compiler, compiled_runner, *modules):
            if hasattr(module, "compile_program"):
                monkeypatch.setattr(module, "compile_program", self.compile_program)
        for module in (linalg_runner, *modules):
            if hasattr(module, "run") and module.__name__.endswith("_runner"):
                monkeypatch.setattr(module, "run", self.run)


class Assembler(GpuRunner):
    """Has ptxas assemble every kernel; results are the reference's.

    Attributes:
        assembled: The resources of each kernel so far, by target and symbol.
    """

    def __init__(self) -> None:
        super().__init__("ptxas")
        self.assembled: dict[tuple[str, str], KernelResources] = {}

    def compile_program(self, program: Any, *_: Any, **__: Any) -> Any:
        """Compiles for all of `ASSEMBLED`.

        Raises:
            AssertionError: A kernel spills.
            AssemblyError: ptxas refuses the code.
        """
        self.programs += 1
        for target in ASSEMBLED:
            compiled = compiler.code_of(program, target)
            for symbol, code in zip(
                compiled.plan.kernels, compiled.objects[::2], strict=True
            ):
                self._assemble(target, symbol.symbol, code.decode())
        return Reference(program)

    def _assemble(self, target: str, symbol: str, ptx: str) -> None:
        if (target, symbol) in self.assembled:
            return
        found = assemble(ptx, target).kernels[symbol]
        self.assembled[target, symbol] = found
        assert not found.spill_bytes, f"{symbol} spills on {target}: {found}\n{ptx}"


@dataclass
class Reference:
    """A program that the NumPy reference computes; has what tests use of executables."""

    program: Any

    def __call__(self, *arrays: Any) -> list[Any]:
        return self.run_flat(arrays)

    def array_call(self) -> None:
        """It has no shorter call for arrays."""

    def run_flat(self, arrays: Any) -> list[Any]:
        """One array for each result, in the dtype of the signature."""
        program = self.program
        weights = {name: program.weights.array(name) for name in program.weights}
        with program.module.context:
            return list(evaluate(program.module, list(arrays), weights))


def runner_of(configuration: str) -> GpuRunner:
    """The runner of one of `CONFIGURATIONS`."""
    target, options = CONFIGURATIONS[configuration]
    return GpuRunner(target, options) if target else Assembler()


def load_tests(file: str) -> ModuleType:
    """A file of tests below test/python as a module of its own."""
    name = "shared_" + file.removesuffix(".py").replace("/", "_")
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, FOLDER / file)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


def share_tests(namespace: dict[str, Any], module: ModuleType) -> None:
    """Adds those tests of a module that compile something to another module."""
    stem = module.__name__.rpartition("test_")[2]
    for name, value in vars(module).items():
        is_test = name.startswith("test_") and isinstance(value, FunctionType)
        if is_test and _compiles(value, set()):
            namespace[f"test_{stem}_{name.removeprefix('test_')}"] = value


def _compiles(function: FunctionType, seen: set[str]) -> bool:
    """Whether a function mentions an entry point, or calls one that does."""
    for name in _names(function.__code__) - seen:
        seen.add(name)
        if name in ENTRY_POINTS:
            return True
        called = function.__globals__.get(name)
        if isinstance(called, FunctionType) and _compiles(called, seen):
            return True
    return False


def _names(code: CodeType) -> set[str]:
    inner = [each for each in code.co_consts if isinstance(each, CodeType)]
    return set(code.co_names).union(*map(_names, inner))
