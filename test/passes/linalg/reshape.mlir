// RUN: ix-opt %s -p ix-lower-to-linalg --split-input-file | FileCheck %s

// CHECK-LABEL: func.func @axes_of_equal_size_stay_apart
// CHECK:         tensor.expand_shape %{{.*}} {{\[}}[0], [1], [2, 3]] output_shape [%{{.*}}, %{{.*}}, 2, 4]
// CHECK-NOT:     collapse_shape
func.func @axes_of_equal_size_stay_apart(%x: tensor<?x?x8xf32>) -> tensor<?x?x2x4xf32> {
  %0 = "ix.dim"(%x) {axis = 0 : i64} : (tensor<?x?x8xf32>) -> index
  %1 = "ix.dim"(%x) {axis = 1 : i64} : (tensor<?x?x8xf32>) -> index
  %2 = "ix.reshape"(%x, %0, %1) {shape = [-9223372036854775808, -9223372036854775808, 2, 4]} : (tensor<?x?x8xf32>, index, index) -> tensor<?x?x2x4xf32>
  return %2 : tensor<?x?x2x4xf32>
}

// -----

// The arguments declare one dimension, so the second size is that of the first too.
// CHECK-LABEL: func.func @declared_dimensions_are_equal
// CHECK:         tensor.expand_shape %{{.*}} {{\[}}[0], [1, 2]]
// CHECK-NOT:     collapse_shape
func.func @declared_dimensions_are_equal(%x: tensor<?x4xf32> {ix.dims = ["batch", ""]}, %y: tensor<?xf32> {ix.dims = ["batch"]}) -> tensor<?x2x2xf32> {
  %0 = "ix.dim"(%y) {axis = 0 : i64} : (tensor<?xf32>) -> index
  %1 = "ix.reshape"(%x, %0) {shape = [-9223372036854775808, 2, 2]} : (tensor<?x4xf32>, index) -> tensor<?x2x2xf32>
  return %1 : tensor<?x2x2xf32>
}

// -----

// Nothing says that sizes agree: all goes through one axis.
// CHECK-LABEL: func.func @unknown_sizes_are_flattened
// CHECK:         tensor.collapse_shape %{{.*}} {{\[}}[0, 1]]
// CHECK:         tensor.expand_shape %{{.*}} {{\[}}[0, 1]]
func.func @unknown_sizes_are_flattened(%x: tensor<?x?xf32>, %n: index, %m: index) -> tensor<?x?xf32> {
  %0 = "ix.reshape"(%x, %n, %m) {shape = [-9223372036854775808, -9223372036854775808]} : (tensor<?x?xf32>, index, index) -> tensor<?x?xf32>
  return %0 : tensor<?x?xf32>
}

// -----

// A computed size: (a · b) / b is a.
// CHECK-LABEL: func.func @quotients_of_products_cancel
// CHECK-NOT:     _shape
// CHECK:         return
func.func @quotients_of_products_cancel(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %c4 = arith.constant 4 : index
  %0 = "ix.dim"(%x) {axis = 0 : i64} : (tensor<?x4xf32>) -> index
  %1 = arith.muli %0, %c4 : index
  %2 = arith.divsi %1, %c4 : index
  %3 = "ix.reshape"(%x, %2) {shape = [-9223372036854775808, 4]} : (tensor<?x4xf32>, index) -> tensor<?x4xf32>
  return %3 : tensor<?x4xf32>
}

// -----

// CHECK-LABEL: func.func @static_shapes_share_what_they_can
// CHECK:         tensor.collapse_shape %{{.*}} {{\[}}[0], [1, 2], [3]] : tensor<2x3x4x5xf32> into tensor<2x12x5xf32>
// CHECK:         tensor.expand_shape %{{.*}} {{\[}}[0], [1, 2], [3]] output_shape [2, 6, 2, 5]
func.func @static_shapes_share_what_they_can(%x: tensor<2x3x4x5xf32>) -> tensor<2x6x2x5xf32> {
  %0 = "ix.reshape"(%x) {shape = [2, 6, 2, 5]} : (tensor<2x3x4x5xf32>) -> tensor<2x6x2x5xf32>
  return %0 : tensor<2x6x2x5xf32>
}
