"""Scopes: what synchronises the threads of a CTA need not reach those of another."""

import numpy as np
import pytest
from ptx_runner import run

from ix.emulator.errors import RaceError

SHARED = """.shared .align 16 .b8 buffer[1024]; .shared .align 8 .b64 bar;
.shared .align 4 .b32 flag;"""
WIDER = r"release the one and acquire the other in a scope that has both CTAs"

# Thread 0 of CTA 0 passes a value to thread 0 of CTA 1 (or to thread 32 of CTA 0).
PASS = """setp.ne.u32 %p1, %i, 0; @%p1 bra OTHERS;
    st.global.u32 [%out+4], 5;
    {release}
    bra DONE;
    OTHERS: setp.ne.u32 %p1, %i, 32; @%p1 bra DONE;
    LOOP: {acquire} setp.eq.u32 %p3, %r1, 0; @%p3 bra LOOP;
    {behind}
    ld.global.u32 %r2, [%out+4]; st.global.u32 [%out+8], %r2;
    DONE: ret;"""


def pass_on(release, acquire, behind="", *, apart=True, **options):
    """The value that thread 32 gets: in another CTA, or in the same."""
    sizes = {"grid": 2, "block": 32} if apart else {"grid": 1, "block": 64}
    body = PASS.format(release=release, acquire=acquire, behind=behind)
    return run(body, count=3, initial=np.zeros(3), **sizes, **options)[2]


def by_order(release, acquire):
    return (
        f"st.release.{release}.global.u32 [%out], 1;",
        f"ld.acquire.{acquire}.global.u32 %r1, [%out];",
    )


def by_fences(before, store, load, behind):
    return (
        f"fence.acq_rel.{before}; st.relaxed.{store}.global.u32 [%out], 1;",
        f"ld.relaxed.{load}.global.u32 %r1, [%out];",
        f"fence.acq_rel.{behind};",
    )


def by_membar(before, behind):
    return (
        f"membar.{before}; st.volatile.global.u32 [%out], 1;",
        "ld.volatile.global.u32 %r1, [%out];",
        f"membar.{behind};",
    )


def by_atomics(release, acquire):
    return (
        f"red.release.{release}.global.add.u32 [%out], 1;",
        f"atom.acquire.{acquire}.global.add.u32 %r1, [%out], 0;",
    )


WIDE = [
    by_order("gpu", "gpu"),
    by_order("sys", "gpu"),
    by_fences("gpu", "gpu", "sys", "gpu"),
    by_membar("gl", "sys"),
    by_atomics("gpu", "gpu"),
]
# One operation of each is too narrow for threads of two CTAs.
NARROW = [
    by_order("cta", "gpu"),
    by_order("gpu", "cta"),
    by_fences("cta", "gpu", "gpu", "gpu"),
    by_fences("gpu", "cta", "gpu", "gpu"),
    by_fences("gpu", "gpu", "cta", "gpu"),
    by_fences("gpu", "gpu", "gpu", "cta"),
    by_membar("cta", "gl"),
    by_membar("gl", "cta"),
    by_atomics("cta", "gpu"),
    by_atomics("gpu", "cta"),
    by_order("cluster", "cluster"),
]


@pytest.mark.parametrize("order", WIDE, ids=str)
def test_a_scope_that_has_both_ctas_orders_them(order):
    assert pass_on(*order) == 5


@pytest.mark.parametrize("order", NARROW, ids=str)
def test_a_scope_that_lacks_the_other_cta_does_not(order):
    with pytest.raises(RaceError, match=WIDER):
        pass_on(*order)


@pytest.mark.parametrize("order", [*WIDE, *NARROW], ids=str)
def test_any_scope_orders_the_warps_of_one_cta(order):
    assert pass_on(*order, apart=False) == 5


@pytest.mark.parametrize("order", [by_order("cluster", "cluster"), NARROW[0]], ids=str)
def test_the_scope_of_a_cluster_orders_its_ctas(order):
    if order is NARROW[0]:
        with pytest.raises(RaceError):
            pass_on(*order, cluster=(2, 1, 1))
    else:
        assert pass_on(*order, cluster=(2, 1, 1)) == 5


def test_a_wider_fence_still_stands_behind_a_narrower_one():
    release, acquire, behind = by_fences("gpu", "gpu", "gpu", "gpu")
    narrow = "fence.acq_rel.cta;"
    release = release.replace("st.relaxed", f"{narrow} st.relaxed")
    assert pass_on(release, acquire, narrow + behind) == 5


