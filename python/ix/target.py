"""Target: what a program is compiled for.

    cpu           this host: its features and its caches
    cpu:amx       any x86-64-v4 host with AVX512_BF16 and AMX's tiles of bfloat16
    cpu:avx512    any x86-64-v4 host (AVX-512 F, BW, CD, DQ, VL)
    cpu:avx2      any x86-64-v3 host (AVX2 and FMA)
    cpu:generic   any x86-64 host (SSE2)
    sm_80 …       an NVIDIA GPU, by compute capability

`str(target)` says everything about a target and `Target.parse` reads it back: it is
the value of the module attribute `ix.target`, so a pass is a function of the IR alone.
"""

from __future__ import annotations

import ctypes
import functools
import platform
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from ix.errors import InputError

__all__ = ["CacheBytes", "Target", "host_cache_bytes", "host_missing"]

LINUX_X86 = "x86_64-unknown-linux-gnu"

# What each level adds to the one before it: LLVM's name → Linux's in /proc/cpuinfo.
# Source: x86-64 psABI, "Micro-Architecture Levels".
X86_LEVELS: dict[str, dict[str, str]] = {
    "x86-64": {
        "64bit": "lm",
        "cmov": "cmov",
        "cx8": "cx8",
        "fxsr": "fxsr",
        "mmx": "mmx",
        "sse": "sse",
        "sse2": "sse2",
    },
    "x86-64-v2": {
        "crc32": "sse4_2",
        "cx16": "cx16",
        "popcnt": "popcnt",
        "sahf": "lahf_lm",
        "sse3": "pni",
        "sse4.1": "sse4_1",
        "sse4.2": "sse4_2",
        "ssse3": "ssse3",
    },
    "x86-64-v3": {
        "avx": "avx",
        "avx2": "avx2",
        "bmi": "bmi1",
        "bmi2": "bmi2",
        "f16c": "f16c",
        "fma": "fma",
        "lzcnt": "abm",
        "movbe": "movbe",
        "xsave": "xsave",
    },
    "x86-64-v4": {
        "avx512bw": "avx512bw",
        "avx512cd": "avx512cd",
        "avx512dq": "avx512dq",
        "avx512f": "avx512f",
        "avx512vl": "avx512vl",
    },
}

# Features beyond the levels that kernels of tensors have a use for.
X86_EXTENSIONS = {
    "amx-bf16": "amx_bf16",
    "amx-int8": "amx_int8",
    "amx-tile": "amx_tile",
    "avx512bf16": "avx512_bf16",
    "avx512bitalg": "avx512_bitalg",
    "avx512fp16": "avx512_fp16",
    "avx512ifma": "avx512ifma",
    "avx512vbmi": "avx512vbmi",
    "avx512vbmi2": "avx512_vbmi2",
    "avx512vnni": "avx512_vnni",
    "avx512vpopcntdq": "avx512_vpopcntdq",
    "avxifma": "avx_ifma",
    "avxneconvert": "avx_ne_convert",
    "avxvnni": "avx_vnni",
    "avxvnniint8": "avx_vnni_int8",
    "gfni": "gfni",
}

TILES = frozenset(("amx-bf16", "amx-int8", "amx-tile"))
"""Features that a process must ask the system for before it uses them."""

PRESETS: dict[str, tuple[str, tuple[str, ...]]] = {
    "generic": ("x86-64", ()),
    "avx2": ("x86-64-v3", ()),
    "avx512": ("x86-64-v4", ()),
    "amx": ("x86-64-v4", ("amx-bf16", "amx-tile", "avx512bf16")),
}
"""What follows `cpu:` → LLVM's level, and features beyond it."""

# Shared memory that one block can have at most, in bytes.
# Source: CUDA Programming Guide, "Technical Specifications per Compute Capability".
GPU_SHARED_BYTES = {
    "sm_80": 163 << 10,
    "sm_86": 99 << 10,
    "sm_89": 99 << 10,
    "sm_90a": 227 << 10,
    "sm_100a": 227 << 10,
    "sm_120a": 99 << 10,
}


class CacheBytes(NamedTuple):
    """Sizes of the data caches in bytes: l1 and l2 of one core, l3 as it is shared."""

    l1: int
    l2: int
    l3: int


# The smallest of the cores that x86-64-v3 was defined for.
# Source: Intel 64 and IA-32 Optimization Reference Manual, Haswell cache parameters.
DEFAULT_CACHE_BYTES = CacheBytes(32 << 10, 256 << 10, 8 << 20)

