"""Speed of the CPU's loop builders on one thread, against NumPy, torch, onnxruntime.

    python benchmarks/microkernels.py [matmul] [attention] [convolution]

The contenders run in turn, so that noise hits all alike; each figure is the median of
its rounds. Results are compared with float64 before anything is timed.
"""

import os

# The libraries read these when they are imported.
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

import ctypes
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from ix.mlir import PassManager, func, ir
from ix.passes.cpu.kernel_object import LOWER
from ix.passes.cpu.object_code import compile_object
from ix.passes.cpu.translate import to_llvm_ir
from ix.passes.schedule.microkernel.attention import emit_attention, plan_attention
from ix.passes.schedule.microkernel.builder import Builder
from ix.passes.schedule.microkernel.convolution import (
    Axis,
    emit_convolution,
    pack_filter,
    plan_convolution,
    plan_depthwise,
)
from ix.passes.schedule.microkernel.matmul import emit_matmul, pack_b, plan_matmul
from ix.runtime.elf import load_object
from ix.target import Target

Array = np.ndarray[Any, Any]
Calls = dict[str, Callable[[], object]]
TARGET = Target.parse("cpu")

# m, k, n
MATMULS = [
    (128, 384, 384),
    (128, 384, 1536),
    (1024, 384, 1536),
    (1024, 1536, 384),
    (197, 768, 3072),
    (512, 4096, 1024),
    (1024, 1024, 1024),
    (37, 129, 255),
    (16, 768, 3072),
    (4, 768, 768),
    (1, 4096, 4096),
]
# heads, queries, keys, width, heads of a group, causal
ATTENTIONS = [
    (12, 128, 128, 32, 1, False),
    (12, 256, 256, 64, 1, False),
    (12, 512, 512, 64, 1, False),
    (4, 2048, 2048, 64, 1, False),
    (12, 512, 512, 64, 1, True),
    (12, 197, 197, 64, 1, False),
    (12, 1, 512, 64, 1, False),
    (32, 1, 2048, 128, 4, False),
]
# channels, features, size, kernel, stride, groups
CONVOLUTIONS = [
    (3, 64, 224, 7, 2, 1),
    (64, 64, 56, 3, 1, 1),
    (128, 128, 28, 3, 1, 1),
    (128, 128, 56, 3, 2, 1),
    (256, 256, 14, 3, 1, 1),
    (512, 512, 7, 3, 1, 1),
    (64, 256, 56, 1, 1, 1),
    (256, 64, 56, 1, 1, 1),
    (512, 128, 28, 1, 1, 1),
    (1024, 256, 14, 1, 1, 1),
    (2048, 512, 7, 1, 1, 1),
    (256, 512, 56, 1, 2, 1),
    (32, 32, 112, 3, 1, 32),
    (144, 144, 56, 3, 1, 144),
    (960, 960, 7, 3, 1, 960),
]