def test_atomics_of_the_cta_race_with_those_of_another():
    body = "red.relaxed.{}.global.add.u32 [%out], 1;"
    options = {"grid": 2, "block": 32, "count": 1, "initial": np.zeros(1)}
    assert run(body.format("gpu"), **options)[0] == 64
    with pytest.raises(RaceError, match=WIDER):
        run(body.format("cta"), **options)
    run(body.format("cta"), **{**options, "grid": 1, "block": 64})


@pytest.mark.parametrize("generic", ["release", "acquire"])
def test_a_location_is_the_same_through_a_generic_address(generic):
    release, acquire = by_order("gpu", "gpu")
    if generic == "release":
        release = release.replace(".global", "")
    else:
        acquire = acquire.replace(".global", "")
    assert pass_on(release, acquire) == 5


# CTA 0 of a cluster writes into the shared memory of CTA 1 and tells it.
REMOTE = """setp.ne.u32 %p9, %t, 0; @%p9 exit;
    mov.u32 %r9, %cluster_ctarank; setp.eq.u32 %p1, %r9, 1;
    mov.u32 %r1, bar; mov.u32 %r2, buffer; mov.u32 %r3, flag;
    @%p1 mbarrier.init.shared.b64 [%r1], 1;
    @%p1 st.shared.u32 [%r3], 0;
    fence.mbarrier_init.release.cluster;
    barrier.cluster.arrive{relaxed}; barrier.cluster.wait;
    @%p1 bra WAIT;
    mapa.shared::cluster.u32 %r4, %r1, 1; mapa.shared::cluster.u32 %r5, %r2, 1;
    mapa.shared::cluster.u32 %r6, %r3, 1;
    st.shared::cluster.u32 [%r5], 7;
    {signal}
    bra END;
    WAIT: {wait}
    ld.shared.u32 %r7, [%r2]; st.global.u32 [%out], %r7;
    END: barrier.cluster.arrive; barrier.cluster.wait;"""
ARRIVE = "mbarrier.arrive{}.shared::cluster.b64 _, [%r4];"
WAIT = "LOOP: mbarrier.try_wait.parity{}.shared.b64 %p2, [%r1], 0; @!%p2 bra LOOP;"
FLAG = ("st.release.cluster.shared::cluster.u32 [%r6], 1;",
        "LOOP: ld.acquire.cluster.shared.u32 %r8, [%r3]; setp.eq.u32 %p2, %r8, 0; "
        "@%p2 bra LOOP;")  # fmt: skip


def remote(signal, wait, relaxed="", **options):
    body = REMOTE.format(signal=signal, wait=wait, relaxed=relaxed)
    return run(
        body, module=SHARED, grid=2, cluster=(2, 1, 1), count=1, **options
    )[0]  # fmt: skip


def test_an_mbarrier_of_another_cta():
    release, acquire = ".release.cluster", ".acquire.cluster"
    assert remote(ARRIVE.format(release), WAIT.format(acquire)) == 7
    for pair in (("", acquire), (release, ""), (".relaxed.cluster", acquire)):
        with pytest.raises(RaceError, match="reads shared memory that warp 0 wrote"):
            remote(ARRIVE.format(pair[0]), WAIT.format(pair[1]))


def test_hardware_forgives_the_scope_of_an_mbarrier():
    assert remote(ARRIVE.format(""), WAIT.format(""), strict=False) == 7


def test_a_flag_in_the_shared_memory_of_another_cta():
    assert remote(*FLAG) == 7
    with pytest.raises(RaceError):
        remote(FLAG[0].replace("cluster.shared", "cta.shared"), FLAG[1])


def test_a_relaxed_arrival_at_the_cluster_barrier_releases_what_a_fence_prepared():
    """As CUTLASS initialises the mbarriers of a cluster."""
    assert remote(*FLAG, relaxed=".relaxed") == 7
    unfenced = REMOTE.replace("fence.mbarrier_init.release.cluster;", "")
    body = unfenced.format(signal=FLAG[0], wait=FLAG[1], relaxed=".relaxed")
    with pytest.raises(RaceError):
        run(body, module=SHARED, grid=2, cluster=(2, 1, 1), count=1)
