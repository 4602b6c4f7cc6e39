"""Finds and runs the programs of the CUDA toolkit: ptxas and nvdisasm."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from ix import knobs
from ix.cost.errors import ToolNotFound

__all__ = ["find_tool", "require_tool", "run"]

_TIMEOUT = 300  # seconds; a kernel takes well under one

# Folders of the packages on PyPI under `nvidia`, the newest toolkit first:
# nvidia-cuda-nvcc and nvidia-cuda-nvdisasm (cu13), nvidia-cuda-nvcc-cu12 (cuda_nvcc).
_FOLDERS = ("cu13", "cuda_nvcc", "cuda_nvdisasm")
_PACKAGES = {"ptxas": "nvidia-cuda-nvcc", "nvdisasm": "nvidia-cuda-nvdisasm"}
_TOOLKIT = Path("/usr/local/cuda/bin")  # where NVIDIA's installers put it


def find_tool(name: str) -> Path | None:
    """Where `ptxas` or `nvdisasm` is; None if it is not installed.

    The environment variable comes first (`ix.knobs`), then the path, the packages of
    pip, and the toolkit's own folder.
    """
    override = {"ptxas": knobs.ptxas, "nvdisasm": knobs.nvdisasm}[name]()
    if override is not None:
        return override
    found = shutil.which(name)
    if found:
        return Path(found)
    return next((p for p in _candidates(name) if p.is_file()), None)


def require_tool(name: str) -> Path:
    """Where `ptxas` or `nvdisasm` is.

    Raises:
        ToolNotFound: It is not installed, or not where the environment says.
    """
    path = find_tool(name)
    if path is None:
        raise ToolNotFound(
            f"'{name}' needs the CUDA toolkit, but it is not on the path nor among the "
            f"installed packages; run `pip install {_PACKAGES[name]}` or set "
            f"IX_{name.upper()}"
        )
    if not path.is_file():
        raise ToolNotFound(
            f"IX_{name.upper()} needs the path of a program, but '{path}' is none; "
            "unset it or correct it"
        )
    return path


def run(tool: Path, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Runs a tool to its end; whether it succeeded is for the caller to see.

    Raises:
        ToolNotFound: It cannot be run, or does not come to an end.
    """
    try:
        return subprocess.run(
            [str(tool), *arguments],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolNotFound(
            f"'{tool.name}' needs to run, but {tool} does not: {error}; install it anew"
        ) from error


def _candidates(name: str) -> Iterator[Path]:
    spec = importlib.util.find_spec("nvidia")
    roots = [Path(p) for p in (spec.submodule_search_locations or ())] if spec else []
    for folder in _FOLDERS:
        for root in roots:
            yield root / folder / "bin" / name
    yield _TOOLKIT / name
