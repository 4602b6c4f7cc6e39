// RUN: ix-opt %s -p ix-cancel-movement | FileCheck %s

// CHECK-LABEL: func.func @inverse_transposes
// CHECK-NEXT: return %arg0
func.func @inverse_transposes(%x: tensor<2x3x4xf32>) -> tensor<2x3x4xf32> {
  %0 = "ix.transpose"(%x) {permutation = [1, 2, 0]} : (tensor<2x3x4xf32>) -> tensor<3x4x2xf32>
  %1 = "ix.transpose"(%0) {permutation = [2, 0, 1]} : (tensor<3x4x2xf32>) -> tensor<2x3x4xf32>
  return %1 : tensor<2x3x4xf32>
}

// CHECK-LABEL: func.func @transposes_merge
// CHECK-NEXT: "ix.transpose"(%arg0) {permutation = [2, 0, 1]}
// CHECK-NEXT: return
func.func @transposes_merge(%x: tensor<2x3x4xf32>) -> tensor<4x2x3xf32> {
  %0 = "ix.transpose"(%x) {permutation = [1, 2, 0]} : (tensor<2x3x4xf32>) -> tensor<3x4x2xf32>
  %1 = "ix.transpose"(%0) {permutation = [1, 2, 0]} : (tensor<3x4x2xf32>) -> tensor<4x2x3xf32>
  return %1 : tensor<4x2x3xf32>
}

// CHECK-LABEL: func.func @transpose_of_single_axes
// CHECK-NEXT: "ix.reshape"(%arg0) {shape = [3, 1, 4]}
func.func @transpose_of_single_axes(%x: tensor<1x3x4xf32>) -> tensor<3x1x4xf32> {
  %0 = "ix.transpose"(%x) {permutation = [1, 0, 2]} : (tensor<1x3x4xf32>) -> tensor<3x1x4xf32>
  return %0 : tensor<3x1x4xf32>
}

// CHECK-LABEL: func.func @transpose_of_single_and_unknown_axes
// CHECK-NEXT: %[[N:.*]] = "ix.dim"(%arg0) {axis = 1 : i64}
// CHECK-NEXT: "ix.reshape"(%arg0, %[[N]])
func.func @transpose_of_single_and_unknown_axes(%x: tensor<1x?x4xf32>) -> tensor<?x1x4xf32> {
  %0 = "ix.transpose"(%x) {permutation = [1, 0, 2]} : (tensor<1x?x4xf32>) -> tensor<?x1x4xf32>
  return %0 : tensor<?x1x4xf32>
}

