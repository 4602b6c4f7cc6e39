"""Which GPUs PTX and cubins run on.

A cubin runs on GPUs of its own major version and a minor version not below it; PTX on
every GPU from its target on. What is compiled for a target whose name ends in "a"
runs on GPUs of just that version.

Source: CUDA Programming Guide, "Binary Compatibility", "PTX Compatibility" and
"Architecture-Specific Features".
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ix.errors import OldDriver, WrongArchitecture

__all__ = ["PtxHeader", "check_code", "cubin_runs", "version_text"]

# The first CUDA whose driver takes a version of PTX.
# Source: PTX ISA, "Release Notes", table of release history.
CUDA_OF_PTX = {
    (7, 8): 11080,
    (8, 0): 12000,
    (8, 1): 12010,
    (8, 2): 12020,
    (8, 3): 12030,
    (8, 4): 12040,
    (8, 5): 12050,
    (8, 6): 12070,
    (8, 7): 12080,
    (8, 8): 12090,
    (9, 0): 13000,
}

_VERSION = re.compile(rb"^\s*\.version\s+(\d+)\.(\d+)", re.MULTILINE)
_TARGET = re.compile(rb"^\s*\.target\s+(sm_(\d+)(\d)(a?))\b", re.MULTILINE)


class PtxHeader(NamedTuple):
    """What PTX says about itself.

    version: Of the PTX language, (major, minor).
    target: Such as "sm_90a".
    capability: The least compute capability that it runs on.
    specific: It runs on that one alone.
    """

    version: tuple[int, int]
    target: str
    capability: tuple[int, int]
    specific: bool

    @staticmethod
    def of(ptx: bytes) -> PtxHeader:
        """Reads the directives .version and .target.

        Raises:
            WrongArchitecture: The text has none.
        """
        version, target = _VERSION.search(ptx), _TARGET.search(ptx)
        if version is None or target is None:
            raise WrongArchitecture(
                "a kernel needs PTX with the directives .version and .target, but it "
                f"starts with {ptx[:20]!r}; compile the program again"
            )
        return PtxHeader(
            (int(version[1]), int(version[2])),
            target[1].decode(),
            (int(target[2]), int(target[3])),
            target[4] == b"a",
        )


def cubin_runs(ptx: bytes, capability: tuple[int, int]) -> bool:
    """Whether a cubin that was made from this PTX runs on a GPU."""
    header = PtxHeader.of(ptx)
    if header.specific:
        return header.capability == capability
    return header.capability[0] == capability[0] and header.capability <= capability


def check_code(
    symbol: str, ptx: bytes, device: str, capability: tuple[int, int], driver: int
) -> None:
    """Refuses PTX that a GPU does not run.

    Args:
        symbol: The kernel's name, for the message.
        ptx: Its code.
        device: The GPU's name, for the message.
        capability: Of the GPU.
        driver: The CUDA version of its driver, 12040 for 12.4.

    Raises:
        WrongArchitecture: The PTX is for another GPU.
        OldDriver: It is in a version of PTX that the driver does not know.
    """
    header = PtxHeader.of(ptx)
    fits = (
        header.capability == capability
        if header.specific
        else header.capability <= capability
    )
    if not fits:
        needed = ".".join(map(str, header.capability))
        requirement = (
            f"compute capability {needed}, for {header.target} code runs on no other"
            if header.specific
            else f"compute capability {needed} or newer"
        )
        found = ".".join(map(str, capability))
        raise WrongArchitecture(
            f"kernel '{symbol}' needs {requirement}, but {device} has {found}; compile "
            "the program for that, or for sm_80, whose PTX runs on every newer GPU"
        )
    needed_cuda = CUDA_OF_PTX.get(header.version, 0)
    if driver < needed_cuda:
        version = ".".join(map(str, header.version))
        raise OldDriver(
            f"kernel '{symbol}' needs a driver for CUDA {version_text(needed_cuda)} or "
            f"newer, for it is in PTX {version}, but {device} has one for CUDA "
            f"{version_text(driver)}; update the driver"
        )


def version_text(version: int) -> str:
    """A CUDA version as people write it: 12040 → 12.4."""
    return f"{version // 1000}.{version % 1000 // 10}"
