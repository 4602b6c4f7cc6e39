"""Functions: arguments, results, divergence, indirect calls and nesting."""

import numpy as np
import pytest
from ptx_runner import run

from ix.emulator.errors import OutOfBoundsError, TrapError, UnsupportedInstruction

SCALE = """.func (.param .b32 result) scale(.param .b32 x, .param .b64 factors)
{
    .reg .b32 %r<4>; .reg .b64 %rd<2>; .reg .pred %p1;
    ld.param.b32 %r1, [x];
    ld.param.b64 %rd1, [factors];
    mov.b64 {%r2, %r3}, %rd1;
    setp.lt.u32 %p1, %r1, 16;
    @%p1 bra SMALL;
    mul.lo.u32 %r1, %r1, %r2;
    st.param.b32 [result], %r1;
    ret;
SMALL:
    mul.lo.u32 %r1, %r1, %r3;
    st.param.b32 [result], %r1;
    ret;
}
"""
CALL = """{ .param .b32 a; .param .b64 b; .param .b32 r;
    st.param.b32 [a], %r1; st.param.b64 [b], %rd1;
    call.uni (r), scale, (a, b);
    ld.param.b32 %r2, [r]; }"""


@pytest.mark.parametrize("schedule", ["lockstep", 2])
def test_a_function_takes_arguments_and_gives_a_result(schedule):
    got = run(
        f"""mov.u32 %r1, %t; mov.b64 %rd1, 0x300000003;
        {CALL}
        mov.u32 %r1, %r2; mov.b64 %rd1, 0x100000002;
        {CALL}
        st.global.u32 [%me], %r2;""",
        module=SCALE,
        schedule=schedule,
    )
    first = 3 * np.arange(32)
    assert (got == np.where(first < 16, first, 2 * first)).all()


def test_only_some_threads_call():
    got = run(
        f"""mov.u32 %r1, %t; mov.u64 %rd1, 0x500000002; mov.u32 %r2, 7;
        and.b32 %r3, %t, 1; setp.eq.u32 %p1, %r3, 0;
        @%p1 bra SKIP;
        {CALL}
        SKIP: st.global.u32 [%me], %r2;""",
        module=SCALE,
    )
    lanes = np.arange(32)
    scaled = np.where(lanes < 16, 5 * lanes, 2 * lanes)
    assert (got == np.where(lanes % 2, scaled, 7)).all()


def test_functions_with_registers_as_parameters():
    got = run(
        """mov.u32 %r9, 1000;
        call (%r1), add3, (%t, %r9, 5);
        st.global.u32 [%me], %r1;""",
        module=""".func (.reg .u32 r) add3(.reg .u32 a, .reg .u32 b, .reg .u32 c)
        { add.u32 r, a, b; add.u32 r, r, c; ret; }""",
    )
    assert (got == np.arange(32) + 1005).all()


def test_functions_call_functions():
    got = run(
        """{ .param .b32 a; .param .b32 r; st.param.b32 [a], %t;
        call.uni (r), outer, (a); ld.param.b32 %r1, [r]; }
        st.global.u32 [%me], %r1;""",
        module="""
        .func (.param .b32 r) inner(.param .b32 x);
        .func (.param .b32 r) outer(.param .b32 x) {
            .reg .b32 %r<4>;
            { .param .b32 a; .param .b32 q;
            ld.param.b32 %r1, [x]; add.u32 %r1, %r1, 1; st.param.b32 [a], %r1;
            call.uni (q), inner, (a); ld.param.b32 %r2, [q]; }
            ld.param.b32 %r3, [x];
            mad.lo.u32 %r2, %r2, 1000, %r3;
            st.param.b32 [r], %r2; ret; }
        .func (.param .b32 r) inner(.param .b32 x) {
            .reg .b32 %r<2>; ld.param.b32 %r1, [x]; mul.lo.u32 %r1, %r1, 2;
            st.param.b32 [r], %r1; ret; }""",
    )
    lanes = np.arange(32)
    assert (got == 2 * (lanes + 1) * 1000 + lanes).all()


TABLE = """
.func (.param .b32 r) twice(.param .b32 x) { .reg .b32 %r<2>;
    ld.param.b32 %r1, [x]; add.u32 %r1, %r1, %r1; st.param.b32 [r], %r1; ret; }
.func (.param .b32 r) square(.param .b32 x) { .reg .b32 %r<2>;
    ld.param.b32 %r1, [x]; mul.lo.u32 %r1, %r1, %r1; st.param.b32 [r], %r1; ret; }
"""


def test_threads_call_different_functions_through_pointers():
    got = run(
        """P: .callprototype (.param .b32 _) _ (.param .b32 _);
        mov.u64 %rd1, twice; mov.u64 %rd2, square;
        and.b32 %r3, %t, 1; setp.eq.u32 %p1, %r3, 0;
        selp.b64 %rd3, %rd1, %rd2, %p1;
        { .param .b32 a; .param .b32 r; st.param.b32 [a], %t;
        call (r), %rd3, (a), P; ld.param.b32 %r1, [r]; }
        st.global.u32 [%me], %r1;""",
        module=TABLE,
    )
    lanes = np.arange(32)
    assert (got == np.where(lanes % 2, lanes * lanes, 2 * lanes)).all()


def test_a_call_of_what_is_no_function():
    with pytest.raises(OutOfBoundsError, match="needs the address of a function"):
        run(
            """P: .callprototype _ ();
            mov.u64 %rd3, 12345; mov.u64 %rd1, twice; call %rd3, P;""",
            module=TABLE,
        )


def test_a_function_without_a_body_counts_only_when_it_is_called():
    body = """setp.gt.u32 %p1, %t, {}; @!%p1 bra DONE;
        {{ .param .b64 a; st.param.b64 [a], %out; call __assertfail, (a); }}
        DONE: st.global.u32 [%me], %t;"""
    module = ".extern .func __assertfail(.param .b64 message);"
    assert (run(body.format(31), module=module) == np.arange(32)).all()
    with pytest.raises(TrapError, match="'__assertfail' has no body, and 1 threads"):
        run(body.format(30), module=module)


def test_recursion_is_refused():
    with pytest.raises(UnsupportedInstruction, match="'again' calls itself"):
        run("call again;", module=".func again() { call again; ret; }")
    with pytest.raises(UnsupportedInstruction, match="calls itself"):
        run(
            "call ping;",
            module=""".func pong(); .func ping() { call pong; ret; }
            .func pong() { call ping; ret; }""",
        )
