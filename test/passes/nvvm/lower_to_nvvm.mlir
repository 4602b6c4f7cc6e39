// RUN: ix-opt %s -p ix-lower-to-nvvm | FileCheck %s
// RUN: ix-opt %s -p ix-lower-to-nvvm --mlir-print-debuginfo --mlir-print-local-scope | FileCheck %s --check-prefix=LOC

// Instructions that a GPU has are called as intrinsics, not as functions of libdevice;
// every block dimension that is known is said. The host's function stays.

// CHECK:       func.func @main
// CHECK:         gpu.launch_func @kernel_0::@kernel
// CHECK:       gpu.module @kernel_0
// CHECK:         llvm.func @kernel(%{{.*}}: !llvm.ptr
// CHECK-SAME:      nvvm.kernel
// CHECK-SAME:      nvvm.maxntid = array<i32: 128, 1, 1>
// CHECK:         nvvm.read.ptx.sreg.tid.x
// CHECK:         llvm.call_intrinsic "llvm.sqrt"
// CHECK-NOT:   __nv_
// CHECK-NOT:   gpu.thread_id

// The number of an op of the kernel's function becomes a line.

// LOC:         llvm.call_intrinsic "llvm.sqrt"({{.*}} loc("op":7:0)
module attributes {gpu.container_module, ix.target = "sm_90a"} {
  func.func @main(%x: memref<128xf32>) {
    %c1 = arith.constant 1 : index
    %c128 = arith.constant 128 : index
    gpu.launch_func @kernel_0::@kernel blocks in (%c1, %c1, %c1) threads in (%c128, %c1, %c1) args(%x : memref<128xf32>)
    return
  }
  gpu.module @kernel_0 attributes {ix.index_bits = 32 : i64} {
    gpu.func @kernel(%x: memref<128xf32>) kernel attributes {known_block_size = array<i32: 128, 1, 1>} {
      %t = gpu.thread_id x
      %0 = memref.load %x[%t] : memref<128xf32>
      %1 = math.sqrt %0 : f32 loc(fused<7>["ix.sqrt"("model.py":1:2)])
      memref.store %1, %x[%t] : memref<128xf32>
      gpu.return
    }
  }
}
