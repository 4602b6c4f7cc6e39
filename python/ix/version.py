"""The version of ix, and a digest of the compiler's own sources for cache keys."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

__all__ = ["__version__", "build_digest"]

__version__ = "0.1.0"


@cache
def build_digest() -> str:
    """Changes whenever a file of the compiler does, so that no stale code is found.

    Sizes and times of the sources stand for their contents.
    """
    import ix.dialects
    import ix.passes

    roots = [Path(__file__).parent]
    roots += [Path(p) for m in (ix.dialects, ix.passes) for p in m.__path__]
    parts = [__version__]
    for root in roots:
        for path in sorted(root.rglob("*.py")):
            status = path.stat()
            parts.append(f"{path.name}:{status.st_size}:{status.st_mtime_ns}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
