// RUN: ix-opt %s --stage=gpu --split-input-file | FileCheck %s

// Four tiles and a depth of 1,024: eight blocks share each tile. They leave their sums and
// count; the last one adds them in order. No sum is added by an atomic.

// CHECK-LABEL: func.func @main
// CHECK:         %[[BLOCKS:.*]] = arith.constant 32 : index
// CHECK:         gpu.launch_func @kernel_0::@kernel blocks in (%[[BLOCKS]],
// CHECK-LABEL: gpu.module @kernel_0
// CHECK:         math.fma
// CHECK:         memref.store
// CHECK:         memref.atomic_rmw addi
// CHECK:         scf.for
// CHECK:           arith.addf
// CHECK-NOT:     memref.atomic_rmw addf
module attributes {ix.target = "sm_90a"} {
  func.func @main(%x: tensor<32x1024xf32>, %w: tensor<1024x40xf32>) -> tensor<32x40xf32> {
    %0 = "ix.matmul"(%x, %w) {transpose_a = false, transpose_b = false} : (tensor<32x1024xf32>, tensor<1024x40xf32>) -> tensor<32x40xf32>
    return %0 : tensor<32x40xf32>
  }
}

// -----

// Tiles enough for all multiprocessors have one block each.

// CHECK-LABEL: gpu.module @kernel_0
// CHECK:         math.fma
// CHECK-NOT:     memref.atomic_rmw
module attributes {ix.target = "sm_90a"} {
  func.func @main(%x: tensor<256x512xf32>, %w: tensor<512x512xf32>) -> tensor<256x512xf32> {
    %0 = "ix.matmul"(%x, %w) {transpose_a = false, transpose_b = false} : (tensor<256x512xf32>, tensor<512x512xf32>) -> tensor<256x512xf32>
    return %0 : tensor<256x512xf32>
  }
}
