"""Executables on disk: a zip file of a manifest, code and constants.

    manifest.json        format, versions, the plan, SHA-256 and size of each member
    objects/0.o …        the entry, the kernels, the thread pool; for a GPU, PTX and
                         cubin of each kernel
    constants/0.bin …    weights as the kernels read them

Members are stored uncompressed at multiples of 64 bytes, so that constants are mapped
and not read. The bytes depend on the program alone. Nothing in it is executed but the
objects, and nothing is unpickled.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import mmap
import os
import struct
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ix.errors import ArtifactError
from ix.runtime.arrays import dtype_of
from ix.runtime.executable import Executable
from ix.runtime.load import executable_of
from ix.runtime.plan import ALIGNMENT, Plan
from ix.target import Target, host_missing
from ix.version import __version__

__all__ = ["load", "save"]

FORMAT = 1
MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 256 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)
_ZIP_START = b"PK\x03\x04"
_PAD_ID = 0x7869  # "ix": the header id of the padding in the extra field


def save(executable: Executable, path: str | os.PathLike[str]) -> None:
    """Writes an executable; an older file at `path` is replaced only once it is whole.

    Raises:
        ArtifactError: The file cannot be written.
    """
    target = Path(path)
    members: dict[str, bytes | memoryview] = {}
    for number, code in enumerate(executable.objects):
        members[f"objects/{number}.o"] = code
    for number, array in enumerate(executable.constants):
        flat = array.reshape(-1).view(np.uint8)
        members[f"constants/{number}.bin"] = np.ascontiguousarray(flat).data
    manifest = {
        "format": FORMAT,
        "ix": __version__,
        "plan": executable.plan.to_json(),
        "objects": len(executable.objects),
        "members": {
            name: {
                "bytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
            }
            for name, data in members.items()
        },
    }
    text = json.dumps(manifest, separators=(",", ":"), sort_keys=True).encode()
    try:
        handle, temporary = tempfile.mkstemp(
            dir=target.parent or ".", prefix=f".{target.name}-"
        )
    except OSError as error:
        raise _cannot_write(target, error) from error
    try:
        with os.fdopen(handle, "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                _write(archive, file, MANIFEST, text)
                for name, data in members.items():
                    _write(archive, file, name, data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        _remove(temporary)
        raise _cannot_write(target, error) from error
    except BaseException:  # Ctrl-C: nothing half-written stays
        _remove(temporary)
        raise


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def _cannot_write(path: Path, error: OSError) -> ArtifactError:
    return ArtifactError(
        f"saving to '{path}' needs a writable folder with room, but {error.strerror}; "
        "an older file there is untouched"
    )


def _write(
    archive: zipfile.ZipFile, file: Any, name: str, data: bytes | memoryview
) -> None:
    """Adds a member whose bytes start at a multiple of 64."""
    info = zipfile.ZipInfo(name, _EPOCH)
    start = file.tell() + 30 + len(name.encode()) + 4
    padding = -start % ALIGNMENT
    info.extra = struct.pack("<HH", _PAD_ID, padding) + bytes(padding)
    archive.writestr(info, data)


def load(
    path: str | os.PathLike[str],
    *,
    num_threads: int | None = None,
    device: Any = None,
) -> Executable:
    """Loads a saved executable; needs NumPy alone, and CuPy for a GPU.

    Args:
        path: What `Executable.save` wrote.
        num_threads: Threads of one call; None: IX_NUM_THREADS, else all processors.
        device: Where a GPU program runs: "cuda" (the default), "cuda:1", "emulator".

    Raises:
        ArtifactError: The file is missing, damaged, of another format, or compiled for
            a processor that this one is not.
    """
    name = os.fspath(path)
    try:
        with open(name, "rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is empty"
        raise ArtifactError(
            f"loading '{name}' needs a readable file, but {reason}; check the path"
        ) from error
    try:
        with zipfile.ZipFile(name) as archive:
            offsets = {i.filename: _data_range(data, i) for i in archive.infolist()}
    except (zipfile.BadZipFile, OSError, struct.error, ValueError) as error:
        if data[:4] != _ZIP_START:
            raise _foreign(name, "it is of another kind") from error
        is_cut = isinstance(error, zipfile.BadZipFile)
        fact = "its end is missing or damaged" if is_cut else str(error)
        raise _damaged(name, fact) from error
    manifest = _manifest(name, data, offsets)
    try:
        return _executable(name, data, offsets, manifest, num_threads, device)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise _damaged(name, f"its manifest lacks {error}") from error


def _data_range(data: mmap.mmap, info: zipfile.ZipInfo) -> tuple[int, int]:
    """First byte and size of a stored member."""
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"member {info.filename} is compressed")
    at = info.header_offset
    name_size, extra_size = struct.unpack_from("<HH", data, at + 26)
    first = at + 30 + name_size + extra_size
    if first + info.file_size > len(data):
        raise ValueError(f"member {info.filename} ends beyond the file")
    return first, info.file_size


def _manifest(
    name: str, data: mmap.mmap, offsets: dict[str, tuple[int, int]]
) -> dict[str, Any]:
    if MANIFEST not in offsets or offsets[MANIFEST][1] > MAX_MANIFEST_BYTES:
        raise _foreign(name, "it has no manifest")
    first, size = offsets[MANIFEST]
    try:
        manifest = json.loads(data[first : first + size])
    except (ValueError, RecursionError) as error:
        raise _damaged(name, "its manifest is no JSON") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else None
        raise ArtifactError(
            f"'{name}' needs format {FORMAT}, but it has format {found}; compile the "
            f"model again with ix {__version__}"
        )
    return manifest


def _executable(
    name: str,
    data: mmap.mmap,
    offsets: dict[str, tuple[int, int]],
    manifest: dict[str, Any],
    num_threads: int | None,
    device: Any,
) -> Executable:
    plan = Plan.from_json(manifest["plan"])
    target = Target.parse(plan.target)
    missing = host_missing(target) if target.kind == "cpu" else ()
    if missing:
        raise ArtifactError(
            f"'{name}' needs a processor with {', '.join(missing)}, but this one has "
            "not; compile the model here, or with target='cpu:generic'"
        )
    views: dict[str, memoryview] = {}
    whole = memoryview(data)
    for member, facts in manifest["members"].items():
        if member not in offsets:
            raise _damaged(name, f"{member} is missing")
        first, size = offsets[member]
        view = whole[first : first + size]
        if (
            size != facts["bytes"]
            or hashlib.sha256(view).hexdigest() != facts["sha256"]
        ):
            raise _damaged(name, f"{member} does not have its checksum")
        views[member] = view
    objects = [bytes(views[f"objects/{n}.o"]) for n in range(manifest["objects"])]
    constants = []
    for number, entry in enumerate(plan.constants):
        array = np.frombuffer(views[f"constants/{number}.bin"], dtype_of(entry.dtype))
        constants.append(array.reshape(entry.shape))
    return executable_of(plan, objects, constants, num_threads, device)


def _foreign(name: str, fact: str) -> ArtifactError:
    return ArtifactError(
        f"'{name}' needs to be a file that ix saved, but {fact}; pass what "
        "Executable.save or ix compile wrote"
    )


def _damaged(name: str, fact: str) -> ArtifactError:
    return ArtifactError(
        f"'{name}' needs to be as it was saved, but {fact}; save or copy it again"
    )
