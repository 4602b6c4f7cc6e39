// RUN: ix-opt %s | ix-opt | FileCheck %s

// CHECK-LABEL: func.func @softmaxes
func.func @softmaxes(%x: tensor<2x?xf32>) {
  // CHECK: "ix.softmax"(%{{.*}}) {axis = 1 : i64} : (tensor<2x?xf32>) -> tensor<2x?xf32>
  %0 = "ix.softmax"(%x) {axis = 1 : i64} : (tensor<2x?xf32>) -> tensor<2x?xf32>
  // CHECK: "ix.log_softmax"(%{{.*}}) {axis = 0 : i64} : (tensor<2x?xf32>) -> tensor<2x?xf32>
  %1 = "ix.log_softmax"(%x) {axis = 0 : i64} : (tensor<2x?xf32>) -> tensor<2x?xf32>
  return
}

// CHECK-LABEL: func.func @norms_of_trailing_axes
func.func @norms_of_trailing_axes(%x: tensor<?x3x4xf16>, %w: tensor<3x4xf16>, %b: tensor<3x4xf16>) {
  // CHECK: "ix.layer_norm"(%{{.*}}, %{{.*}}, %{{.*}}) {axis = 1 : i64, epsilon = 1.000000e-05 : f64, has_bias = true, has_scale = true}
  %0 = "ix.layer_norm"(%x, %w, %b) {axis = 1 : i64, epsilon = 1.0e-05 : f64, has_scale = true, has_bias = true} : (tensor<?x3x4xf16>, tensor<3x4xf16>, tensor<3x4xf16>) -> tensor<?x3x4xf16>
  // CHECK: "ix.layer_norm"(%{{.*}}) {axis = 2 : i64, epsilon = 1.000000e-05 : f64, has_bias = false, has_scale = false}
  %1 = "ix.layer_norm"(%x) {axis = 2 : i64, epsilon = 1.0e-05 : f64, has_scale = false, has_bias = false} : (tensor<?x3x4xf16>) -> tensor<?x3x4xf16>
  // CHECK: "ix.rms_norm"(%{{.*}}, %{{.*}}) {axis = 1 : i64, epsilon = 0.000000e+00 : f64, has_scale = true}
  %2 = "ix.rms_norm"(%x, %w) {axis = 1 : i64, epsilon = 0.0 : f64, has_scale = true} : (tensor<?x3x4xf16>, tensor<3x4xf16>) -> tensor<?x3x4xf16>
  return
}

// CHECK-LABEL: func.func @norms_of_channels
func.func @norms_of_channels(%x: tensor<2x4x?xf32>, %c: tensor<4xf32>) {
  // CHECK: "ix.batch_norm"(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) {axis = 1 : i64, epsilon = 1.000000e-03 : f64}
  %0 = "ix.batch_norm"(%x, %c, %c, %c, %c) {axis = 1 : i64, epsilon = 1.0e-03 : f64} : (tensor<2x4x?xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<2x4x?xf32>
  // CHECK: "ix.group_norm"(%{{.*}}, %{{.*}}) {epsilon = 1.000000e-03 : f64, groups = 2 : i64, has_bias = true, has_scale = false}
  %1 = "ix.group_norm"(%x, %c) {groups = 2 : i64, epsilon = 1.0e-03 : f64, has_scale = false, has_bias = true} : (tensor<2x4x?xf32>, tensor<4xf32>) -> tensor<2x4x?xf32>
  // CHECK: "ix.instance_norm"(%{{.*}}, %{{.*}}) {epsilon = 1.000000e-03 : f64, has_bias = false, has_scale = true}
  %2 = "ix.instance_norm"(%x, %c) {epsilon = 1.0e-03 : f64, has_scale = true, has_bias = false} : (tensor<2x4x?xf32>, tensor<4xf32>) -> tensor<2x4x?xf32>
  return
}
