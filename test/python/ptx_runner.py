"""Runs pieces of PTX in the emulator, for tests.

A body finds its arguments in registers: `%in0`, `%in1`, ... are the addresses of the
inputs, `%out` that of the output, `%t` the index of the thread in the CTA and `%c`
that of the CTA. `%me` is the address of the thread's own 4 bytes of the output.
"""

import numpy as np

from ix.emulator import Emulator

HEADER = ".version 8.3\n.target sm_90a\n.address_size 64\n"
REGISTERS = """
    .reg .pred %p<32>;
    .reg .b16 %h<32>;
    .reg .b32 %r<64>;
    .reg .f32 %f<32>;
    .reg .b64 %rd<64>;
    .reg .f64 %d<16>;
    .reg .b32 %t, %c, %i;
    .reg .b64 %out, %me;
"""


def pointer(address):
    """The bytes of a 64-bit parameter."""
    return int(address).to_bytes(8, "little")


def kernel_text(body, inputs, block, *, module="", name="k", directives=""):
    """The module of a kernel with a body, and prologue for its arguments."""
    names = [f"in{i}" for i in range(inputs)] + ["out"]
    parameters = ",\n".join(f"    .param .u64 k_{name}" for name in names)
    loads = "\n".join(f"    ld.param.u64 %{name}, [k_{name}];" for name in names)
    declared = "".join(f"    .reg .b64 %in{i};\n" for i in range(inputs))
    return f"""{HEADER}{module}
.visible .entry {name}(
{parameters}
){directives}
{{
{REGISTERS}{declared}
{loads}
    mov.u32 %t, %tid.x;
    mov.u32 %c, %ctaid.x;
    mad.lo.s32 %i, %c, {block}, %t;
    mad.wide.u32 %me, %i, 4, %out;
{body}
    ret;
}}
"""


def run_text(
    text,
    inputs=(),
    *,
    out=np.uint32,
    count=32,
    grid=1,
    block=32,
    shared_bytes=0,
    cluster=(1, 1, 1),
    target="sm_90a",
    initial=None,
    name="k",
    **options,
):
    """Runs a kernel; its output, and its counters.

    The output is poison where the kernel does not write, or begins as `initial`.
    """
    emulator = Emulator(target, **options)
    addresses = []
    for array in inputs:
        addresses.append(emulator.alloc(array.nbytes))
        emulator.write(addresses[-1], array)
    result = emulator.alloc(np.dtype(out).itemsize * count)
    if initial is not None:
        emulator.write(result, np.asarray(initial, out))
    counters = emulator.launch(
        emulator.load(text),
        name,
        grid,
        block,
        [pointer(address) for address in [*addresses, result]],
        shared_bytes,
        cluster,
    )
    return emulator.read(result, out, count), counters


def run(body, inputs=(), *, block=32, grid=1, module="", directives="", **options):
    """Runs a body; its output alone. See `run_text`."""
    text = kernel_text(body, len(inputs), block, module=module, directives=directives)
    return run_text(text, inputs, block=block, grid=grid, **options)[0]


def count(body, inputs=(), *, block=32, grid=1, module="", **options):
    """Runs a body; its counters alone. See `run_text`."""
    text = kernel_text(body, len(inputs), block, module=module)
    return run_text(text, inputs, block=block, grid=grid, **options)[1]
