// RUN: ix-opt %s --stage=schedule | FileCheck %s

module attributes {ix.target = "sm_90a"} {
  // A batch of products: their rows are not counted on.
  // CHECK-LABEL: func.func @main
  // CHECK:         call @kernel_0(
  // CHECK:         call @kernel_1(
  // CHECK-NOT:   product_rows
  func.func @main(%x: tensor<2x32x64xf32> {ix.name = "x"}, %w: tensor<2x64x96xf32> {ix.name = "w"}) -> (tensor<2x32x96xf32> {ix.name = "y"}) {
    %0 = "ix.matmul"(%x, %w) {transpose_a = false, transpose_b = false} : (tensor<2x32x64xf32>, tensor<2x64x96xf32>) -> tensor<2x32x96xf32>
    %1 = "ix.softmax"(%0) {axis = 2 : i64} : (tensor<2x32x96xf32>) -> tensor<2x32x96xf32>
    return %1 : tensor<2x32x96xf32>
  }
}
