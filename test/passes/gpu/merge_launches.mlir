// RUN: ix-opt %s --stage=linalg --split-input-file | ix-opt --split-input-file -p ix-form-kernels,ix-merge-launches | FileCheck %s

module attributes {ix.target = "sm_90a"} {
  // A softmax behind a product: one launch, one function that calls both parts.
  // CHECK-LABEL: func.func @main
  // CHECK:         %[[R:.*]]:2 = call @kernel_0_kernel_1(%arg0, %arg1)
  // CHECK:         return %[[R]]#1
  // CHECK:       func.func private @kernel_0_kernel_1
  // CHECK-SAME:    ix.family = "product_rows"
  // CHECK:         %[[P:.*]] = call @kernel_0(%arg0, %arg1)
  // CHECK:         %[[S:.*]] = call @kernel_1(%[[P]])
  // CHECK:         return %[[P]], %[[S]]
  func.func @main(%x: tensor<32x64xf32> {ix.name = "x"}, %w: tensor<64x96xf32> {ix.name = "w"}) -> (tensor<32x96xf32> {ix.name = "y"}) {
    %0 = "ix.matmul"(%x, %w) {transpose_a = false, transpose_b = false} : (tensor<32x64xf32>, tensor<64x96xf32>) -> tensor<32x96xf32>
    %1 = "ix.softmax"(%0) {axis = 1 : i64} : (tensor<32x96xf32>) -> tensor<32x96xf32>
    return %1 : tensor<32x96xf32>
  }
}

// -----

module attributes {ix.target = "sm_90a"} {
  // A batch of products: their rows are not counted on.
  // CHECK-LABEL: func.func @main
  // CHECK:         call @kernel_0(
  // CHECK:         call @kernel_1(
  // CHECK:       func.func private @kernel_1(
  // CHECK-SAME:    attributes {ix.declined = {{.}}["product_rows", "batched"]], ix.family = "row"}
  // CHECK-NOT:   ix.family = "product_rows"
  func.func @main(%x: tensor<2x32x64xf32> {ix.name = "x"}, %w: tensor<2x64x96xf32> {ix.name = "w"}) -> (tensor<2x32x96xf32> {ix.name = "y"}) {
    %0 = "ix.matmul"(%x, %w) {transpose_a = false, transpose_b = false} : (tensor<2x32x64xf32>, tensor<2x64x96xf32>) -> tensor<2x32x96xf32>
    %1 = "ix.softmax"(%0) {axis = 2 : i64} : (tensor<2x32x96xf32>) -> tensor<2x32x96xf32>
    return %1 : tensor<2x32x96xf32>
  }
}
