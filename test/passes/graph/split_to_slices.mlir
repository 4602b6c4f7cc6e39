// RUN: ix-opt %s -p ix-split-to-slices | FileCheck %s

// CHECK-LABEL: func.func @parts
// CHECK: %[[A:.*]] = "ix.slice"(%arg0) {limits = [4, 2], starts = [0, 0], strides = [1, 1]}
// CHECK: %[[B:.*]] = "ix.slice"(%arg0) {limits = [4, 4], starts = [0, 2], strides = [1, 1]}
// CHECK-NOT: ix.split
// CHECK: return %[[A]], %[[B]]
func.func @parts(%x: tensor<4x4xf32>) -> (tensor<4x2xf32>, tensor<4x2xf32>) {
  %0, %1 = "ix.split"(%x) {axis = 1 : i64, sizes = [2, 2]} : (tensor<4x4xf32>) -> (tensor<4x2xf32>, tensor<4x2xf32>)
  return %0, %1 : tensor<4x2xf32>, tensor<4x2xf32>
}

// CHECK-LABEL: func.func @other_axes_keep_unknown_sizes
// CHECK: %[[N:.*]] = "ix.dim"(%arg0) {axis = 0 : i64}
// CHECK: "ix.slice"(%arg0, %[[N]]) {limits = [-9223372036854775808, 2], starts = [0, 0], strides = [1, 1]}
func.func @other_axes_keep_unknown_sizes(%x: tensor<?x4xf32>) -> tensor<?x2xf32> {
  %0, %1 = "ix.split"(%x) {axis = 1 : i64, sizes = [2, 2]} : (tensor<?x4xf32>) -> (tensor<?x2xf32>, tensor<?x2xf32>)
  return %0 : tensor<?x2xf32>
}
