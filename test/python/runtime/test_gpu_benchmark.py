"""benchmarks/gpu.py: its folder, its checks and its measurements, on the fake GPU.

Times of the fake say nothing, so none is asserted.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import fake_cupy
import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import gpu  # noqa: E402
import gpu_prepare  # noqa: E402
from gpu_works import CHECKED, MEASURED, as_float64  # noqa: E402

import ix  # noqa: E402
from ix.runtime.cuda import CudaDevice  # noqa: E402

NAMES = ("elementwise", "softmax", "maxima", "layer norm")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("gpu") / "programs"
    arguments = ["prepare", str(found), *NAMES, "--rows", "4"]
    assert gpu.main(arguments) == 0
    return found


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> CudaDevice:
    cupy = fake_cupy.make_cupy()
    cupy.asnumpy = lambda array: array.get()
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(gpu.shutil, "which", lambda name: None)
    monkeypatch.setattr(gpu.Bench.time_us, "__defaults__", (2, 2))
    return CudaDevice()


def test_the_folder_has_all_that_another_machine_needs(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [entry["name"] for entry in manifest["checked"]] == list(
        name for name in CHECKED if name in NAMES
    )
    for entry in manifest["checked"]:
        inputs = np.load(folder / f"{entry['file']}.inputs.npz")
        wanted = np.load(folder / f"{entry['file']}.float64.npz")
        work = CHECKED[entry["name"]]
        again = work.function(*as_float64([inputs[n] for n in inputs.files]))
        again = again if isinstance(again, tuple) else (again,)
        for name, array in zip(wanted.files, again, strict=True):
            np.testing.assert_array_equal(wanted[name], array)
            assert array.dtype.kind == "i" or array.dtype == np.float64
        for target in gpu_prepare.TARGETS:
            assert (folder / f"{entry['file']}.{target}.ix").stat().st_size
            assert entry["targets"][target]["counters"]
    assert [entry["name"] for entry in manifest["measured"]] == [
        "softmax",
        "layer norm",
    ]


def test_bits_are_compared_only_where_they_are_defined(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    bits = {e["name"]: e["targets"]["sm_90a"]["bits"] for e in manifest["checked"]}
    assert all(bits.values())  # ix computes even exponentials by sums and products
    for line, defined in (
        ("fma.rn.f32 %f1, %f2, %f3, %f4;", True),
        ("div.rn.f32 %f1, %f2, %f3;", True),
        ("ex2.approx.ftz.f32 %f1, %f2;", False),
        ("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {}", False),
        ("wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {}", False),
        ("red.global.add.f32 [%rd1], %f1;", False),
        ("atom.global.add.u32 %r1, [%rd1], 1;", True),
    ):
        assert gpu_prepare.bits_are_defined(line) == defined, line


def test_every_kernel_family_is_among_the_works() -> None:
    families = set()
    for work in CHECKED.values():
        inputs = work.inputs(np.random.default_rng())
        jitted = ix.jit(work.function, target="sm_90a", device="emulator")
        plan = jitted.lower(*inputs).compile().executable.plan
        families |= {kernel.family for kernel in plan.kernels}
    wanted = (
        "attention elementwise matmul reduce row scan scatter small_m sort transpose"
    )
    assert not set(wanted.split()) - families, families


def test_a_run_checks_and_measures(
    folder: Path, device: CudaDevice, tmp_path: Path
) -> None:
    found = gpu.run(folder, device, copy_bytes=1 << 12)
    assert found["device"] == "Fake GPU" and found["target"] == "sm_90a"
    assert found["driver_cuda"] == "12.8" and found["compute_capability"] == "9.0"
    assert found["date"] and found["copy_gbytes_per_s"] > 0 and found["ncu"] == []
    rows = {row["work"]: row for row in found["checked"]}
    assert set(rows) == set(NAMES)
    for row in rows.values():
        assert row["right"] and row["same_from_device_arrays"]
        assert row["emulators_bits"]
    for row in found["measured"]:
        assert row["right"] and row["us"] > 0 and "torch_compile_us" not in row
    json.dumps(found)


def damaged(path: Path, change: Any) -> Any:
    """Changes the first array of a file; gives a function that takes it back."""
    whole = path.read_bytes()
    with np.load(path) as file:
        arrays = {name: file[name].copy() for name in file.files}
    change(arrays["a0"])
    np.savez(path, **arrays)
    return lambda: path.write_bytes(whole)


def test_wrong_numbers_and_wrong_bits_are_told(
    folder: Path, device: CudaDevice
) -> None:
    bench = gpu.Bench(folder, device)
    entry = next(e for e in bench.manifest["checked"] if e["name"] == "elementwise")
    restore = damaged(folder / "elementwise.float64.npz", lambda a: a.__iadd__(1e-3))
    wrong = bench.check(entry)
    restore()
    assert not wrong["right"] and wrong["emulators_bits"]

    def flip(array: np.ndarray) -> None:
        array.view(np.uint32).flat[7] ^= 1

    restore = damaged(folder / "elementwise.sm_90a.emulator.npz", flip)
    other = bench.check(entry)
    restore()
    assert other["right"] and not other["emulators_bits"]
    assert bench.check(entry)["emulators_bits"]
    entry["targets"]["sm_90a"]["bits"] = False
    assert "emulators_bits" not in bench.check(entry)
    lines = gpu.verdict({"checked": [wrong, other], "measured": [], "host": []})
    assert [line.split(" (")[0] for line in lines] == [
        "elementwise: not right",
        "elementwise: not emulators_bits",
    ]


def test_marks_that_are_missed_are_told() -> None:
    measured = {"work": "w", "right": True, "met": False, "share_of_copy": 0.5}
    host = {"work": "m", "met": False, "us": 21.04}
    lines = gpu.verdict({"checked": [], "measured": [measured], "host": [host]})
    assert lines == ["w: 50% of a copy", "m: 21.0 us of the host"]


def test_the_host_cost_of_a_call_is_timed(folder: Path, device: CudaDevice) -> None:
    bench = gpu.Bench(folder, device)
    row = bench.host_us(bench.manifest["checked"][0], calls=5)
    assert row["us"] > 0 and row["mark_us"] == gpu.HOST_MARK_US


def test_errors_are_relative_and_see_everything() -> None:
    want = np.array([1.0, -4.0])
    assert gpu.relative_error(np.array([1.0, -4.4]), want) == pytest.approx(0.1)
    assert gpu.relative_error(np.array([np.nan, -4.0]), want) == float("inf")
    assert gpu.relative_error(np.array([1.0]), want) == float("inf")
    assert gpu.relative_error(np.zeros((0, 3)), np.zeros((0, 3))) == 0


NCU = """==PROF== Connected
"ID","Process ID","Kernel Name","Metric Name","Metric Unit","Metric Value"
"0","7","ix_row_1","l1tex__t_sectors_pipe_lsu_mem_global_op_ld.sum","sector","1,024"
"0","7","ix_row_1","l1tex__t_sectors_pipe_lsu_mem_global_op_st.sum","sector","96"
"""


def test_counters_of_ncu_stand_beside_the_emulators(
    folder: Path, device: CudaDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu.shutil, "which", lambda name: f"/usr/bin/{name}")
    commands = []

    def run(command: Any, **options: Any) -> Any:
        commands.append(command)
        return gpu.subprocess.CompletedProcess(command, 0, NCU, "")

    monkeypatch.setattr(gpu.subprocess, "run", run)
    bench = gpu.Bench(folder, device)
    entry = next(e for e in bench.manifest["checked"] if e["name"] == "softmax")
    found = bench.calibrate(entry)
    assert found is not None
    counts = entry["targets"]["sm_90a"]["counters"][0]["counters"]
    assert [(k["counter"], k["ncu"], k["emulator"]) for k in found["kernels"]] == [
        ("global_load_sectors", 1024, counts["global_load_sectors"]),
        ("global_store_sectors", 96, counts["global_store_sectors"]),
    ]
    assert commands[0][0] == "/usr/bin/ncu" and commands[0][-1] == "softmax"
    assert gpu.compared("==ERROR== no permission", []) == []


def test_measured_works_move_what_they_say() -> None:
    for work in MEASURED.values():
        arrays = work.arrays(np.random.default_rng(), 3)
        result = work.function(*arrays)
        assert work.bytes(3) == sum(a.nbytes for a in arrays) + result.nbytes


def test_no_result_is_kept_that_no_gpu_gave() -> None:
    if gpu.RESULTS.exists():
        found = json.loads(gpu.RESULTS.read_text())
        assert found["device"] != "Fake GPU" and found["date"]
