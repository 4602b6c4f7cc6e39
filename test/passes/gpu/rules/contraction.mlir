// RUN: ix-opt %s --stage=ptx --split-input-file | FileCheck %s
// RUN: ix-opt %s --stage=gpu --split-input-file | FileCheck %s --check-prefix=GPU

// Both operands pass through tiles in shared memory. A step has two barriers, and the
// first tile one before it; sums are fused multiply-adds. The epilogue has no kernel.

// CHECK-LABEL: .visible .entry ix_matmul_
// CHECK-DAG:     .shared .align 16 .b8 left[
// CHECK-DAG:     .shared .align 16 .b8 right[
// CHECK:         ld.global.nc.v4.b32
// CHECK:         st.shared
// CHECK:         bar.sync 0;
// CHECK:         ld.shared
// CHECK:         fma.rn.f32
// CHECK:         bar.sync 0;
// CHECK:         bar.sync 0;
// CHECK-NOT:     bar.sync
// CHECK:         max.NaN.f32
// CHECK:         st.global.v4.b32
// CHECK-NOT:   .entry

// GPU:         gpu.launch_func
// GPU-NOT:     gpu.launch_func
// GPU:       gpu.module @kernel_0
// GPU:         gpu.barrier
// GPU:         scf.for
// GPU:           math.fma
// GPU:           gpu.barrier
// GPU:           gpu.barrier
// GPU:         }
// GPU-NOT:     gpu.barrier
// GPU:         gpu.return
module attributes {ix.target = "sm_90a"} {
  func.func @main(%x: tensor<256x128xf32>, %w: tensor<128x192xf32>) -> tensor<256x192xf32> {
    %0 = "ix.matmul"(%x, %w) {transpose_a = false, transpose_b = false} : (tensor<256x128xf32>, tensor<128x192xf32>) -> tensor<256x192xf32>
    %1 = "ix.relu"(%0) : (tensor<256x192xf32>) -> tensor<256x192xf32>
    return %1 : tensor<256x192xf32>
  }
}

// -----

// A convolution is the product of its windows with the filters: no matrix of windows is
// in memory, the padding is a test at the load.

// CHECK-LABEL: .visible .entry ix_conv_
// CHECK-DAG:     .shared .align 16 .b8 left[
// CHECK-DAG:     .shared .align 16 .b8 right[
// CHECK:         bar.sync 0;
// CHECK:         fma.rn.f32
// CHECK:         st.global
// CHECK-NOT:   .entry
module attributes {ix.target = "sm_90a"} {
  func.func @main(%x: tensor<1x14x14x16xf32>, %w: tensor<3x3x16x32xf32>) -> tensor<1x14x14x32xf32> {
    %0 = "ix.conv"(%x, %w) {strides = [1, 1], padding_low = [1, 1], padding_high = [1, 1], dilations = [1, 1], groups = 1 : i64, layout = "NHWC", has_bias = false} : (tensor<1x14x14x16xf32>, tensor<3x3x16x32xf32>) -> tensor<1x14x14x32xf32>
    return %0 : tensor<1x14x14x32xf32>
  }
}
