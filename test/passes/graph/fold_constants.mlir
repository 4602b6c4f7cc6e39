// RUN: ix-opt %s -p ix-fold-constants | FileCheck %s

// CHECK-LABEL: func.func @numbers
// CHECK-NEXT: %[[C:.*]] = "ix.constant"() {value = dense<[9.000000e+00, 1.600000e+01]> : tensor<2xf32>}
// CHECK-NEXT: "ix.mul"(%arg0, %[[C]])
func.func @numbers(%x: tensor<2xf32>) -> tensor<2xf32> {
  %a = "ix.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %b = "ix.constant"() {value = dense<[2.0, 3.0]> : tensor<2xf32>} : () -> tensor<2xf32>
  %s = "ix.add"(%a, %b) : (tensor<f32>, tensor<2xf32>) -> tensor<2xf32>
  %q = "ix.mul"(%s, %s) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %0 = "ix.mul"(%x, %q) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  return %0 : tensor<2xf32>
}

// CHECK-LABEL: func.func @several_results
// CHECK-NEXT: "ix.constant"() {value = dense<[2, 0]> : tensor<2xi64>}
func.func @several_results() -> tensor<2xi64> {
  %a = "ix.constant"() {value = dense<[2.0, 1.0, 3.0]> : tensor<3xf32>} : () -> tensor<3xf32>
  %v, %0 = "ix.topk"(%a) {axis = 0 : i64, k = 2 : i64, largest = true} : (tensor<3xf32>) -> (tensor<2xf32>, tensor<2xi64>)
  return %0 : tensor<2xi64>
}

// CHECK-LABEL: func.func @flags
// CHECK-NEXT: "ix.constant"() {value = dense<[true, false]> : tensor<2xi1>}
func.func @flags() -> tensor<2xi1> {
  %a = "ix.constant"() {value = dense<[1, 2]> : tensor<2xi32>} : () -> tensor<2xi32>
  %b = "ix.constant"() {value = dense<2> : tensor<i32>} : () -> tensor<i32>
  %0 = "ix.lt"(%a, %b) : (tensor<2xi32>, tensor<i32>) -> tensor<2xi1>
  return %0 : tensor<2xi1>
}

// CHECK-LABEL: func.func @parameters_stay
// CHECK: "ix.exp"
func.func @parameters_stay() -> tensor<2xf32> {
  %a = "ix.parameter"() {name = "a"} : () -> tensor<2xf32>
  %0 = "ix.exp"(%a) : (tensor<2xf32>) -> tensor<2xf32>
  return %0 : tensor<2xf32>
}

// CHECK-LABEL: func.func @large_results_stay
// CHECK: "ix.exp"
func.func @large_results_stay() -> tensor<512xf32> {
  %a = "ix.constant"() {value = dense<1.0> : tensor<512xf32>} : () -> tensor<512xf32>
  %0 = "ix.exp"(%a) : (tensor<512xf32>) -> tensor<512xf32>
  return %0 : tensor<512xf32>
}

// CHECK-LABEL: func.func @repeated_numbers_stay
// CHECK: "ix.broadcast"
func.func @repeated_numbers_stay() -> tensor<4xf32> {
  %a = "ix.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %0 = "ix.broadcast"(%a) {shape = [4]} : (tensor<f32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
