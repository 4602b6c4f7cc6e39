"""Weights outside the model file: opened beneath its folder, never through a link.

A model names its weight files itself, so the name is not to be trusted: no absolute
path, no `..`, no symbolic or hard link on the way, and offset + length within the
file. Each component is opened relative to its folder's descriptor with O_NOFOLLOW, so
that nothing can be swapped between the check and the use.

Source: onnx/docs/ExternalDataSecurity.md; CVE-2024-27318, CVE-2026-27489.
"""

from __future__ import annotations

import mmap
import os
import stat
from pathlib import Path
from typing import Any

from ix.errors import ModelImportError

__all__ = ["ExternalFiles"]


class ExternalFiles:
    """The weight files of one model, each mapped once."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._maps: dict[str, memoryview] = {}

    def read(self, tensor: Any, what: str) -> memoryview:
        """The bytes that a tensor with external data refers to.

        Raises:
            ModelImportError: The reference leaves the folder or the file.
        """
        entries = {entry.key: entry.value for entry in tensor.external_data}
        name = entries.get("location", "")
        content = self._open(name, what)
        offset = _number(entries, "offset", 0, what)
        length = _number(entries, "length", len(content) - offset, what)
        if offset + length > len(content) or length < 0:
            raise ModelImportError(
                f"{what} needs bytes {offset}..{offset + length} of {name!r}, but the "
                f"file has {len(content)}; it is cut off: copy it again"
            )
        return content[offset : offset + length]

    def _open(self, name: str, what: str) -> memoryview:
        if name not in self._maps:
            if self._folder is None:
                raise ModelImportError(
                    f"{what} needs the external file {name!r}, but the model was given "
                    "as bytes and has no folder; pass the path of the model file"
                )
            self._maps[name] = _map_beneath(self._folder, name, what)
        return self._maps[name]


def _number(entries: dict[str, str], key: str, default: int, what: str) -> int:
    """A non-negative decimal number of at most 19 digits."""
    text = entries.get(key)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise ModelImportError(
            f"{what} needs a number ≥ 0 as the {key} of its external data, but it is "
            f"{text[:32]!r}; export the model again"
        )
    return int(text)


def _map_beneath(folder: Path, name: str, what: str) -> memoryview:
    """Maps folder/name read-only, refusing every way out of the folder."""
    parts = name.replace("\\", "/").split("/")
    if not name or "\0" in name or any(part in ("", "..") for part in parts):
        raise _refused(what, name, "it does not name a file beneath that folder")
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for index, part in enumerate(parts):
            last = index == len(parts) - 1
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
            inner = os.open(
                part, flags | (0 if last else os.O_DIRECTORY), dir_fd=descriptor
            )
            os.close(descriptor)
            descriptor = inner
        return _map_file(descriptor, what, name)
    except OSError as error:
        reason = error.strerror or "unknown"
        raise _refused(
            what, name, f"opening it fails ({reason}; links are refused)"
        ) from error
    finally:
        os.close(descriptor)


def _map_file(descriptor: int, what: str, name: str) -> memoryview:
    """The content of an open regular file that has one name only."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise _refused(what, name, "it is not a regular file")
    if status.st_nlink > 1:
        raise _refused(what, name, "it is a hard link")
    if status.st_size == 0:
        return memoryview(b"")
    return memoryview(mmap.mmap(descriptor, 0, prot=mmap.PROT_READ))


def _refused(what: str, name: str, fact: str) -> ModelImportError:
    return ModelImportError(
        f"{what} needs its external data in a file in the model's folder, but for "
        f"{name!r} {fact}; copy the file beside the model"
    )
