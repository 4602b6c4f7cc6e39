"""Every environment variable that ix reads, one function each.

IX_CACHE          0: nothing is kept on disk
IX_CACHE_DIR      folder of the cache instead of the user's
IX_CACHE_LIMIT    size of the cache in MiB, default 1024
IX_DUMP           folder that gets every stage of every compile as text
IX_NUM_THREADS    threads of one call, instead of all processors
IX_NVDISASM       nvdisasm, instead of the one that is found
IX_PTXAS          ptxas, instead of the one that is found
"""

from __future__ import annotations

import os
from pathlib import Path

from ix.errors import InputError

__all__ = [
    "cache_enabled",
    "cache_folder",
    "cache_limit_bytes",
    "dump_folder",
    "num_threads",
    "nvdisasm",
    "ptxas",
]


def cache_enabled() -> bool:
    """IX_CACHE: whether compiled code is kept on disk."""
    return os.environ.get("IX_CACHE", "1") != "0"


def cache_folder() -> str | None:
    """IX_CACHE_DIR: where compiled code is kept; None: the user's cache folder."""
    return os.environ.get("IX_CACHE_DIR") or None


def cache_limit_bytes() -> int:
    """IX_CACHE_LIMIT: size of the cache, given in MiB."""
    return _integer("IX_CACHE_LIMIT", 1024) << 20


def dump_folder() -> Path | None:
    """IX_DUMP: where each stage of each compile is written; None: nowhere."""
    folder = os.environ.get("IX_DUMP")
    return Path(folder) if folder else None


def num_threads() -> int | None:
    """IX_NUM_THREADS: threads of one call; None: as many as processors."""
    return _integer("IX_NUM_THREADS", 0) or None


def nvdisasm() -> Path | None:
    """IX_NVDISASM: the disassembler of cubins; None: it is looked for."""
    return _path("IX_NVDISASM")


def ptxas() -> Path | None:
    """IX_PTXAS: the assembler of PTX; None: it is looked for."""
    return _path("IX_PTXAS")


def _path(name: str) -> Path | None:
    path = os.environ.get(name)
    return Path(path) if path else None


def _integer(name: str, default: int) -> int:
    text = os.environ.get(name)
    if text is None:
        return default
    if not text.isdecimal():
        raise InputError(
            f"environment variable {name} needs a whole number, but it is '{text}'; "
            "unset it or correct it"
        )
    return int(text)