SPELLING = re.compile(
    r"(?P<name>[\w:]+)\{triple=(?P<triple>[\w.-]+),cpu=(?P<cpu>[\w.-]+),"
    r"tune=(?P<tune>[\w.-]+),features=(?P<features>[\w.+-]*),"
    r"vector=(?P<vector>\d+),registers=(?P<registers>\d+),"
    r"l1=(?P<l1>\d+),l2=(?P<l2>\d+),l3=(?P<l3>\d+),shared=(?P<shared>\d+)\}"
)


@dataclass(frozen=True)
class Target:
    """A processor, as far as code generation cares.

    Attributes:
        name: What the user wrote: `cpu`, `cpu:avx2`, `sm_80`.
        triple: LLVM's name for architecture, system and ABI.
        cpu: LLVM's name for the instruction set that may be assumed.
        tune: LLVM's name for the core to schedule for.
        features: LLVM features that `cpu` lacks, sorted, without sign.
        vector_bytes: Width of a vector register in bytes.
        registers: Vector registers (CPU), or 32-bit registers of a thread (GPU).
        cache_bytes: Sizes of the data caches in bytes; 0 for a GPU.
        shared_bytes: Shared memory of one block in bytes; 0 for a CPU.
    """

    name: str
    kind: Literal["cpu", "cuda"]
    triple: str
    cpu: str
    tune: str
    features: tuple[str, ...]
    vector_bytes: int
    registers: int
    cache_bytes: CacheBytes = DEFAULT_CACHE_BYTES
    shared_bytes: int = 0

    @staticmethod
    def parse(text: str) -> Target:
        """Reads a target's short name, or what `str` made of one.

        Raises:
            InputError: No target is called that.
        """
        if text == "cpu":
            return _host()
        head, _, preset = text.partition(":")
        if head == "cpu" and preset in PRESETS:
            level, features = PRESETS[preset]
            return _x86(text, level, "generic", features, DEFAULT_CACHE_BYTES)
        if text in GPU_SHARED_BYTES:
            return _gpu(text)
        match = SPELLING.fullmatch(text)
        if match is None:
            raise InputError(
                f"target: needs a known target, but got {text!r}; "
                f"the known ones are {', '.join(Target.known())}"
            )
        return _from_match(match)

    @staticmethod
    def known() -> tuple[str, ...]:
        """The short names that `parse` takes."""
        return ("cpu", *(f"cpu:{preset}" for preset in PRESETS), *GPU_SHARED_BYTES)

    def __str__(self) -> str:
        caches = self.cache_bytes
        features = "".join(f"+{feature}" for feature in self.features)
        return (
            f"{self.name}{{triple={self.triple},cpu={self.cpu},tune={self.tune},"
            f"features={features},vector={self.vector_bytes},"
            f"registers={self.registers},l1={caches.l1},l2={caches.l2},"
            f"l3={caches.l3},shared={self.shared_bytes}}}"
        )

    def lanes(self, bits: int) -> int:
        """The elements of `bits` bits that a vector register holds.

        One on a GPU, whose lanes are threads.
        """
        if self.kind == "cuda":
            return 1
        return self.vector_bytes * 8 // bits

    def has(self, feature: str) -> bool:
        """Whether code may use an LLVM feature, such as `avx512bf16`."""
        return feature in self.features or feature in _level_features(self.cpu)

    @property
    def has_tiles(self) -> bool:
        """Whether products may run on AMX's tiles, with AVX-512 that fills them."""
        return all(map(self.has, PRESETS["amx"][1])) and self.vector_bytes == 64

    @property
    def required_features(self) -> tuple[str, ...]:
        """Every LLVM feature that compiled code may use, sorted."""
        return tuple(sorted({*self.features, *_level_features(self.cpu)}))

    @property
    def runs_natively(self) -> bool:
        """Whether `ix.runtime.elf` can load code for this triple: x86-64 with ELF."""
        return self.kind == "cpu" and self.triple.startswith("x86_64")


def host_missing(target: Target) -> tuple[str, ...]:
    """Names what this host lacks to run code compiled for `target`.

    Needs neither LLVM nor MLIR. Where the system does not tell (no /proc/cpuinfo),
    only the architecture is compared.

    Returns:
        The missing architecture or LLVM features, sorted; empty when it can run.
    """
    architecture = target.triple.partition("-")[0]
    if _machine() != architecture:
        return (architecture,)
    flags = _cpuinfo_flags()
    if not flags or architecture != "x86_64":
        return ()
    names = dict(X86_EXTENSIONS)
    for level in X86_LEVELS.values():
        names |= level
    needed = target.required_features
    missing = [name for name in needed if names.get(name, name) not in flags]
    if not missing and TILES.intersection(needed) and not _may_use_tiles():
        missing = sorted(TILES.intersection(needed))
    return tuple(missing)