// CHECK-LABEL: func.func @reshapes_merge
// CHECK-NEXT: "ix.reshape"(%arg0, %arg1) {shape = [-9223372036854775808, 4]} : (tensor<?x2x2xf32>, index)
// CHECK-NEXT: return
func.func @reshapes_merge(%x: tensor<?x2x2xf32>, %n: index, %m: index) -> tensor<?x4xf32> {
  %0 = "ix.reshape"(%x, %m) {shape = [-9223372036854775808]} : (tensor<?x2x2xf32>, index) -> tensor<?xf32>
  %1 = "ix.reshape"(%0, %n) {shape = [-9223372036854775808, 4]} : (tensor<?xf32>, index) -> tensor<?x4xf32>
  return %1 : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @reshape_to_the_same_shape
// CHECK-NEXT: return %arg0
func.func @reshape_to_the_same_shape(%x: tensor<?x4xf32>, %n: index) -> tensor<?x4xf32> {
  %0 = "ix.reshape"(%x, %n) {shape = [-9223372036854775808, 4]} : (tensor<?x4xf32>, index) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @reshape_of_two_unknown_sizes_stays
// CHECK-NEXT: "ix.reshape"
func.func @reshape_of_two_unknown_sizes_stays(%x: tensor<?x?xf32>, %n: index, %m: index) -> tensor<?x?xf32> {
  %0 = "ix.reshape"(%x, %n, %m) {shape = [-9223372036854775808, -9223372036854775808]} : (tensor<?x?xf32>, index, index) -> tensor<?x?xf32>
  return %0 : tensor<?x?xf32>
}

// CHECK-LABEL: func.func @broadcast_to_the_same_shape
// CHECK-NEXT: return %arg0
func.func @broadcast_to_the_same_shape(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = "ix.broadcast"(%x) {shape = [4]} : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// CHECK-LABEL: func.func @matmul_absorbs
// CHECK-NEXT: "ix.matmul"(%arg0, %arg1) {transpose_a = true, transpose_b = true}
func.func @matmul_absorbs(%x: tensor<2x3x4xf32>, %y: tensor<2x5x3xf32>) -> tensor<2x4x5xf32> {
  %0 = "ix.transpose"(%x) {permutation = [0, 2, 1]} : (tensor<2x3x4xf32>) -> tensor<2x4x3xf32>
  %1 = "ix.transpose"(%y) {permutation = [0, 2, 1]} : (tensor<2x5x3xf32>) -> tensor<2x3x5xf32>
  %2 = "ix.matmul"(%0, %1) {transpose_a = false, transpose_b = false} : (tensor<2x4x3xf32>, tensor<2x3x5xf32>) -> tensor<2x4x5xf32>
  return %2 : tensor<2x4x5xf32>
}

// CHECK-LABEL: func.func @matmul_of_moved_batch_stays
// CHECK-NEXT: "ix.transpose"
func.func @matmul_of_moved_batch_stays(%x: tensor<3x2x4xf32>, %y: tensor<2x4x5xf32>) -> tensor<2x3x5xf32> {
  %0 = "ix.transpose"(%x) {permutation = [1, 0, 2]} : (tensor<3x2x4xf32>) -> tensor<2x3x4xf32>
  %1 = "ix.matmul"(%0, %y) {transpose_a = false, transpose_b = false} : (tensor<2x3x4xf32>, tensor<2x4x5xf32>) -> tensor<2x3x5xf32>
  return %1 : tensor<2x3x5xf32>
}

// Elementwise ops between the two, with a number and a constant of a few axes.
// CHECK-LABEL: func.func @transposes_meet
// CHECK-DAG: %[[C:.*]] = "ix.reshape"(%{{.*}}) {shape = [4, 1, 1]}
// CHECK-DAG: %[[T:.*]] = "ix.tanh"(%arg0)
// CHECK: %[[P:.*]] = "ix.mul"(%[[T]], %[[C]])
// CHECK-NEXT: return %[[P]]
func.func @transposes_meet(%x: tensor<4x2x3xf32>) -> tensor<4x2x3xf32> {
  %c = "ix.parameter"() {name = "c"} : () -> tensor<4xf32>
  %0 = "ix.transpose"(%x) {permutation = [1, 2, 0]} : (tensor<4x2x3xf32>) -> tensor<2x3x4xf32>
  %1 = "ix.tanh"(%0) : (tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
  %2 = "ix.mul"(%1, %c) : (tensor<2x3x4xf32>, tensor<4xf32>) -> tensor<2x3x4xf32>
  %3 = "ix.transpose"(%2) {permutation = [2, 0, 1]} : (tensor<2x3x4xf32>) -> tensor<4x2x3xf32>
  return %3 : tensor<4x2x3xf32>
}

// CHECK-LABEL: func.func @one_transpose_stays
// CHECK-NEXT: "ix.transpose"
// CHECK-NEXT: "ix.tanh"
func.func @one_transpose_stays(%x: tensor<4x2xf32>) -> tensor<2x4xf32> {
  %0 = "ix.transpose"(%x) {permutation = [1, 0]} : (tensor<4x2xf32>) -> tensor<2x4xf32>
  %1 = "ix.tanh"(%0) : (tensor<2x4xf32>) -> tensor<2x4xf32>
  return %1 : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @transpose_beside_an_input_stays
// CHECK-NEXT: "ix.transpose"
// CHECK-NEXT: "ix.add"
func.func @transpose_beside_an_input_stays(%x: tensor<4x2xf32>, %y: tensor<2x4xf32>) -> tensor<4x2xf32> {
  %0 = "ix.transpose"(%x) {permutation = [1, 0]} : (tensor<4x2xf32>) -> tensor<2x4xf32>
  %1 = "ix.add"(%0, %y) : (tensor<2x4xf32>, tensor<2x4xf32>) -> tensor<2x4xf32>
  %2 = "ix.transpose"(%1) {permutation = [1, 0]} : (tensor<2x4xf32>) -> tensor<4x2xf32>
  return %2 : tensor<4x2xf32>
}

// Bias, activation and residual come to stand beside the product.
// CHECK-LABEL: func.func @reshape_sinks
// CHECK: %[[Y:.*]] = "ix.matmul"
// CHECK-DAG: %[[B:.*]] = "ix.add"(%[[Y]], %arg2)
// CHECK-DAG: %[[R:.*]] = "ix.reshape"(%arg3) {shape = [6, 5]}
// CHECK-DAG: %[[G:.*]] = "ix.gelu"(%[[B]])
// CHECK: %[[S:.*]] = "ix.add"(%[[R]], %[[G]])
// CHECK: "ix.reshape"(%[[S]]) {shape = [2, 3, 5]}
// CHECK-NEXT: return
func.func @reshape_sinks(%x: tensor<6x4xf32>, %w: tensor<4x5xf32>, %b: tensor<5xf32>, %r: tensor<2x3x5xf32>) -> tensor<2x3x5xf32> {
  %0 = "ix.matmul"(%x, %w) {transpose_a = false, transpose_b = false} : (tensor<6x4xf32>, tensor<4x5xf32>) -> tensor<6x5xf32>
  %1 = "ix.reshape"(%0) {shape = [2, 3, 5]} : (tensor<6x5xf32>) -> tensor<2x3x5xf32>
  %2 = "ix.add"(%1, %b) : (tensor<2x3x5xf32>, tensor<5xf32>) -> tensor<2x3x5xf32>
  %3 = "ix.gelu"(%2) {approximate = "none"} : (tensor<2x3x5xf32>) -> tensor<2x3x5xf32>
  %4 = "ix.add"(%r, %3) : (tensor<2x3x5xf32>, tensor<2x3x5xf32>) -> tensor<2x3x5xf32>
  return %4 : tensor<2x3x5xf32>
}

// CHECK-LABEL: func.func @constant_of_split_axes_merges_them
// CHECK: %[[C:.*]] = "ix.reshape"(%{{.*}}) {shape = [6]}
// CHECK: "ix.mul"(%{{.*}}, %[[C]]) : (tensor<2x6xf32>, tensor<6xf32>)
func.func @constant_of_split_axes_merges_them(%x: tensor<2x4xf32>, %w: tensor<4x6xf32>) -> tensor<2x3x2xf32> {
  %c = "ix.parameter"() {name = "c"} : () -> tensor<3x1xf32>
  %0 = "ix.matmul"(%x, %w) {transpose_a = false, transpose_b = false} : (tensor<2x4xf32>, tensor<4x6xf32>) -> tensor<2x6xf32>
  %1 = "ix.reshape"(%0) {shape = [2, 3, 2]} : (tensor<2x6xf32>) -> tensor<2x3x2xf32>
  %2 = "ix.mul"(%1, %c) : (tensor<2x3x2xf32>, tensor<3x1xf32>) -> tensor<2x3x2xf32>
  return %2 : tensor<2x3x2xf32>
}

// CHECK-LABEL: func.func @reshape_of_an_input_stays
// CHECK-NEXT: "ix.reshape"
// CHECK-NEXT: "ix.tanh"
func.func @reshape_of_an_input_stays(%x: tensor<6xf32>) -> tensor<2x3xf32> {
  %0 = "ix.reshape"(%x) {shape = [2, 3]} : (tensor<6xf32>) -> tensor<2x3xf32>
  %1 = "ix.tanh"(%0) : (tensor<2x3xf32>) -> tensor<2x3xf32>
  return %1 : tensor<2x3xf32>
}

// CHECK-LABEL: func.func @reshape_of_a_product_read_twice_stays
// CHECK: "ix.reshape"
// CHECK-NEXT: "ix.tanh"
func.func @reshape_of_a_product_read_twice_stays(%x: tensor<6x4xf32>, %w: tensor<4x5xf32>) -> (tensor<30xf32>, tensor<6x5xf32>) {
  %0 = "ix.matmul"(%x, %w) {transpose_a = false, transpose_b = false} : (tensor<6x4xf32>, tensor<4x5xf32>) -> tensor<6x5xf32>
  %1 = "ix.reshape"(%0) {shape = [30]} : (tensor<6x5xf32>) -> tensor<30xf32>
  %2 = "ix.tanh"(%1) : (tensor<30xf32>) -> tensor<30xf32>
  return %2, %0 : tensor<30xf32>, tensor<6x5xf32>
}

// Two products of different shapes: neither reshape would come to rest.
// CHECK-LABEL: func.func @reshapes_of_two_products_stay
// CHECK: "ix.reshape"
// CHECK: "ix.reshape"
// CHECK-NEXT: "ix.add"
// CHECK-NEXT: return
func.func @reshapes_of_two_products_stay(%x: tensor<6x4xf32>, %y: tensor<3x2x4xf32>, %w: tensor<4x5xf32>) -> tensor<2x3x5xf32> {
  %0 = "ix.matmul"(%x, %w) {transpose_a = false, transpose_b = false} : (tensor<6x4xf32>, tensor<4x5xf32>) -> tensor<6x5xf32>
  %1 = "ix.reshape"(%0) {shape = [2, 3, 5]} : (tensor<6x5xf32>) -> tensor<2x3x5xf32>
  %2 = "ix.matmul"(%y, %w) {transpose_a = false, transpose_b = false} : (tensor<3x2x4xf32>, tensor<4x5xf32>) -> tensor<3x2x5xf32>
  %3 = "ix.reshape"(%2) {shape = [2, 3, 5]} : (tensor<3x2x5xf32>) -> tensor<2x3x5xf32>
  %4 = "ix.add"(%1, %3) : (tensor<2x3x5xf32>, tensor<2x3x5xf32>) -> tensor<2x3x5xf32>
  return %4 : tensor<2x3x5xf32>
}
