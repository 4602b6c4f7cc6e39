// RUN: ix-opt %s -p ix-recognize-causal-mask | FileCheck %s

// CHECK-LABEL: func.func @flags_of_order
// CHECK: "ix.attention"(%arg0, %arg0, %arg0) {causal = true, has_mask = false, scale = 5.000000e-01 : f64}
func.func @flags_of_order(%x: tensor<2x4x3x8xf32>) -> tensor<2x4x3x8xf32> {
  %i = "ix.iota"() {axis = 0 : i64} : () -> tensor<3x3xi64>
  %j = "ix.iota"() {axis = 1 : i64} : () -> tensor<3x3xi64>
  %m = "ix.le"(%j, %i) : (tensor<3x3xi64>, tensor<3x3xi64>) -> tensor<3x3xi1>
  %0 = "ix.attention"(%x, %x, %x, %m) {causal = false, has_mask = true, scale = 0.5 : f64} : (tensor<2x4x3x8xf32>, tensor<2x4x3x8xf32>, tensor<2x4x3x8xf32>, tensor<3x3xi1>) -> tensor<2x4x3x8xf32>
  return %0 : tensor<2x4x3x8xf32>
}

// Two queries that see the key of their own place among three, and those before.
// CHECK-LABEL: func.func @added_numbers_with_more_keys
// CHECK: "ix.attention"(%arg0, %arg1, %arg1) {causal = true, has_mask = false
func.func @added_numbers_with_more_keys(%x: tensor<1x4x2x8xf32>, %y: tensor<1x4x3x8xf32>) -> tensor<1x4x2x8xf32> {
  %m = "ix.constant"() {value = dense<[[[[0.0, 0.0, -1.0e9], [0.0, 0.0, 0.0]]]]> : tensor<1x1x2x3xf32>} : () -> tensor<1x1x2x3xf32>
  %0 = "ix.attention"(%x, %y, %y, %m) {causal = false, has_mask = true, scale = 1.0 : f64} : (tensor<1x4x2x8xf32>, tensor<1x4x3x8xf32>, tensor<1x4x3x8xf32>, tensor<1x1x2x3xf32>) -> tensor<1x4x2x8xf32>
  return %0 : tensor<1x4x2x8xf32>
}

// CHECK-LABEL: func.func @mask_that_hides_nothing
// CHECK: "ix.attention"(%arg0, %arg0, %arg0) {causal = false, has_mask = false
func.func @mask_that_hides_nothing(%x: tensor<2x4x3x8xf32>) -> tensor<2x4x3x8xf32> {
  %m = "ix.constant"() {value = dense<true> : tensor<2x1x1x3xi1>} : () -> tensor<2x1x1x3xi1>
  %0 = "ix.attention"(%x, %x, %x, %m) {causal = false, has_mask = true, scale = 1.0 : f64} : (tensor<2x4x3x8xf32>, tensor<2x4x3x8xf32>, tensor<2x4x3x8xf32>, tensor<2x1x1x3xi1>) -> tensor<2x4x3x8xf32>
  return %0 : tensor<2x4x3x8xf32>
}

// CHECK-LABEL: func.func @other_order_stays
// CHECK: has_mask = true
func.func @other_order_stays(%x: tensor<2x4x2x8xf32>) -> tensor<2x4x2x8xf32> {
  %m = "ix.constant"() {value = dense<[[true, true], [false, true]]> : tensor<2x2xi1>} : () -> tensor<2x2xi1>
  %0 = "ix.attention"(%x, %x, %x, %m) {causal = false, has_mask = true, scale = 1.0 : f64} : (tensor<2x4x2x8xf32>, tensor<2x4x2x8xf32>, tensor<2x4x2x8xf32>, tensor<2x2xi1>) -> tensor<2x4x2x8xf32>
  return %0 : tensor<2x4x2x8xf32>
}

// CHECK-LABEL: func.func @bias_of_scores_stays
// CHECK: has_mask = true
func.func @bias_of_scores_stays(%x: tensor<2x4x2x8xf32>) -> tensor<2x4x2x8xf32> {
  %m = "ix.constant"() {value = dense<[[0.0, -1.0e9], [-1.0, 0.0]]> : tensor<2x2xf32>} : () -> tensor<2x2xf32>
  %0 = "ix.attention"(%x, %x, %x, %m) {causal = false, has_mask = true, scale = 1.0 : f64} : (tensor<2x4x2x8xf32>, tensor<2x4x2x8xf32>, tensor<2x4x2x8xf32>, tensor<2x2xf32>) -> tensor<2x4x2x8xf32>
  return %0 : tensor<2x4x2x8xf32>
}

// CHECK-LABEL: func.func @parameters_stay
// CHECK: has_mask = true
func.func @parameters_stay(%x: tensor<2x4x2x8xf32>) -> tensor<2x4x2x8xf32> {
  %m = "ix.parameter"() {name = "m"} : () -> tensor<2x2xi1>
  %0 = "ix.attention"(%x, %x, %x, %m) {causal = false, has_mask = true, scale = 1.0 : f64} : (tensor<2x4x2x8xf32>, tensor<2x4x2x8xf32>, tensor<2x4x2x8xf32>, tensor<2x2xi1>) -> tensor<2x4x2x8xf32>
  return %0 : tensor<2x4x2x8xf32>
}

// CHECK-LABEL: func.func @unknown_sizes_stay
// CHECK: has_mask = true
func.func @unknown_sizes_stay(%x: tensor<2x4x?x8xf32>) -> tensor<2x4x?x8xf32> {
  %m = "ix.constant"() {value = dense<true> : tensor<1x1xi1>} : () -> tensor<1x1xi1>
  %0 = "ix.attention"(%x, %x, %x, %m) {causal = false, has_mask = true, scale = 1.0 : f64} : (tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<2x4x?x8xf32>, tensor<1x1xi1>) -> tensor<2x4x?x8xf32>
  return %0 : tensor<2x4x?x8xf32>
}
