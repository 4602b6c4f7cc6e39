// RUN: ix-opt %s -p ix-merge-sibling-matmuls | FileCheck %s

// CHECK-LABEL: func.func @biases_join
func.func @biases_join(%x: tensor<2x4xf32>) -> (tensor<2x3xf32>, tensor<2x5xf32>) {
  // CHECK: %[[W:.*]] = "ix.concat"({{.*}}) {axis = 1 : i64} : (tensor<4x3xf32>, tensor<4x5xf32>) -> tensor<4x8xf32>
  // CHECK: %[[Y:.*]] = "ix.matmul"(%arg0, %[[W]])
  // CHECK: %[[B:.*]] = "ix.concat"({{.*}}) {axis = 0 : i64} : (tensor<3xf32>, tensor<5xf32>) -> tensor<8xf32>
  // CHECK: %[[Z:.*]] = "ix.add"(%[[Y]], %[[B]])
  // CHECK: %[[P:.*]] = "ix.slice"(%[[Z]]) {limits = [2, 3], starts = [0, 0], strides = [1, 1]}
  // CHECK: %[[Q:.*]] = "ix.slice"(%[[Z]]) {limits = [2, 8], starts = [0, 3], strides = [1, 1]}
  // CHECK: return %[[P]], %[[Q]]
  %wp = "ix.parameter"() {name = "wp"} : () -> tensor<4x3xf32>
  %p = "ix.matmul"(%x, %wp) {transpose_a = false, transpose_b = false} : (tensor<2x4xf32>, tensor<4x3xf32>) -> tensor<2x3xf32>
  %bp = "ix.parameter"() {name = "bp"} : () -> tensor<3xf32>
  %0 = "ix.add"(%bp, %p) : (tensor<3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  %wq = "ix.parameter"() {name = "wq"} : () -> tensor<4x5xf32>
  %q = "ix.matmul"(%x, %wq) {transpose_a = false, transpose_b = false} : (tensor<2x4xf32>, tensor<4x5xf32>) -> tensor<2x5xf32>
  %bq = "ix.parameter"() {name = "bq"} : () -> tensor<5xf32>
  %1 = "ix.add"(%q, %bq) : (tensor<2x5xf32>, tensor<5xf32>) -> tensor<2x5xf32>
  return %0, %1 : tensor<2x3xf32>, tensor<2x5xf32>
}

// CHECK-LABEL: func.func @transposed_parameters_join_along_rows
func.func @transposed_parameters_join_along_rows(%x: tensor<?x4xf32>) -> (tensor<?x3xf32>, tensor<?x3xf32>) {
  // CHECK: "ix.concat"({{.*}}) {axis = 0 : i64} : (tensor<3x4xf32>, tensor<3x4xf32>) -> tensor<6x4xf32>
  // CHECK: %[[Y:.*]] = "ix.matmul"
  // CHECK: %[[N:.*]] = "ix.dim"(%[[Y]]) {axis = 0 : i64}
  // CHECK: "ix.slice"(%[[Y]], %[[N]])
  // CHECK: "ix.slice"(%[[Y]], %[[N]])
  %wp = "ix.parameter"() {name = "wp"} : () -> tensor<3x4xf32>
  %p = "ix.matmul"(%x, %wp) {transpose_a = false, transpose_b = true} : (tensor<?x4xf32>, tensor<3x4xf32>) -> tensor<?x3xf32>
  %e = "ix.exp"(%p) : (tensor<?x3xf32>) -> tensor<?x3xf32>
  %wq = "ix.parameter"() {name = "wq"} : () -> tensor<3x4xf32>
  %q = "ix.matmul"(%x, %wq) {transpose_a = false, transpose_b = true} : (tensor<?x4xf32>, tensor<3x4xf32>) -> tensor<?x3xf32>
  return %e, %q : tensor<?x3xf32>, tensor<?x3xf32>
}

// A branch without a bias adds zeros.
// CHECK-LABEL: func.func @one_bias
func.func @one_bias(%x: tensor<2x4xf32>, %w: tensor<4x3xf32>) -> (tensor<2x3xf32>, tensor<2x3xf32>) {
  // CHECK: %[[ZEROS:.*]] = "ix.broadcast"({{.*}}) {shape = [3]}
  // CHECK: "ix.concat"({{.*}}, %[[ZEROS]]) {axis = 0 : i64}
  %wp = "ix.parameter"() {name = "wp"} : () -> tensor<4x3xf32>
  %bp = "ix.parameter"() {name = "bp"} : () -> tensor<3xf32>
  %p = "ix.matmul"(%x, %wp) {transpose_a = false, transpose_b = false} : (tensor<2x4xf32>, tensor<4x3xf32>) -> tensor<2x3xf32>
  %0 = "ix.add"(%p, %bp) : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  %q = "ix.matmul"(%x, %wp) {transpose_a = false, transpose_b = false} : (tensor<2x4xf32>, tensor<4x3xf32>) -> tensor<2x3xf32>
  return %0, %q : tensor<2x3xf32>, tensor<2x3xf32>
}

// CHECK-LABEL: func.func @other_inputs_stay
func.func @other_inputs_stay(%x: tensor<2x4xf32>, %y: tensor<2x4xf32>) -> (tensor<2x3xf32>, tensor<2x3xf32>) {
  // CHECK-NOT: "ix.concat"
  %w = "ix.parameter"() {name = "w"} : () -> tensor<4x3xf32>
  %p = "ix.matmul"(%x, %w) {transpose_a = false, transpose_b = false} : (tensor<2x4xf32>, tensor<4x3xf32>) -> tensor<2x3xf32>
  %q = "ix.matmul"(%y, %w) {transpose_a = false, transpose_b = false} : (tensor<2x4xf32>, tensor<4x3xf32>) -> tensor<2x3xf32>
  return %p, %q : tensor<2x3xf32>, tensor<2x3xf32>
}

// CHECK-LABEL: func.func @inputs_as_weights_stay
func.func @inputs_as_weights_stay(%x: tensor<2x4xf32>, %w: tensor<4x3xf32>) -> (tensor<2x3xf32>, tensor<2x3xf32>) {
  // CHECK-NOT: "ix.concat"
  %v = "ix.parameter"() {name = "v"} : () -> tensor<4x3xf32>
  %p = "ix.matmul"(%x, %w) {transpose_a = false, transpose_b = false} : (tensor<2x4xf32>, tensor<4x3xf32>) -> tensor<2x3xf32>
  %q = "ix.matmul"(%x, %v) {transpose_a = false, transpose_b = false} : (tensor<2x4xf32>, tensor<4x3xf32>) -> tensor<2x3xf32>
  return %p, %q : tensor<2x3xf32>, tensor<2x3xf32>
}

// CHECK-LABEL: func.func @batched_weights_stay
func.func @batched_weights_stay(%x: tensor<2x2x4xf32>) -> (tensor<2x2x3xf32>, tensor<2x2x3xf32>) {
  // CHECK-NOT: "ix.concat"
  %w = "ix.parameter"() {name = "w"} : () -> tensor<2x4x3xf32>
  %p = "ix.matmul"(%x, %w) {transpose_a = false, transpose_b = false} : (tensor<2x2x4xf32>, tensor<2x4x3xf32>) -> tensor<2x2x3xf32>
  %q = "ix.matmul"(%x, %w) {transpose_a = false, transpose_b = false} : (tensor<2x2x4xf32>, tensor<2x4x3xf32>) -> tensor<2x2x3xf32>
  return %p, %q : tensor<2x2x3xf32>, tensor<2x2x3xf32>
}

// A bias that is not constant, or is read beside another use of the product, stays.
// CHECK-LABEL: func.func @other_additions_stay
func.func @other_additions_stay(%x: tensor<2x4xf32>, %b: tensor<3xf32>) -> (tensor<2x3xf32>, tensor<2x3xf32>) {
  // CHECK: %[[Y:.*]] = "ix.matmul"
  // CHECK: %[[P:.*]] = "ix.slice"(%[[Y]])
  // CHECK: %[[Q:.*]] = "ix.slice"(%[[Y]])
  // CHECK: "ix.add"(%[[P]], %arg1)
  %w = "ix.parameter"() {name = "w"} : () -> tensor<4x3xf32>
  %v = "ix.parameter"() {name = "v"} : () -> tensor<4x3xf32>
  %p = "ix.matmul"(%x, %w) {transpose_a = false, transpose_b = false} : (tensor<2x4xf32>, tensor<4x3xf32>) -> tensor<2x3xf32>
  %0 = "ix.add"(%p, %b) : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  %q = "ix.matmul"(%x, %v) {transpose_a = false, transpose_b = false} : (tensor<2x4xf32>, tensor<4x3xf32>) -> tensor<2x3xf32>
  return %0, %q : tensor<2x3xf32>, tensor<2x3xf32>
}
