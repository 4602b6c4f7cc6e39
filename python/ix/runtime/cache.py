"""The cache on disk: immutable entries named by the digest of what they depend on.

    <cache folder>/objects/ab/abcdef….o

An entry is written to a temporary file and renamed, so a reader sees all of it or none,
whoever is killed when. The first 32 bytes are the checksum of the rest: a damaged entry
counts as missing. A cache that cannot be written is no error; nothing is kept then.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from ix import knobs

__all__ = ["DiskCache", "default_cache"]


class DiskCache:
    """Entries below one folder.

    Args:
        folder: Made on the first write, private to the user.
        limit_bytes: Above this the entries used longest ago are removed.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self.hits = 0
        self.misses = 0

    def get(self, kind: str, digest: str) -> bytes | None:
        """The entry, or None where it is missing, damaged or unreadable."""
        path = self._path(kind, digest)
        try:
            data = path.read_bytes()
        except OSError:
            data = b""
        body = data[32:]
        if len(data) < 32 or hashlib.sha256(body).digest() != data[:32]:
            self.misses += 1
            return None
        self.hits += 1
        with contextlib.suppress(OSError):
            os.utime(path)  # eviction goes by the time of the last use
        return body

    def put(self, kind: str, digest: str, body: bytes) -> None:
        """Keeps an entry; does nothing where the folder cannot be written."""
        path = self._path(kind, digest)
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
        except OSError:
            return
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(body).digest())
                file.write(body)
            os.replace(name, path)
        except OSError:  # the disk is full: the entry is not kept
            with contextlib.suppress(OSError):
                os.unlink(name)
            return
        except BaseException:  # Ctrl-C: nothing half-written stays
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise

    def fetch(self, kind: str, digest: str, make: Callable[[], bytes]) -> bytes:
        """The entry; made and kept where it is missing."""
        body = self.get(kind, digest)
        if body is None:
            body = make()
            self.put(kind, digest, body)
        return body

    def trim(self) -> None:
        """Removes the entries used longest ago until the limit is met."""
        entries = []
        for path in self.folder.glob("*/*/*"):
            with contextlib.suppress(OSError):
                status = path.stat()
                entries.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= self.limit_bytes:
                break
            with contextlib.suppress(OSError):
                path.unlink()
                total -= size

    def _path(self, kind: str, digest: str) -> Path:
        return self.folder / kind / digest[:2] / digest


def default_cache() -> DiskCache | None:
    """The user's cache, or None where IX_CACHE=0 turns it off."""
    if not knobs.cache_enabled():
        return None
    folder = knobs.cache_folder()
    if folder is None:
        import platformdirs

        folder = platformdirs.user_cache_dir("ix")
    return DiskCache(Path(folder), knobs.cache_limit_bytes())
