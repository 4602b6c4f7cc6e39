"""What a driver refuses to launch: sizes beyond the device or the kernel's directives.

Source: CUDA C++ Programming Guide, "Technical Specifications per Compute Capability".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ix.emulator.batch import Launch
from ix.emulator.errors import LaunchError

if TYPE_CHECKING:
    from ix.emulator.kernel_code import KernelCode

__all__ = ["check_launch", "sm_of"]

_MAX_THREADS = 1024
_MAX_CLUSTER = 16  # CTAs, with the attribute for non-portable sizes
# Shared memory of a CTA in bytes, opted in, by compute capability.
_SHARED = {
    70: 96 << 10,
    75: 64 << 10,
    80: 163 << 10,
    86: 99 << 10,
    87: 163 << 10,
    89: 99 << 10,
    90: 227 << 10,
    100: 227 << 10,
    103: 227 << 10,
    120: 99 << 10,
}


def sm_of(target: str) -> int:
    """The compute capability of a target: 90 of "sm_90a"."""
    found = re.fullmatch(r"sm_(\d+)[af]?", target)
    if found is None:
        raise LaunchError(
            f"'Emulator' needs a target such as sm_90a, but it is {target!r}; pass one"
        )
    return int(found[1])


def check_launch(kernel: KernelCode, launch: Launch, target: str) -> None:
    """Checks the sizes of a launch.

    Raises:
        LaunchError: The driver would refuse it.
    """
    for what, size, remedy in _problems(kernel, launch, sm_of(target)):
        raise LaunchError(f"'{kernel.name}' needs {what}, but {size}; {remedy}")


def _problems(
    kernel: KernelCode, launch: Launch, sm: int
) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    sizes = (*launch.grid, *launch.block, *launch.cluster)
    if min(sizes) < 1:
        found.append(
            ("positive sizes", f"one is {min(sizes)}", "do not launch an empty grid")
        )
        return found
    threads = launch.block_threads
    limit, name = _thread_limit(kernel)
    if threads > limit:
        found.append(
            (
                f"at most {limit} threads ({name})",
                f"{threads} are launched",
                "use fewer",
            )
        )
    required = kernel.entry.directives.get("reqntid")
    if required is not None and _triple(required) != launch.block:
        found.append(
            (
                f".reqntid {required}",
                f"the block is {launch.block}",
                "launch that block",
            )
        )
    available = _SHARED.get(sm, max(_SHARED.values()))
    if launch.shared_bytes > available:
        found.append(
            (
                f"at most {available} bytes of shared memory on sm_{sm}",
                f"{launch.shared_bytes} are used",
                "use smaller tiles or fewer stages",
            )
        )
    return found + _cluster_problems(kernel, launch, sm)


def _thread_limit(kernel: KernelCode) -> tuple[int, str]:
    given = kernel.entry.directives.get("maxntid")
    if given is None:
        return _MAX_THREADS, "of any CTA"
    x, y, z = _triple(given)
    return min(_MAX_THREADS, x * y * z), ".maxntid"


def _cluster_problems(
    kernel: KernelCode, launch: Launch, sm: int
) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    if launch.cluster_ctas > 1 and sm < 90:
        found.append(
            ("sm_90 for clusters", f"the target is sm_{sm}", "launch without clusters")
        )
    if launch.cluster_ctas > _MAX_CLUSTER:
        found.append(
            (
                f"at most {_MAX_CLUSTER} CTAs in a cluster",
                f"there are {launch.cluster_ctas}",
                "use a smaller cluster",
            )
        )
    if any(g % c for g, c in zip(launch.grid, launch.cluster, strict=True)):
        found.append(
            (
                f"a grid of whole clusters {launch.cluster}",
                f"the grid is {launch.grid}",
                "round the grid up",
            )
        )
    required = kernel.entry.directives.get("reqnctapercluster")
    if required and _triple(required) != launch.cluster:
        found.append(
            (
                f".reqnctapercluster {required}",
                f"the cluster is {launch.cluster}",
                "launch that cluster",
            )
        )
    return found


def _triple(numbers: tuple[int, ...]) -> tuple[int, int, int]:
    x, y, z = (*numbers, 1, 1, 1)[:3]
    return x, y, z
