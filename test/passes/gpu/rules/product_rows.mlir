// RUN: ix-opt %s --stage=gpu | FileCheck %s
// RUN: ix-opt %s --stage=ptx | FileCheck %s --check-prefix=PTX

// A softmax behind a product is one launch: blocks count, and the last one of a row of
// tiles makes the rows.

// CHECK:       gpu.launch_func
// CHECK-NOT:   gpu.launch_func
// CHECK:       gpu.module
// CHECK:         gpu.barrier
// CHECK:         gpu.barrier
// CHECK:           memref.atomic_rmw addi
// CHECK:           gpu.shuffle xor

// PTX-LABEL:   .visible .entry ix_
// PTX:           fma.rn.f32
// PTX:           fence.acq_rel.gpu;
// PTX:           atom.{{.*}}add.u32
// PTX:           fence.acq_rel.gpu;
// PTX:           shfl.sync.bfly.b32
// PTX-NOT:     .entry
module attributes {ix.target = "sm_90a"} {
  func.func @main(%x: tensor<32x64xf32>, %w: tensor<64x96xf32>) -> tensor<32x96xf32> {
    %0 = "ix.matmul"(%x, %w) {transpose_a = false, transpose_b = false} : (tensor<32x64xf32>, tensor<64x96xf32>) -> tensor<32x96xf32>
    %1 = "ix.softmax"(%0) {axis = 1 : i64} : (tensor<32x96xf32>) -> tensor<32x96xf32>
    return %1 : tensor<32x96xf32>
  }
}
