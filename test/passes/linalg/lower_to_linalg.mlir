// RUN: ix-opt %s -p ix-lower-to-linalg --split-input-file | FileCheck %s

// Unsigned integers lose their sign in types, not in arithmetic.
// CHECK-LABEL: func.func @unsigned_becomes_signless
// CHECK-SAME:    (%[[X:.*]]: tensor<4xi8>) -> (tensor<4xi8>, tensor<4xi8>)
// CHECK:         arith.maxui
// CHECK:         "ix.parameter"() {name = "w"} : () -> tensor<4xi8>
// CHECK-NOT:     ui8
func.func @unsigned_becomes_signless(%x: tensor<4xui8>) -> (tensor<4xui8>, tensor<4xui8>) {
  %0 = "ix.constant"() {value = dense<200> : tensor<ui8>} : () -> tensor<ui8>
  %1 = "ix.max"(%x, %0) : (tensor<4xui8>, tensor<ui8>) -> tensor<4xui8>
  %2 = "ix.parameter"() {name = "w"} : () -> tensor<4xui8>
  return %1, %2 : tensor<4xui8>, tensor<4xui8>
}

// -----

// CHECK-LABEL: func.func @ops_without_a_form_stay
// CHECK:         "ix.cumsum"(%{{.*}}) {axis = 0 : i64, exclusive = false, reverse = false} : (tensor<4xf32>) -> tensor<4xf32>
// CHECK:         "ix.scatter"
func.func @ops_without_a_form_stay(%x: tensor<4xf32>, %i: tensor<2xi64>, %u: tensor<2xf32>) -> tensor<4xf32> {
  %0 = "ix.cumsum"(%x) {axis = 0 : i64, exclusive = false, reverse = false} : (tensor<4xf32>) -> tensor<4xf32>
  %1 = "ix.scatter"(%0, %i, %u) {axis = 0 : i64, reduction = "add"} : (tensor<4xf32>, tensor<2xi64>, tensor<2xf32>) -> tensor<4xf32>
  return %1 : tensor<4xf32>
}

// -----

// A sort that stays knows signed order alone: x xor 128 before, and after.
// CHECK-LABEL: func.func @unsigned_order_of_a_kept_op
// CHECK:         arith.xori %{{.*}}, %c-128_i8
// CHECK:         "ix.sort"(%{{.*}}) {{.*}} : (tensor<4xi8>) -> (tensor<4xi8>, tensor<4xi64>)
// CHECK:         arith.xori %{{.*}}, %c-128_i8
func.func @unsigned_order_of_a_kept_op(%x: tensor<4xui8>) -> tensor<4xui8> {
  %0:2 = "ix.sort"(%x) {axis = 0 : i64, descending = false} : (tensor<4xui8>) -> (tensor<4xui8>, tensor<4xi64>)
  return %0#0 : tensor<4xui8>
}

// -----

// @constants is evaluated before, by the reference.
// CHECK-LABEL: func.func @constants
// CHECK:         "ix.exp"
func.func @constants() -> tensor<2xf32> {
  %0 = "ix.parameter"() {name = "w"} : () -> tensor<2xf32>
  %1 = "ix.exp"(%0) : (tensor<2xf32>) -> tensor<2xf32>
  return %1 : tensor<2xf32>
}

// -----

// Sizes refer to the argument they come from, not to tensors in between.
// CHECK-LABEL: func.func @sizes_come_from_arguments
// CHECK-SAME:    (%[[X:.*]]: tensor<?x4xf32>)
// CHECK-NOT:     tensor.dim %{{[0-9]+}}
// CHECK:         return
func.func @sizes_come_from_arguments(%x: tensor<?x4xf32>) -> (tensor<4x?xf32>, index) {
  %0 = "ix.exp"(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %1 = "ix.transpose"(%0) {permutation = [1, 0]} : (tensor<?x4xf32>) -> tensor<4x?xf32>
  %2 = "ix.neg"(%1) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  %3 = "ix.dim"(%2) {axis = 1 : i64} : (tensor<4x?xf32>) -> index
  return %2, %3 : tensor<4x?xf32>, index
}
