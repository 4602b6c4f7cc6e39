"""Who may import whom: imports point down, and what is costly is imported late."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PACKAGES = {
    "python/ix": "ix",
    "dialects": "ix.dialects",
    "passes": "ix.passes",
    "tools": "ix.tools",
}

# Bottom first. A module may import its own unit and the units of lower rows; the
# longest prefix decides. A new module needs a place here.
LAYERS = (
    ("ix.errors", "ix.version"),
    ("ix.dim", "ix.knobs", "ix.mlir", "ix.runtime.sizes"),
    ("ix.target", "ix.runtime.plan", "ix.runtime.tensor_map"),
    ("ix.cost", "ix.emulator"),
    ("ix.dialects", "ix.runtime"),
    ("ix.cost.measure",),
    ("ix.passes", "ix.importer", "ix.emit"),
    ("ix.session_types",),
    ("ix.program_cache",),
    ("ix.compiler",),
    ("ix.session_providers",),
    ("ix.api", "ix.nn", "ix.session"),
    ("ix.torch_model",),
    ("ix.models", "ix.torch_backend"),
    ("ix",),
    ("ix.tools",),
)
LAYER_OF = {unit: rank for rank, row in enumerate(LAYERS) for unit in row}

# What a row below may not use although it lies lower.
FORBIDDEN = (
    ("ix.runtime", "ix.mlir"),
    ("ix.runtime", "ix.dialects"),
    ("ix.passes", "ix.runtime"),
    ("ix.importer", "ix.runtime"),
    ("ix.errors", "ix.mlir"),
)

# Packages that only these modules may import, at any depth of a function.
ONLY_IN = {
    "torch_mlir": ("ix.mlir",),
    "llvmlite": ("ix.passes.cpu", "ix.passes.nvvm", "ix.target", "ix.program_cache"),
    "onnx": ("ix.importer.onnx", "ix.tools"),
    "torch": (
        "ix.importer",
        "ix.models",
        "ix.runtime.arrays",
        "ix.tools",
        "ix.torch_backend",
        "ix.torch_model",
    ),
    "cupy": ("ix.runtime.cuda",),
    "cuda": ("ix.runtime.cuda",),
}

# `import ix` must not pay for these.
HEAVY = ("torch_mlir", "torch", "cupy", "llvmlite", "onnx", "ix.mlir")


def modules() -> dict[str, Path]:
    """Every module of ix with its file."""
    found: dict[str, Path] = {}
    for folder, package in PACKAGES.items():
        for file in sorted((ROOT / folder).rglob("*.py")):
            parts = file.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join([package, *parts]).removesuffix(".__init__")] = file
    return found


MODULES = modules()


def imports_of(tree: ast.AST, *, top_level_only: bool = False) -> Iterator[str]:
    """The modules that a file imports; `from a import b` gives a.b if that is one."""
    nodes = ast.iter_child_nodes(tree) if top_level_only else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, "imports are absolute"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES else node.module


def unit_of(module: str) -> str:
    """The longest prefix of a module that has a layer; the module itself if none."""
    prefix = module
    while prefix not in LAYER_OF and "." in prefix:
        prefix = prefix.rpartition(".")[0]
    # The row of `ix` itself is for the file ix/__init__.py alone.
    return module if prefix == "ix" and module != "ix" else prefix


def problem_with(importer: str, imported: str) -> str | None:
    """Why `importer` may not import `imported`, or None if it may."""
    low, high = unit_of(imported), unit_of(importer)
    for unit in (low, high):
        if unit not in LAYER_OF:
            return f"{unit} has no layer; give it one in test_layers.py"
    if low == high:
        return None
    if LAYER_OF[low] >= LAYER_OF[high]:
        return f"{importer} imports {imported}, which does not lie below it"
    if (high, low) in FORBIDDEN:
        return f"{importer} imports {imported}, which {high} must not use"
    return None


def problems_in(importer: str, source: str) -> list[str]:
    """The rules that the imports of one file break."""
    found: list[str] = []
    for imported in imports_of(ast.parse(source)):
        top = imported.partition(".")[0]
        if top == "ix":
            found.append(problem_with(importer, imported) or "")
        for package, users in ONLY_IN.items():
            if top == package and not any(
                importer == user or importer.startswith(f"{user}.") for user in users
            ):
                found.append(f"{importer} imports {package}; only {users} may")
    return [problem for problem in found if problem]


def test_imports_point_down() -> None:
    problems = [
        p for name, file in MODULES.items() for p in problems_in(name, file.read_text())
    ]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    ("importer", "source"),
    [
        ("ix.runtime.pool", "from ix.mlir import ir"),
        ("ix.runtime.pool", "def late():\n    from ix.mlir import ir"),
        ("ix.passes.graph.x", "from ix.tools import ix_opt"),
        ("ix.passes.graph.x", "import ix.compiler"),
        ("ix.passes.graph.x", "from ix.runtime import executable"),
        ("ix.dialects.ix.x", "from ix.passes.framework import pattern"),
        ("ix.importer.x", "from ix.passes.framework import pattern"),
        ("ix.passes.graph.x", "import torch_mlir.ir"),
        ("ix.compiler", "import llvmlite.binding"),
        ("ix.brand_new", "import ix.errors"),
    ],
)
def test_an_import_that_points_up_is_found(importer: str, source: str) -> None:
    assert problems_in(importer, source)


def test_an_import_that_points_down_is_not() -> None:
    assert not problems_in(
        "ix.passes.graph.x", "from ix.mlir import ir\nimport ix.runtime.plan"
    )
    assert not problems_in(
        "ix.runtime.pool", "from ix.runtime import plan\nimport ix.errors"
    )


def foreign_passes(importer: str, source: str) -> list[str]:
    """The passes of other stages that a file of a stage imports by name."""
    stage = importer.split(".")[2]
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ImportFrom) or not node.module:
            continue
        parts = node.module.split(".")
        if parts[:2] != ["ix", "passes"] or len(parts) < 4 or parts[2] == stage:
            continue
        found += [node.module for alias in node.names if alias.name == parts[-1]]
    return found


def test_a_stage_imports_no_pass_of_another_stage() -> None:
    for name, file in MODULES.items():
        if name.startswith("ix.passes.") and name.count(".") >= 3:
            assert not foreign_passes(name, file.read_text()), name
    source = "from ix.passes.linalg.lower_to_linalg import lower_to_linalg"
    assert foreign_passes("ix.passes.schedule.x", source)
    assert not foreign_passes("ix.passes.linalg.x", source)


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    graph = {
        name: {
            m
            for m in imports_of(ast.parse(file.read_text()), top_level_only=True)
            if m in MODULES
        }
        for name, file in MODULES.items()
    }
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " → ".join([*path, name])
        if name in done:
            return
        for imported in sorted(graph[name]):
            visit(imported, (*path, name))
        done.add(name)

    for name in graph:
        visit(name, ())


def test_dialects_do_not_postpone_annotations() -> None:
    # ext reads annotations as objects; as strings, operands silently become attributes.
    for file in sorted((ROOT / "dialects").rglob("*.py")):
        assert "from __future__ import annotations" not in file.read_text(), file


def loaded_by(statement: str) -> set[str]:
    """The modules that a fresh interpreter has after a statement."""
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    return set(
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.split()
    )


def test_import_ix_is_light() -> None:
    loaded = loaded_by("import ix")
    assert "ix" in loaded
    assert not loaded & set(HEAVY)


def test_the_runtime_needs_numpy_alone() -> None:
    # What loads and runs a saved executable works where nothing compiles.
    names = [n for n in MODULES if n.startswith("ix.runtime.") or n == "ix.artifact"]
    loaded = loaded_by(f"import {', '.join(names)}")
    assert set(names) <= loaded
    assert not loaded & set(HEAVY)


def test_a_heavy_import_is_seen() -> None:
    assert "torch_mlir" in loaded_by("import ix, ix.mlir")
