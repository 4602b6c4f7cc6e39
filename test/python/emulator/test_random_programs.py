"""Random control flow: the order of the threads must not matter.

Every thread computes a value of its own through nested branches, loops, indexed jumps,
early exits and calls. Together, in any order, they must give what each gives alone.
"""

import numpy as np
import pytest
from ptx_runner import kernel_text, run_text

MIX = """.func (.param .b32 r) mix(.param .b32 x) {
    .reg .b32 %r<3>; .reg .pred %p1;
    ld.param.b32 %r1, [x];
    and.b32 %r2, %r1, 8; setp.eq.u32 %p1, %r2, 0; @%p1 bra EVEN;
    mad.lo.u32 %r1, %r1, 5, 77; st.param.b32 [r], %r1; ret;
    EVEN: xor.b32 %r1, %r1, 991; st.param.b32 [r], %r1; ret; }
"""


class Program:
    """Writes random statements on the value in %r1; %i is the thread's number."""

    def __init__(self, rng):
        self.rng = rng
        self.labels = 0

    def label(self):
        self.labels += 1
        return f"L{self.labels}"

    def block(self, depth):
        kinds = [self.arithmetic, self.branch, self.loop, self.jump, self.call]
        count = int(self.rng.integers(1, 4))
        if depth == 0:
            return "\n".join(self.arithmetic(0) for _ in range(count))
        chosen = self.rng.integers(0, len(kinds), count)
        return "\n".join(kinds[k](depth - 1) for k in chosen)

    def arithmetic(self, depth):
        a, b = self.rng.integers(3, 99, 2)
        return self.rng.choice(
            [
                f"mad.lo.u32 %r1, %r1, {a}, {b};",
                f"xor.b32 %r1, %r1, {a * 7919};",
                f"shf.l.wrap.b32 %r1, %r1, %r1, {a % 31};",
                "add.u32 %r1, %r1, %i;",
            ]
        )

    def condition(self):
        """A predicate in %p1 that differs between threads."""
        bit, other = self.rng.integers(0, 12, 2)
        return f"""shr.u32 %r2, %r1, {bit}; xor.b32 %r2, %r2, %i;
            shr.u32 %r2, %r2, {other % 4}; and.b32 %r2, %r2, 3;
            setp.{self.rng.choice(["eq", "lt", "ne"])}.u32 %p1, %r2, 1;"""

    def branch(self, depth):
        other, end = self.label(), self.label()
        leave = "exit;" if self.rng.random() < 0.05 else f"bra {end};"
        return f"""{self.condition()} @%p1 bra {other};
            {self.block(depth)} st.global.u32 [%me], %r1; {leave}
            {other}: {self.block(depth)}
            {end}:"""

    def loop(self, depth):
        start, end = self.label(), self.label()
        counter = f"%r{10 + depth}"
        bound = int(self.rng.integers(1, 5))
        return f"""and.b32 {counter}, %r1, {bound};
            {start}: setp.eq.u32 %p2, {counter}, 0; @%p2 bra {end};
            sub.u32 {counter}, {counter}, 1;
            {self.block(depth)}
            bra {start};
            {end}:"""

    def jump(self, depth):
        cases = [self.label() for _ in range(3)]
        table, end = self.label(), self.label()
        arms = "\n".join(f"{c}: {self.block(depth)} bra {end};" for c in cases)
        return f"""rem.u32 %r3, %r1, 3; brx.idx %r3, {table};
            {table}: .branchtargets {", ".join(cases)};
            {arms}
            {end}:"""

    def call(self, depth):
        return """{ .param .b32 a; .param .b32 r; st.param.b32 [a], %r1;
            call.uni (r), mix, (a); ld.param.b32 %r1, [r]; }"""


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_threads_give_together_what_they_give_alone(depth):
    seed = int(np.random.default_rng().integers(1 << 31))
    body = f"""mul.lo.u32 %r1, %i, 2654435761;
        {Program(np.random.default_rng(seed)).block(depth)}
        st.global.u32 [%me], %r1;"""
    together = kernel_text(body, 0, 96, module=MIX)
    alone, _ = run_text(
        kernel_text(body, 0, 1, module=MIX), grid=288, block=1, count=288
    )
    for schedule in ("lockstep", seed, seed + 1):
        got, _ = run_text(
            together, grid=3, block=96, count=288, schedule=schedule, batch_threads=192
        )
        assert (got == alone).all(), (seed, schedule)
