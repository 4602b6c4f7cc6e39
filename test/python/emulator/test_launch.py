"""Launches that a driver would refuse, and modules with several kernels."""

import numpy as np
import pytest
from ptx_runner import HEADER, kernel_text, pointer, run, run_text

from ix.emulator import Emulator
from ix.emulator.errors import EmulatorError, LaunchError
from ix.errors import IxError

NOTHING = """.version 8.3
.target sm_80
.entry k(.param .u64 out, .param .u32 n) {} {{ {} ret; }}"""


def launch(
    directives="",
    grid=1,
    block=32,
    cluster=(1, 1, 1),
    shared=0,
    body="",
    **options,
):
    emulator = Emulator(**options)
    module = emulator.load(NOTHING.format(directives, body))
    arguments = [pointer(0), b"\0\0\0\0"]
    return emulator.launch(module, "k", grid, block, arguments, shared, cluster)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"block": (33, 32)}, r"needs at most 1024 threads \(of any CTA\), but 1056"),
        (
            {"directives": ".maxntid 64, 2", "block": 129},
            r"needs at most 128 threads \(.maxntid\), but 129 are launched",
        ),
        (
            {"directives": ".reqntid 64", "block": 32},
            r"needs .reqntid \(64,\), but the block is \(32, 1, 1\)",
        ),
        ({"grid": (1, 0, 1)}, "needs positive sizes, but one is 0"),
        (
            {"shared": 233000},
            "needs at most 232448 bytes of shared memory on sm_90, but 233000",
        ),
        (
            {"shared": 102400, "target": "sm_86"},
            "needs at most 101376 bytes of shared memory on sm_86",
        ),
        (
            {"grid": 4, "cluster": (2, 1, 1), "target": "sm_80"},
            "needs sm_90 for clusters, but the target is sm_80",
        ),
        (
            {"grid": 3, "cluster": (2, 1, 1)},
            r"needs a grid of whole clusters \(2, 1, 1\), but the grid is \(3, 1, 1\)",
        ),
        (
            {"grid": 32, "cluster": (32, 1, 1)},
            "needs at most 16 CTAs in a cluster, but there are 32",
        ),
        (
            {"directives": ".reqnctapercluster 2", "grid": 2},
            r"needs .reqnctapercluster \(2,\), but the cluster is \(1, 1, 1\)",
        ),
        ({"grid": (1, 65536)}, r"needs a grid of at most \(2147483647, 65535, 65535\)"),
        ({"block": (1, 1, 65)}, r"needs a block of at most \(1024, 1024, 64\), but it"),
        (
            {"body": ".shared .b8 tile[49153];"},
            "needs at most 49152 bytes of static shared memory, but 49153 are declared",
        ),
        ({"target": "gfx90a"}, "needs a target such as sm_90a, but it is 'gfx90a'"),
        ({"completion": "never"}, "needs completion 'late' or 'early', but it is"),
        ({"schedule": "random"}, "needs the schedule 'lockstep' or a seed, but it is"),
    ],
)
def test_sizes_that_do_not_fit(options, message):
    with pytest.raises(LaunchError, match=message):
        launch(**options)


@pytest.mark.parametrize(
    ("ptx", "device", "fits"),
    [
        ("sm_80", "sm_80", True),
        ("sm_80", "sm_90a", True),
        ("sm_90", "sm_90a", True),
        ("sm_90a", "sm_90a", True),
        ("sm_90", "sm_80", False),
        ("sm_90a", "sm_100a", False),
    ],
)
def test_ptx_runs_on_its_device_and_newer_ones(ptx, device, fits):
    text = f".version 8.3\n.target {ptx}\n.entry k() {{ ret; }}"
    if fits:
        Emulator(device).load(text)
        return
    with pytest.raises(
        LaunchError, match=f"needs PTX that {device} runs, but it is for"
    ):
        Emulator(device).load(text)


def test_parameters_have_a_limit():
    emulator = Emulator()
    module = emulator.load(HEADER + ".entry k(.param .b8 x[32768]) { ret; }")
    with pytest.raises(LaunchError, match="at most 32764 bytes of parameters"):
        emulator.launch(module, "k", 1, 1, [bytes(32768)])


def test_what_fits_is_launched():
    launch(".maxntid 128", block=128)
    launch(".reqnctapercluster 2", grid=4, cluster=(2, 1, 1))
    launch(shared=232448)


