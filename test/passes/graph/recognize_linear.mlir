// RUN: ix-opt %s -p ix-recognize-linear | FileCheck %s

// CHECK-LABEL: func.func @projection
// CHECK-NEXT: "ix.matmul"(%arg0, %arg1) {transpose_a = false, transpose_b = false}
// CHECK-NEXT: return
func.func @projection(%x: tensor<?x?x4xf32>, %w: tensor<4x5xf32>) -> tensor<?x?x5xf32> {
  %0 = "ix.dot_general"(%x, %w) {batch_a = [], batch_b = [], contract_a = [2], contract_b = [0]} : (tensor<?x?x4xf32>, tensor<4x5xf32>) -> tensor<?x?x5xf32>
  return %0 : tensor<?x?x5xf32>
}

// CHECK-LABEL: func.func @transposed_projection
// CHECK-NEXT: "ix.matmul"(%arg0, %arg1) {transpose_a = false, transpose_b = true}
func.func @transposed_projection(%x: tensor<2x3x4xbf16>, %w: tensor<5x4xbf16>) -> tensor<2x3x5xf32> {
  // CHECK-SAME: -> tensor<2x3x5xf32>
  %0 = "ix.dot_general"(%x, %w) {batch_a = [], batch_b = [], contract_a = [2], contract_b = [1]} : (tensor<2x3x4xbf16>, tensor<5x4xbf16>) -> tensor<2x3x5xf32>
  return %0 : tensor<2x3x5xf32>
}

// CHECK-LABEL: func.func @batched
// CHECK-NEXT: "ix.matmul"(%arg0, %arg1) {transpose_a = true, transpose_b = true}
func.func @batched(%x: tensor<2x3x4x5xf32>, %y: tensor<2x3x6x4xf32>) -> tensor<2x3x5x6xf32> {
  %0 = "ix.dot_general"(%x, %y) {batch_a = [0, 1], batch_b = [0, 1], contract_a = [2], contract_b = [3]} : (tensor<2x3x4x5xf32>, tensor<2x3x6x4xf32>) -> tensor<2x3x5x6xf32>
  return %0 : tensor<2x3x5x6xf32>
}

// CHECK-LABEL: func.func @several_axes
// CHECK-DAG: %[[A:.*]] = "ix.reshape"(%arg0, %{{.*}}) {shape = [-9223372036854775808, 12]}
// CHECK-DAG: %[[B:.*]] = "ix.reshape"(%arg1) {shape = [12, 10]}
// CHECK: %[[C:.*]] = "ix.matmul"(%[[A]], %[[B]])
// CHECK: "ix.reshape"(%[[C]], %{{.*}}) {shape = [-9223372036854775808, 2, 5]}
func.func @several_axes(%x: tensor<?x3x4xf32>, %w: tensor<3x4x2x5xf32>) -> tensor<?x2x5xf32> {
  %0 = "ix.dot_general"(%x, %w) {batch_a = [], batch_b = [], contract_a = [1, 2], contract_b = [0, 1]} : (tensor<?x3x4xf32>, tensor<3x4x2x5xf32>) -> tensor<?x2x5xf32>
  return %0 : tensor<?x2x5xf32>
}

// CHECK-LABEL: func.func @batch_that_is_not_first_stays
// CHECK-NEXT: "ix.dot_general"
func.func @batch_that_is_not_first_stays(%x: tensor<3x2x4xf32>, %y: tensor<2x4x5xf32>) -> tensor<2x3x5xf32> {
  %0 = "ix.dot_general"(%x, %y) {batch_a = [1], batch_b = [0], contract_a = [2], contract_b = [1]} : (tensor<3x2x4xf32>, tensor<2x4x5xf32>) -> tensor<2x3x5xf32>
  return %0 : tensor<2x3x5xf32>
}

// CHECK-LABEL: func.func @first_axis_stays
// CHECK-NEXT: "ix.dot_general"
func.func @first_axis_stays(%x: tensor<4x2x3xf32>, %w: tensor<4x5xf32>) -> tensor<2x3x5xf32> {
  %0 = "ix.dot_general"(%x, %w) {batch_a = [], batch_b = [], contract_a = [0], contract_b = [0]} : (tensor<4x2x3xf32>, tensor<4x5xf32>) -> tensor<2x3x5xf32>
  return %0 : tensor<2x3x5xf32>
}

// CHECK-LABEL: func.func @other_order_stays
// CHECK-NEXT: "ix.dot_general"
func.func @other_order_stays(%x: tensor<2x3x4xf32>, %w: tensor<4x3x5xf32>) -> tensor<2x5xf32> {
  %0 = "ix.dot_general"(%x, %w) {batch_a = [], batch_b = [], contract_a = [1, 2], contract_b = [1, 0]} : (tensor<2x3x4xf32>, tensor<4x3x5xf32>) -> tensor<2x5xf32>
  return %0 : tensor<2x5xf32>
}

// CHECK-LABEL: func.func @outer_product_stays
// CHECK-NEXT: "ix.dot_general"
func.func @outer_product_stays(%x: tensor<2xf32>, %w: tensor<3xf32>) -> tensor<2x3xf32> {
  %0 = "ix.dot_general"(%x, %w) {batch_a = [], batch_b = [], contract_a = [], contract_b = []} : (tensor<2xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  return %0 : tensor<2x3xf32>
}

// CHECK-LABEL: func.func @unknown_sizes_of_several_axes_stay
// CHECK-NEXT: "ix.dot_general"
func.func @unknown_sizes_of_several_axes_stay(%x: tensor<2x3x?xf32>, %w: tensor<3x?x5xf32>) -> tensor<2x5xf32> {
  %0 = "ix.dot_general"(%x, %w) {batch_a = [], batch_b = [], contract_a = [1, 2], contract_b = [0, 1]} : (tensor<2x3x?xf32>, tensor<3x?x5xf32>) -> tensor<2x5xf32>
  return %0 : tensor<2x5xf32>
}
