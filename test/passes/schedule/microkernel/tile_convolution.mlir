// RUN: ix-opt %s --split-input-file -p ix-lower-to-linalg,ix-form-kernels,ix-emit-loops | FileCheck %s

// With AMX a convolution with a constant filter runs on matrix tiles, without a column
// matrix: tiles of positions are loaded from the input's parts, one channel row of 128
// bytes apart, for each tap.

// CHECK-LABEL: func.func @main
// CHECK-SAME:    memref<2x18x3x2x16x32xi16>
// CHECK:       func.func private @kernel_0
// CHECK:         llvm.call_intrinsic "llvm.x86.ldtilecfg"
// CHECK-COUNT-3: llvm.call_intrinsic "llvm.x86.avx512bf16.cvtne2ps2bf16.512"
// CHECK:         %[[APART:.*]] = llvm.mlir.constant(128 : i64)
// CHECK:         llvm.call_intrinsic "llvm.x86.tileloadd64"
// CHECK-COUNT-24: llvm.call_intrinsic "llvm.x86.tdpbf16ps"
// CHECK:         llvm.call_intrinsic "llvm.x86.tilerelease"
module attributes {ix.target = "cpu:amx"} {
  func.func @main(%x: tensor<1x16x16x64xf32>) -> tensor<1x14x14x64xf32> {
    %f = "ix.parameter"() {name = "f"} : () -> tensor<3x3x64x64xf32>
    %0 = "ix.conv"(%x, %f) {strides = [1, 1], padding_low = [0, 0], padding_high = [0, 0], dilations = [1, 1], groups = 1 : i64, layout = "NHWC", has_bias = false} : (tensor<1x16x16x64xf32>, tensor<3x3x64x64xf32>) -> tensor<1x14x14x64xf32>
    return %0 : tensor<1x14x14x64xf32>
  }
}

// -----

// Three channels leave a third of each tile's depth empty: vectors are faster.

// CHECK-LABEL: func.func @main
// CHECK-NOT:   tdpbf16ps
module attributes {ix.target = "cpu:amx"} {
  func.func @main(%x: tensor<1x20x20x3xf32>) -> tensor<1x14x14x64xf32> {
    %f = "ix.parameter"() {name = "f"} : () -> tensor<7x7x3x64xf32>
    %0 = "ix.conv"(%x, %f) {strides = [1, 1], padding_low = [0, 0], padding_high = [0, 0], dilations = [1, 1], groups = 1 : i64, layout = "NHWC", has_bias = false} : (tensor<1x20x20x3xf32>, tensor<7x7x3x64xf32>) -> tensor<1x14x14x64xf32>
    return %0 : tensor<1x14x14x64xf32>
  }
}
