"""Targets: short names, full spelling, and what the host lacks."""

import platform
import subprocess
import sys

import pytest

from ix.errors import InputError
from ix.target import CacheBytes, Target, host_cache_bytes, host_missing


@pytest.mark.parametrize("name", Target.known())
def test_full_spelling_reads_back(name: str) -> None:
    target = Target.parse(name)
    assert target.name == name
    assert Target.parse(str(target)) == target
    assert str(Target.parse(str(target))) == str(target)


@pytest.mark.parametrize(
    ("name", "vector_bytes", "registers", "f32", "bf16"),
    [
        ("cpu:generic", 16, 16, 4, 8),
        ("cpu:avx2", 32, 16, 8, 16),
        ("cpu:avx512", 64, 32, 16, 32),
    ],
)
def test_presets_are_the_same_on_every_host(
    name: str, vector_bytes: int, registers: int, f32: int, bf16: int
) -> None:
    target = Target.parse(name)
    assert (target.vector_bytes, target.registers) == (vector_bytes, registers)
    assert (target.lanes(32), target.lanes(16)) == (f32, bf16)
    assert target.cache_bytes == CacheBytes(32768, 262144, 8388608)
    assert target.features == ()


def test_host_features_are_sorted_and_run_here() -> None:
    target = Target.parse("cpu")
    assert list(target.features) == sorted(set(target.features))
    assert host_missing(target) == ()
    assert host_missing(Target.parse("sm_80")) == ("nvptx64",)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="x86 features")
def test_host_missing_names_the_feature() -> None:
    text = str(Target.parse("cpu:generic")).replace("features=", "features=+amx-none")
    assert host_missing(Target.parse(text)) == ("amx-none",)


def test_features_come_from_the_level_and_from_the_list() -> None:
    target = Target.parse(
        str(Target.parse("cpu:avx2")).replace("features=", "features=+avxvnni")
    )
    assert target.has("fma") and target.has("avxvnni") and target.has("sse2")
    assert not target.has("avx512f")
    assert {"avxvnni", "fma", "sse2"} <= set(target.required_features)


def test_gpu_constants() -> None:
    target = Target.parse("sm_90a")
    assert (target.kind, target.shared_bytes) == ("cuda", 227 * 1024)
    assert not target.runs_natively


@pytest.mark.parametrize("text", ["", "gpu", "cpu:avx9", "sm_1", "cpu{}", "cpu "])
def test_unknown_target_lists_the_known_ones(text: str) -> None:
    with pytest.raises(InputError, match=r"known ones are cpu, cpu:generic.*sm_80"):
        Target.parse(text)


def test_cache_sizes_are_plausible() -> None:
    caches = host_cache_bytes()
    assert 4 << 10 <= caches.l1 <= caches.l2 <= caches.l3 <= 4 << 30


def test_import_needs_no_llvm() -> None:
    code = (
        "import sys, ix.target as t; t.Target.parse('cpu:avx2'); "
        "assert not {m for m in sys.modules if m.split('.')[0] in "
        "('llvmlite', 'torch_mlir', 'numpy', 'torch')}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
