"""What ix-opt can list: passes, dialects, versions."""

from __future__ import annotations

from ix.dialects.ix import Ix
from ix.passes.registry import all_passes
from ix.tools.upstream import UPSTREAM_DIALECTS, UPSTREAM_PASSES
from ix.version import __version__

__all__ = ["dialects_text", "pass_names", "passes_text", "version_text"]


def pass_names() -> list[str]:
    """The names of all passes: those of ix, then upstream's."""
    return [each.name for _, each in all_passes()] + list(UPSTREAM_PASSES)


def passes_text() -> str:
    """All passes; those of ix with their folder, options and summary."""
    lines: list[str] = []
    folder_before = ""
    for folder, each in all_passes():
        if folder != folder_before:
            lines.append(f"ix passes, {folder}:")
            folder_before = folder
        lines.append(f"  --{each.name}")
        lines.append(f"      {each.summary}")
        for option in each.options:
            kind = f"list of {option.kind}" if option.is_list else option.kind
            lines.append(f"      {option.name}: {kind} = {option.default}")
    lines.append("upstream passes:")
    lines += [f"  --{name}" for name in UPSTREAM_PASSES]
    return "\n".join(lines)


def dialects_text() -> str:
    """All dialects, in one line, as mlir-opt prints them."""
    names = sorted({Ix.DIALECT_NAMESPACE, *UPSTREAM_DIALECTS})
    return f"Available Dialects: {','.join(names)}"


def version_text() -> str:
    """The versions of ix and of its MLIR host."""
    # Imported here: it takes 15 ms, which other runs do not pay for.
    from importlib.metadata import version

    return f"ix-opt {__version__} (MLIR of torch-mlir {version('torch-mlir')})"