def test_arguments_must_have_the_number_and_sizes_of_the_parameters():
    emulator = Emulator()
    module = emulator.load(NOTHING.format("", ""))
    with pytest.raises(LaunchError, match="needs 2 arguments, but 1 are given"):
        emulator.launch(module, "k", 1, 1, [pointer(0)])
    with pytest.raises(
        LaunchError, match=r"needs 4 bytes for parameter 1 \('n'\), but 8"
    ):
        emulator.launch(module, "k", 1, 1, [pointer(0), pointer(0)])
    with pytest.raises(
        LaunchError, match="needs an entry of the module, but 'f' is none"
    ):
        emulator.launch(module, "f", 1, 1, [])


def test_all_errors_are_errors_of_ix():
    assert issubclass(LaunchError, EmulatorError) and issubclass(EmulatorError, IxError)


def test_a_module_has_several_kernels():
    emulator = Emulator()
    module = emulator.load(
        HEADER
        + "".join(
            f""".entry set{value}(.param .u64 out) {{ .reg .b64 %rd1;
            ld.param.u64 %rd1, [out]; st.global.u32 [%rd1], {value}; ret; }}\n"""
            for value in (3, 4)
        )
    )
    assert module.kernels == ["set3", "set4"]
    out = emulator.alloc(4)
    for value in (4, 3):
        emulator.launch(module, f"set{value}", 1, 1, [pointer(out)])
        assert emulator.read(out, np.uint32, 1) == value


def test_launches_leave_no_memory_behind():
    emulator = Emulator()
    out = emulator.alloc(128)
    module = emulator.load(kernel_text("st.global.u32 [%me], 1;", 0, 32))
    before = len(emulator.heap.allocations)
    for _ in range(3):
        emulator.launch(module, "k", 1, 32, [pointer(out)])
    assert len(emulator.heap.allocations) == before


def test_memory_grows_and_keeps_its_contents():
    emulator = Emulator()
    rng = np.random.default_rng()
    arrays = [
        rng.integers(0, 255, size, dtype=np.uint8) for size in (10, 3 << 20, 5 << 20)
    ]
    addresses = []
    for array in arrays:
        addresses.append(emulator.alloc(array.nbytes))
        emulator.write(addresses[-1], array)
    for address, array in zip(addresses, arrays, strict=True):
        assert (emulator.read(address, np.uint8, array.size) == array).all()


def test_clocks_go_forward():
    got = run(
        """mov.u64 %rd1, %clock64; mov.u32 %r1, %clock; mov.u64 %rd2, %globaltimer;
        add.u32 %r2, %t, 1;
        mov.u64 %rd3, %clock64; setp.gt.u64 %p1, %rd3, %rd1;
        selp.u32 %r3, 1, 0, %p1; st.global.u32 [%me], %r3;"""
    )
    assert (got == 1).all()


def test_unwritten_registers_hold_poison():
    got = run("st.global.f32 [%me], %f9;", out=np.float32)
    assert np.isnan(got).all()


def test_extended_precision_goes_through_the_condition_code():
    x = np.random.default_rng().integers(0, 1 << 62, 64, dtype=np.uint64)
    a, b = x[:32], x[32:]
    got = run(
        """mad.wide.u32 %rd1, %t, 8, %in0; ld.global.v2.u32 {%r1, %r2}, [%rd1];
        mad.wide.u32 %rd2, %t, 8, %in1; ld.global.v2.u32 {%r3, %r4}, [%rd2];
        add.cc.u32 %r5, %r1, %r3; addc.u32 %r6, %r2, %r4;
        mad.wide.u32 %rd3, %t, 8, %out; st.global.v2.u32 [%rd3], {%r5, %r6};""",
        [a, b],
        out=np.uint64,
    )
    assert (got == a + b).all()


def test_two_results_of_a_comparison():
    got = run(
        """setp.lt.u32 %p1|%p2, %t, 9;
        selp.u32 %r1, 1, 0, %p1; selp.u32 %r2, 2, 0, %p2; add.u32 %r1, %r1, %r2;
        st.global.u32 [%me], %r1;"""
    )
    assert got.tolist() == [1] * 9 + [2] * 23


def test_inline_assembly_has_scopes_of_its_own():
    text = kernel_text(
        """mov.u32 %r1, %t;
        { .reg .u32 %r1; .reg .pred p; mov.u32 %r1, 7;
          setp.gt.u32 p, %t, 3; @p bra DONE; st.global.u32 [%me], %r1;
          DONE: }
        { .reg .pred p; setp.le.u32 p, %t, 3; @p bra DONE;
          st.global.u32 [%me], %r1; DONE: }""",
        0,
        32,
    )
    got, _ = run_text(text)
    assert (got == np.where(np.arange(32) > 3, np.arange(32), 7)).all()
