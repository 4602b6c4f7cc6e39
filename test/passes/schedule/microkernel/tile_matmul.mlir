// RUN: ix-opt %s --split-input-file -p ix-lower-to-linalg,ix-form-kernels,ix-emit-loops | FileCheck %s

// With AMX a product with a constant runs on matrix tiles: both operands are cut into
// three bfloat16, of whose nine products six are summed up. Behind each four
// instructions a row of the 32 rows before may be finished, and each step stores a tile.

// CHECK-LABEL: func.func @main
// CHECK-SAME:    memref<2x3x3x2x16x32xi16>
// CHECK:       func.func private @kernel_0
// CHECK:         llvm.call_intrinsic "llvm.x86.ldtilecfg"
// CHECK-COUNT-3: llvm.call_intrinsic "llvm.x86.avx512bf16.cvtne2ps2bf16.512"
// CHECK:         scf.for
// CHECK-COUNT-4: llvm.call_intrinsic "llvm.x86.tdpbf16ps"
// CHECK:         scf.if
// CHECK:           vector.store
// CHECK-COUNT-4: llvm.call_intrinsic "llvm.x86.tdpbf16ps"
// CHECK:         scf.if
// CHECK-COUNT-16: llvm.call_intrinsic "llvm.x86.tdpbf16ps"
// CHECK:         scf.if
// CHECK:         llvm.call_intrinsic "llvm.x86.tilestored64"
// CHECK:         arith.cmpf uno
// CHECK:         vector.fma
// CHECK:         llvm.call_intrinsic "llvm.x86.tilerelease"
module attributes {ix.target = "cpu:amx"} {
  func.func @main(%x: tensor<64x96xf32>) -> tensor<64x64xf32> {
    %w = "ix.parameter"() {name = "w"} : () -> tensor<96x64xf32>
    %0 = "ix.matmul"(%x, %w) {transpose_a = false, transpose_b = false} : (tensor<64x96xf32>, tensor<96x64xf32>) -> tensor<64x64xf32>
    return %0 : tensor<64x64xf32>
  }
}

// -----

// Few rows leave tiles empty, and would read three parts of each weight.

// CHECK-LABEL: func.func @main
// CHECK-SAME:    memref<2x96x32xf32>
// CHECK-NOT:     tdpbf16ps
module attributes {ix.target = "cpu:amx"} {
  func.func @main(%x: tensor<8x96xf32>) -> tensor<8x64xf32> {
    %w = "ix.parameter"() {name = "w"} : () -> tensor<96x64xf32>
    %0 = "ix.matmul"(%x, %w) {transpose_a = false, transpose_b = false} : (tensor<8x96xf32>, tensor<96x64xf32>) -> tensor<8x64xf32>
    return %0 : tensor<8x64xf32>
  }
}
