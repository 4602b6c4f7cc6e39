// RUN: ix-opt %s --split-input-file -p ix-hoist-constants | FileCheck %s

// CHECK-LABEL: func.func @main
func.func @main(%x: tensor<2x4xf32>) -> (tensor<2x8xf32>, tensor<2x4xf32>) {
  // CHECK-DAG: %[[JOINED:.*]] = "ix.parameter"() {name = "@0"} : () -> tensor<4x8xf32>
  // CHECK-DAG: %[[A:.*]] = "ix.parameter"() {name = "a"}
  // CHECK: "ix.matmul"(%arg0, %[[JOINED]])
  // CHECK: "ix.matmul"(%arg0, %[[A]])
  // CHECK-NOT: "ix.concat"
  %a = "ix.parameter"() {name = "a"} : () -> tensor<4x4xf32>
  %b = "ix.parameter"() {name = "b"} : () -> tensor<4x4xf32>
  %w = "ix.concat"(%a, %b) {axis = 1 : i64} : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x8xf32>
  %0 = "ix.matmul"(%x, %w) {transpose_a = false, transpose_b = false} : (tensor<2x4xf32>, tensor<4x8xf32>) -> tensor<2x8xf32>
  %1 = "ix.matmul"(%x, %a) {transpose_a = false, transpose_b = false} : (tensor<2x4xf32>, tensor<4x4xf32>) -> tensor<2x4xf32>
  return %0, %1 : tensor<2x8xf32>, tensor<2x4xf32>
}
// CHECK-LABEL: func.func @constants() -> tensor<4x8xf32>
// CHECK: %[[W:.*]] = "ix.concat"
// CHECK: return %[[W]]

// -----

// A value that is read twice is one result; one that a hoisted op reads is also its own.
// CHECK-LABEL: func.func @main
func.func @main(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  // CHECK: %[[SUM:.*]] = "ix.parameter"() {name = "@0"}
  // CHECK: %[[ROOT:.*]] = "ix.parameter"() {name = "@1"}
  // CHECK: "ix.mul"(%arg0, %[[SUM]])
  // CHECK: "ix.div"(%arg0, %[[SUM]])
  // CHECK: "ix.sub"(%arg0, %[[ROOT]])
  %v = "ix.parameter"() {name = "v"} : () -> tensor<4xf32>
  %e = "ix.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %s = "ix.add"(%v, %e) : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  %r = "ix.sqrt"(%s) : (tensor<4xf32>) -> tensor<4xf32>
  %0 = "ix.mul"(%x, %s) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %1 = "ix.div"(%x, %s) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %2 = "ix.sub"(%x, %r) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return %0, %1, %2 : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}
// CHECK-LABEL: func.func @constants() -> (tensor<4xf32>, tensor<4xf32>)
// CHECK-COUNT-1: "ix.add"
// CHECK: return

// -----

// Parameters, constants and ops that only repeat elements stay.
// CHECK-LABEL: func.func @main
func.func @main(%x: tensor<2x4xf32>) -> tensor<2x4xf32> {
  // CHECK: "ix.parameter"() {name = "v"}
  // CHECK: "ix.constant"
  // CHECK: "ix.broadcast"
  %v = "ix.parameter"() {name = "v"} : () -> tensor<4xf32>
  %c = "ix.constant"() {value = dense<2.0> : tensor<f32>} : () -> tensor<f32>
  %b = "ix.broadcast"(%c) {shape = [2, 4]} : (tensor<f32>) -> tensor<2x4xf32>
  %0 = "ix.mul"(%x, %v) : (tensor<2x4xf32>, tensor<4xf32>) -> tensor<2x4xf32>
  %1 = "ix.add"(%0, %b) : (tensor<2x4xf32>, tensor<2x4xf32>) -> tensor<2x4xf32>
  return %1 : tensor<2x4xf32>
}
// CHECK-NOT: @constants

// -----

// What a repeated value is computed from is hoisted on its own.
// CHECK-LABEL: func.func @main
func.func @main(%x: tensor<2x4xf32>) -> tensor<2x4xf32> {
  // CHECK: %[[ROOT:.*]] = "ix.parameter"() {name = "@0"} : () -> tensor<4xf32>
  // CHECK: "ix.broadcast"(%[[ROOT]])
  %v = "ix.parameter"() {name = "v"} : () -> tensor<4xf32>
  %r = "ix.sqrt"(%v) : (tensor<4xf32>) -> tensor<4xf32>
  %b = "ix.broadcast"(%r) {shape = [2, 4]} : (tensor<4xf32>) -> tensor<2x4xf32>
  %0 = "ix.add"(%x, %b) : (tensor<2x4xf32>, tensor<2x4xf32>) -> tensor<2x4xf32>
  return %0 : tensor<2x4xf32>
}

// -----

// A second run adds to the function that is there.
// CHECK-LABEL: func.func @main
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  // CHECK: %[[ROOT:.*]] = "ix.parameter"() {name = "@1"}
  // CHECK: "ix.add"(%arg0, %[[ROOT]])
  %v = "ix.parameter"() {name = "@0"} : () -> tensor<4xf32>
  %r = "ix.sqrt"(%v) : (tensor<4xf32>) -> tensor<4xf32>
  %0 = "ix.add"(%x, %r) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
// CHECK-LABEL: func.func @constants() -> (tensor<4xf32>, tensor<4xf32>)
func.func @constants() -> tensor<4xf32> {
  // CHECK: %[[V:.*]] = "ix.parameter"() {name = "v"}
  // CHECK: %[[E:.*]] = "ix.exp"(%[[V]])
  // CHECK: %[[S:.*]] = "ix.sqrt"(%[[E]])
  // CHECK: return %[[E]], %[[S]]
  %v = "ix.parameter"() {name = "v"} : () -> tensor<4xf32>
  %e = "ix.exp"(%v) : (tensor<4xf32>) -> tensor<4xf32>
  return %e : tensor<4xf32>
}