def aligned(shape: Sequence[int], dtype: Any = np.float32) -> Array:
    """A zeroed array at a 64-byte boundary."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(dtype).reshape(shape)


def random(*shape: int) -> Array:
    array = aligned(shape)
    array[:] = np.random.default_rng(sum(shape)).standard_normal(shape)
    return array


def kernel(
    emit: Callable[..., None], arrays: Sequence[Array], scratch_bytes: int, items: Any
) -> tuple[Callable[[], object], float]:
    """Compiles `emit`; returns a call that runs all items, and the ms it took."""
    start = time.perf_counter()
    scratch = aligned((scratch_bytes + 64,), np.uint8)
    with ir.Context(), ir.Location.unknown():
        module, index = ir.Module.create(), ir.IndexType.get()
        f32, byte = ir.F32Type.get(), ir.IntegerType.get_signless(8)
        types = [ir.MemRefType.get(list(a.shape), f32) for a in arrays]
        types += [ir.MemRefType.get(list(scratch.shape), byte), index, index]
        with ir.InsertionPoint(module.body):
            op = func.FuncOp("kernel", (types, []))
            with ir.InsertionPoint(op.add_entry_block()):
                *buffers, low, high = op.arguments
                emit(Builder(TARGET), *buffers, low=low, high=high)
                func.ReturnOp([])
        PassManager.parse(f"builtin.module({LOWER})").run(module.operation)
        code = load_object(compile_object(to_llvm_ir(module), TARGET))
    spent = (time.perf_counter() - start) * 1e3
    pointers = [array.ctypes.data for array in (*arrays, scratch)]
    kinds = [ctypes.c_void_p] * len(pointers) + [ctypes.c_int64] * 2
    function = ctypes.CFUNCTYPE(None, *kinds)(code.address("kernel"))
    keep = (code, arrays, scratch)

    def call(keep: object = keep) -> None:
        function(*pointers, 0, items)

    return call, spent


def race(calls: Calls, rounds: int = 9, slice_s: float = 6e-3) -> dict[str, float]:
    """Median seconds of each call, measured in turn."""
    counts = {}
    for name, call in calls.items():
        call()
        start = time.perf_counter()
        call()
        counts[name] = max(1, int(slice_s / max(time.perf_counter() - start, 1e-7)))
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            for _ in range(counts[name]):
                call()
            times[name].append((time.perf_counter() - start) / counts[name])
    return {name: statistics.median(values) for name, values in times.items()}


def report(
    title: str, gflop: float, error: float, compile_ms: float, calls: Calls
) -> None:
    if not error < 1e-3:
        raise SystemExit(f"{title}: wrong by {error}")
    times = race(calls)
    ours = times.pop("ix")
    ratios = "  ".join(f"{name} x{t / ours:.2f}" for name, t in times.items())
    print(
        f"{title:34s} {ours * 1e3:8.3f} ms {gflop / ours:6.0f} GFLOP/s  {ratios}"
        f"  (error {error:.0e}, compiled in {compile_ms:.0f} ms)",
        flush=True,
    )


def matmul(m: int, k: int, n: int) -> None:
    plan = plan_matmul(TARGET, m, n, k)
    a, b, bias = random(m, k), random(k, n), random(n)
    packed, c, other = (
        aligned((plan.panels, k, plan.panel_columns)),
        aligned((m, n)),
        aligned((m, n)),
    )
    packed[:] = pack_b(b, plan.panel_columns)

    def emit(
        e: Builder, a: Any, b: Any, bias: Any, c: Any, _: Any, **items: Any
    ) -> None:
        emit_matmul(
            e,
            plan,
            read_a=lambda i, k: e.load_scalar(a, i, k),
            packed_b=b,
            start=lambda i, j, lanes: e.load(bias, j, lanes=lanes),
            finish=lambda i, j, lanes, value: e.store(value, c, i, j, lanes=lanes),
            **items,
        )

    call, spent = kernel(emit, [a, packed, bias, c], 0, plan.items)
    call()
    error = np.abs(c - (a.astype("f8") @ b + bias)).max()
    ta, tb, to = (torch.from_numpy(x) for x in (a, b, other))
    calls: Calls = {
        "ix": call,
        "numpy": lambda: np.matmul(a, b, out=other),
        "torch": lambda: torch.mm(ta, tb, out=to),
    }
    report(f"matmul [{m},{k}]·[{k},{n}]", 2e-9 * m * k * n, error, spent, calls)


def attention(heads: int, s: int, t: int, d: int, group: int, causal: bool) -> None:
    plan = plan_attention(
        TARGET, heads=heads, s=s, t=t, d=d, e=d, group=group, causal=causal
    )
    q, k, v = (
        random(heads, s, d),
        random(heads // group, t, d),
        random(heads // group, t, d),
    )
    o = aligned((heads, s, d))

    def emit(
        e: Builder, q: Any, k: Any, v: Any, o: Any, scratch: Any, **items: Any
    ) -> None:
        emit_attention(
            e,
            plan,
            scratch=scratch,
            read_q=lambda h, i, c, lanes: e.load(q, h, i, c, lanes=lanes),
            read_k=lambda h, j, c, lanes: e.load(k, h, j, c, lanes=lanes),
            read_v=lambda h, j, c, lanes: e.load(v, h, j, c, lanes=lanes),
            store_o=lambda h, i, c, lanes, x: e.store(x, o, h, i, c, lanes=lanes),
            scale=d**-0.5,
            **items,
        )

    call, spent = kernel(emit, [q, k, v, o], plan.scratch_bytes, plan.items)
    call()
    tensors = [torch.from_numpy(x)[None] for x in (q, k, v)]
    fused = torch.nn.functional.scaled_dot_product_attention
    options = {"is_causal": causal, "enable_gqa": group > 1}
    want = fused(*(x.double() for x in tensors), **options)[0].numpy()
    error = np.abs(o - want).max()
    calls: Calls = {"ix": call, "torch": lambda: fused(*tensors, **options)}
    gflop = 4e-9 * heads * s * t * d / (2 if causal else 1)
    title = f"attention {heads}/{heads // group}x{s}x{t}x{d}" + " causal" * causal
    report(title, gflop, error, spent, calls)


def convolution(c: int, o: int, size: int, k: int, stride: int, groups: int) -> None:
    padding = k // 2
    axis = Axis(size, (size + 2 * padding - k) // stride + 1, k, stride, 1, padding)
    sizes: dict[str, Any] = {"batch": 1, "channels": c, "axes": [axis, axis]}
    if groups > 1:
        plan = plan_depthwise(TARGET, **sizes)
    else:
        plan = plan_convolution(TARGET, features=o, **sizes)
    x, f, bias = random(1, size, size, c), random(o, c // groups, k, k), random(o)
    packed, y = aligned(plan.filter_shape), aligned((1, axis.output, axis.output, o))
    packed[:] = pack_filter(f, plan)

    def emit(
        e: Builder, x: Any, f: Any, bias: Any, y: Any, scratch: Any, **items: Any
    ) -> None:
        emit_convolution(
            e,
            plan,
            scratch=scratch,
            read_x=lambda n, at, c, lanes: e.load(x, n, *at, c, lanes=lanes),
            packed_filter=f,
            start=lambda n, at, o, lanes: e.load(bias, o, lanes=lanes),
            finish=lambda n, at, o, lanes, z: e.store(z, y, n, *at, o, lanes=lanes),
            **items,
        )

    call, spent = kernel(emit, [x, packed, bias, y], plan.scratch_bytes, plan.items)
    call()
    last = torch.channels_last
    tx = torch.from_numpy(np.moveaxis(x, -1, 1))
    tf, tb = torch.from_numpy(f).contiguous(memory_format=last), torch.from_numpy(bias)
    planar = tx.contiguous()
    options = (stride, padding, 1, groups)
    conv = torch.nn.functional.conv2d
    want = conv(tx.double(), tf.double(), tb.double(), *options).numpy()
    error = np.abs(y - np.moveaxis(want, 1, -1)).max() / np.sqrt(f[0].size)
    calls: Calls = {
        "ix": call,
        "torch NHWC": lambda: conv(tx, tf, tb, *options),
        "torch NCHW": lambda: conv(planar, tf, tb, *options),
    }
    if session := onnx_convolution(planar.numpy(), f, bias, stride, padding, groups):
        calls["onnxruntime"] = session
    gflop = 2e-9 * y.size * f[0].size
    title = f"conv {k}x{k}/{stride} {c}->{o} {size}" + f" groups {groups}" * (
        groups > 1
    )
    report(title, gflop, error, spent, calls)


def onnx_convolution(
    x: Array, f: Array, bias: Array, stride: int, padding: int, groups: int
) -> Callable[[], object] | None:
    """The same convolution as a model of one node, or None without onnxruntime."""
    try:
        import onnx
        import onnxruntime
    except ImportError:
        return None
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    node = helper.make_node(
        "Conv",
        ["x", "f", "bias"],
        ["y"],
        strides=[stride, stride],
        pads=[padding] * 4,
        kernel_shape=list(f.shape[2:]),
        group=groups,
    )
    graph = helper.make_graph(
        [node],
        "convolution",
        [helper.make_tensor_value_info("x", kind, list(x.shape))],
        [helper.make_tensor_value_info("y", kind, None)],
        [
            onnx.numpy_helper.from_array(f, "f"),
            onnx.numpy_helper.from_array(bias, "bias"),
        ],
    )
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda: session.run(None, {"x": x})


def main() -> None:
    families: dict[str, tuple[Callable[..., None], list[Any]]] = {
        "matmul": (matmul, MATMULS),
        "attention": (attention, ATTENTIONS),
        "convolution": (convolution, CONVOLUTIONS),
    }
    torch.set_num_threads(1)
    with torch.inference_mode():
        for name in sys.argv[1:] or families:
            measure, cases = families[name]
            for case in cases:
                measure(*case)


if __name__ == "__main__":
    main()
