"""Finds ix passes by name: `ix-fold-transpose` is `fold_transpose` of the file
`passes/<stage>/fold_transpose.py`. Nothing registers itself; the files are the list.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from functools import cache

import ix.passes
from ix.errors import InputError
from ix.passes.definition import Pass

__all__ = ["STAGE_FOLDERS", "all_passes", "find_pass", "resolve_pass"]

STAGE_FOLDERS = (
    "graph",
    "precision",
    "sparsity",
    "linalg",
    "schedule",
    "cpu",
    "gpu",
    "nvvm",
)
"""The folders of passes, in the order data takes them; not all need to be there."""


def find_pass(name: str) -> Pass | None:
    """The ix pass called `name`, importing its file alone, or None."""
    if not name.startswith("ix-"):
        return None
    module = name.removeprefix("ix-").replace("-", "_")
    for folder, candidate in _pass_files():
        if candidate == module and (found := _pass_of(folder, module)):
            return found
    return None


def all_passes() -> list[tuple[str, Pass]]:
    """Every ix pass with its folder, in the order of folders and file names."""
    found = [(folder, _pass_of(folder, module)) for folder, module in _pass_files()]
    return [(folder, each) for folder, each in found if each is not None]


def resolve_pass(name: str) -> Pass | None:
    """The ix pass called `name`; None for a name that is upstream's to judge.

    Raises:
        InputError: The name is one of ix, but there is no such pass.
    """
    found = find_pass(name)
    if found is None and name.startswith("ix-"):
        names = ["ix-" + module.replace("_", "-") for _, module in _pass_files()]
        likely = difflib.get_close_matches(name, names)
        near = " or ".join(f"'{each}'" for each in likely if find_pass(each))
        hint = f"did you mean {near}?" if near else "--list-passes names them all"
        raise InputError(f"there is no pass '{name}'; {hint}")
    return found


@cache
def _pass_files() -> list[tuple[str, str]]:
    """Folder and module of each file that may define a pass."""
    packages = {m.name for m in pkgutil.iter_modules(ix.passes.__path__) if m.ispkg}
    return [
        (folder, module.name)
        for folder in STAGE_FOLDERS
        if folder in packages
        for module in pkgutil.iter_modules(_path_of(folder))
        if not module.ispkg
    ]


def _path_of(folder: str) -> list[str]:
    return list(importlib.import_module(f"ix.passes.{folder}").__path__)


def _pass_of(folder: str, module: str) -> Pass | None:
    """The pass of a file, which bears the file's name; other files have none."""
    loaded = importlib.import_module(f"ix.passes.{folder}.{module}")
    found = getattr(loaded, module, None)
    return found if isinstance(found, Pass) else None