def host_cache_bytes() -> CacheBytes:
    """Reads the first core's data caches from sysfs, defaults where it has none.

    Source: Linux, Documentation/ABI/testing/sysfs-devices-system-cpu.
    """
    sizes = {1: 0, 2: 0, 3: 0}
    root = Path("/sys/devices/system/cpu/cpu0/cache")
    for index in sorted(root.glob("index*")):
        try:
            kind = (index / "type").read_text().strip()
            level = int((index / "level").read_text())
            size = _parse_size((index / "size").read_text().strip())
        except (OSError, ValueError):
            continue
        if kind != "Instruction" and level in sizes:
            sizes[level] = size
    default = DEFAULT_CACHE_BYTES
    l1, l2 = sizes[1] or default.l1, sizes[2] or default.l2
    # A core without l3 has its l2 as the last level, where that was read at all.
    return CacheBytes(l1, l2, sizes[3] or (l2 if sizes[2] else default.l3))


def _parse_size(text: str) -> int:
    scale = {"K": 10, "M": 20, "G": 30}.get(text[-1:], 0)
    return int(text[:-1] if scale else text) << scale


def _x86(
    name: str, cpu: str, tune: str, features: tuple[str, ...], caches: CacheBytes
) -> Target:
    there = {*features, *_level_features(cpu)}
    vector_bytes = 16
    if there.issuperset(("avx2", "fma")):
        vector_bytes = 64 if there.issuperset(X86_LEVELS["x86-64-v4"]) else 32
    return Target(
        name=name,
        kind="cpu",
        triple=LINUX_X86,
        cpu=cpu,
        tune=tune,
        features=features,
        vector_bytes=vector_bytes,
        registers=32 if vector_bytes == 64 else 16,
        cache_bytes=caches,
    )


def _gpu(name: str) -> Target:
    return Target(
        name=name,
        kind="cuda",
        triple="nvptx64-nvidia-cuda",
        cpu=name,
        tune=name,
        features=(),
        vector_bytes=16,  # the widest load of one thread
        registers=255,
        cache_bytes=CacheBytes(0, 0, 0),
        shared_bytes=GPU_SHARED_BYTES[name],
    )


@functools.cache
def _host() -> Target:
    """This host; LLVM tells the features, since it knows which of them it may use."""
    import llvmlite.binding as llvm

    there = {name for name, has in llvm.get_host_cpu_features().items() if has}
    tune, caches = llvm.get_host_cpu_name() or "generic", host_cache_bytes()
    if _machine() != "x86_64":
        return Target(
            name="cpu",
            kind="cpu",
            triple=llvm.get_process_triple(),
            cpu="generic",
            tune=tune,
            features=tuple(sorted(there)),
            vector_bytes=16,
            registers=32 if _machine() == "aarch64" else 16,
            cache_bytes=caches,
        )
    level = "x86-64"
    for name, added in X86_LEVELS.items():
        if not there.issuperset(added):
            break
        level = name
    if there & TILES and not _may_use_tiles():
        there -= TILES
    useful = {*X86_EXTENSIONS, *_level_features("x86-64-v4")}
    features = (there & useful).difference(_level_features(level))
    return _x86("cpu", level, tune, tuple(sorted(features)), caches)


def _from_match(match: re.Match[str]) -> Target:
    name = match["name"]
    return Target(
        name=name,
        kind="cpu" if name.partition(":")[0] == "cpu" else "cuda",
        triple=match["triple"],
        cpu=match["cpu"],
        tune=match["tune"],
        features=tuple(part for part in match["features"].split("+") if part),
        vector_bytes=int(match["vector"]),
        registers=int(match["registers"]),
        cache_bytes=CacheBytes(*(int(match[level]) for level in CacheBytes._fields)),
        shared_bytes=int(match["shared"]),
    )


def _level_features(cpu: str) -> tuple[str, ...]:
    levels = list(X86_LEVELS)
    if cpu not in levels:
        return ()
    upto = levels[: levels.index(cpu) + 1]
    return tuple(feature for level in upto for feature in X86_LEVELS[level])


@functools.cache
def _may_use_tiles() -> bool:
    """Asks the system for AMX's registers, for all threads and for later children.

    Source: Linux, Documentation/arch/x86/xstate.rst: system call 158, arch_prctl, with
    ARCH_REQ_XCOMP_PERM and the number of the tile data.
    """
    if platform.system() != "Linux" or _machine() != "x86_64":
        return False
    granted: int = ctypes.CDLL(None).syscall(158, 0x1023, 18)
    return granted == 0


@functools.cache
def _cpuinfo_flags() -> frozenset[str]:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return frozenset()
    match = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    return frozenset(match[1].split()) if match else frozenset()


def _machine() -> str:
    """The architecture as LLVM triples spell it."""
    name = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(name, name)
