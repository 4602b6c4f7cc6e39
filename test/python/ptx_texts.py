"""Small kernels in PTX for the tests of what a kernel costs."""

SCALE = """
.version 8.0
.target sm_80
.address_size 64
.visible .entry scale(.param .u64 p, .param .f32 f)
{
 .reg .b64 %rd<4>; .reg .f32 %f<9>; .reg .b32 %r<4>;
 .shared .align 16 .b8 buffer[4096];
 ld.param.u64 %rd1, [p];
 ld.param.f32 %f0, [f];
 mov.u32 %r1, %tid.x;
 mul.wide.u32 %rd2, %r1, 16;
 add.s64 %rd3, %rd1, %rd2;
 ld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%rd3];
 fma.rn.f32 %f5, %f1, %f0, %f0;
 mul.f32 %f6, %f2, %f0;
 mul.f32 %f7, %f3, %f0;
 mul.f32 %f8, %f4, %f0;
 mul.lo.u32 %r2, %r1, 4;
 mov.u32 %r3, buffer;
 add.u32 %r3, %r3, %r2;
 st.shared.f32 [%r3], %f5;
 bar.sync 0;
 ld.shared.f32 %f5, [buffer];
 st.global.v4.f32 [%rd3], {%f5, %f6, %f7, %f8};
 ret;
}
"""


def spilling(values: int) -> str:
    """A kernel that keeps so many values alive in 32 registers."""
    loads = "\n".join(
        f" ld.volatile.global.f32 %f{i}, [%rd1+{4 * i}];" for i in range(values)
    )
    stores = "\n".join(
        f" st.volatile.global.f32 [%rd1+{4 * i}], %f{i};" for i in range(values)
    )
    return (
        ".version 8.0\n.target sm_80\n.address_size 64\n"
        ".visible .entry spilling(.param .u64 p)\n.maxnreg 32\n{\n"
        f" .reg .b64 %rd<2>; .reg .f32 %f<{values}>;\n"
        f" ld.param.u64 %rd1, [p];\n{loads}\n bar.sync 0;\n{stores}\n ret;\n}}\n"
    )


WGMMA = """
.version 8.0
.target sm_90a
.address_size 64
.visible .entry product(.param .u64 p, .param .u64 a, .param .u64 b)
{
 .reg .b64 %rd<4>; .reg .f32 %f<4>;
 ld.param.u64 %rd0, [p];
 ld.param.u64 %rd1, [a];
 ld.param.u64 %rd2, [b];
 mov.f32 %f0, 0f00000000; mov.f32 %f1, %f0; mov.f32 %f2, %f0; mov.f32 %f3, %f0;
 wgmma.fence.sync.aligned;
 wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16
  {%f0, %f1, %f2, %f3}, %rd1, %rd2, 1, 1, 1, 0, 0;
 wgmma.commit_group.sync.aligned;
 WAIT
 st.global.v4.f32 [%rd0], {%f0, %f1, %f2, %f3};
 ret;
}
"""
