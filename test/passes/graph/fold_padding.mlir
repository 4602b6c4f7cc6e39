// RUN: ix-opt %s -p ix-fold-padding | FileCheck %s

// CHECK-LABEL: func.func @convolution
// CHECK: "ix.conv"(%arg0, %arg1) {{.*}} padding_high = [1, 1], padding_low = [1, 1]
func.func @convolution(%x: tensor<?x3x8x8xf32>, %f: tensor<4x3x3x3xf32>) -> tensor<?x4x4x4xf32> {
  %z = "ix.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %p = "ix.pad"(%x, %z) {high = [0, 0, 1, 1], low = [0, 0, 0, 1], mode = "constant"} : (tensor<?x3x8x8xf32>, tensor<f32>) -> tensor<?x3x9x10xf32>
  %0 = "ix.conv"(%p, %f) {dilations = [1, 1], groups = 1 : i64, has_bias = false, layout = "NCHW", padding_high = [0, 0], padding_low = [1, 0], strides = [2, 2]} : (tensor<?x3x9x10xf32>, tensor<4x3x3x3xf32>) -> tensor<?x4x4x4xf32>
  return %0 : tensor<?x4x4x4xf32>
}

// CHECK-LABEL: func.func @channels_last
// CHECK: "ix.conv"(%arg0, %arg1) {{.*}} padding_high = [1, 1], padding_low = [1, 1]
func.func @channels_last(%x: tensor<?x8x8x3xf32>, %f: tensor<3x3x3x4xf32>) -> tensor<?x4x4x4xf32> {
  %z = "ix.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %p = "ix.pad"(%x, %z) {high = [0, 1, 1, 0], low = [0, 0, 1, 0], mode = "constant"} : (tensor<?x8x8x3xf32>, tensor<f32>) -> tensor<?x9x10x3xf32>
  %0 = "ix.conv"(%p, %f) {dilations = [1, 1], groups = 1 : i64, has_bias = false, layout = "NHWC", padding_high = [0, 0], padding_low = [1, 0], strides = [2, 2]} : (tensor<?x9x10x3xf32>, tensor<3x3x3x4xf32>) -> tensor<?x4x4x4xf32>
  return %0 : tensor<?x4x4x4xf32>
}

// CHECK-LABEL: func.func @pool
// CHECK: "ix.max_pool"(%arg0) {{.*}} padding_high = [1, 1], padding_low = [0, 1]
func.func @pool(%x: tensor<?x3x8x8xf32>) -> tensor<?x3x8x9xf32> {
  %z = "ix.constant"() {value = dense<0xFF800000> : tensor<f32>} : () -> tensor<f32>
  %p = "ix.pad"(%x, %z) {high = [0, 0, 1, 1], low = [0, 0, 0, 1], mode = "constant"} : (tensor<?x3x8x8xf32>, tensor<f32>) -> tensor<?x3x9x10xf32>
  %0 = "ix.max_pool"(%p) {dilations = [1, 1], kernel = [2, 2], layout = "NCHW", padding_high = [0, 0], padding_low = [0, 0], strides = [1, 1]} : (tensor<?x3x9x10xf32>) -> tensor<?x3x8x9xf32>
  return %0 : tensor<?x3x8x9xf32>
}

// CHECK-LABEL: func.func @zeros_before_a_pool_stay
// CHECK: "ix.pad"
func.func @zeros_before_a_pool_stay(%x: tensor<?x3x8x8xf32>) -> tensor<?x3x8x9xf32> {
  %z = "ix.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %p = "ix.pad"(%x, %z) {high = [0, 0, 1, 1], low = [0, 0, 0, 1], mode = "constant"} : (tensor<?x3x8x8xf32>, tensor<f32>) -> tensor<?x3x9x10xf32>
  %0 = "ix.max_pool"(%p) {dilations = [1, 1], kernel = [2, 2], layout = "NCHW", padding_high = [0, 0], padding_low = [0, 0], strides = [1, 1]} : (tensor<?x3x9x10xf32>) -> tensor<?x3x8x9xf32>
  return %0 : tensor<?x3x8x9xf32>
}

// CHECK-LABEL: func.func @other_numbers_stay
// CHECK: "ix.pad"
func.func @other_numbers_stay(%x: tensor<?x3x8x8xf32>, %f: tensor<4x3x3x3xf32>) -> tensor<?x4x4x4xf32> {
  %z = "ix.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %p = "ix.pad"(%x, %z) {high = [0, 0, 1, 1], low = [0, 0, 0, 1], mode = "constant"} : (tensor<?x3x8x8xf32>, tensor<f32>) -> tensor<?x3x9x10xf32>
  %0 = "ix.conv"(%p, %f) {dilations = [1, 1], groups = 1 : i64, has_bias = false, layout = "NCHW", padding_high = [0, 0], padding_low = [1, 0], strides = [2, 2]} : (tensor<?x3x9x10xf32>, tensor<4x3x3x3xf32>) -> tensor<?x4x4x4xf32>
  return %0 : tensor<?x4x4x4xf32>
}

// CHECK-LABEL: func.func @other_modes_stay
// CHECK: "ix.pad"
func.func @other_modes_stay(%x: tensor<?x3x8x8xf32>, %f: tensor<4x3x3x3xf32>) -> tensor<?x4x4x4xf32> {
  %z = "ix.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %p = "ix.pad"(%x, %z) {high = [0, 0, 1, 1], low = [0, 0, 0, 1], mode = "reflect"} : (tensor<?x3x8x8xf32>, tensor<f32>) -> tensor<?x3x9x10xf32>
  %0 = "ix.conv"(%p, %f) {dilations = [1, 1], groups = 1 : i64, has_bias = false, layout = "NCHW", padding_high = [0, 0], padding_low = [1, 0], strides = [2, 2]} : (tensor<?x3x9x10xf32>, tensor<4x3x3x3xf32>) -> tensor<?x4x4x4xf32>
  return %0 : tensor<?x4x4x4xf32>
}

// CHECK-LABEL: func.func @channels_stay
// CHECK: "ix.pad"
func.func @channels_stay(%x: tensor<?x3x8x8xf32>, %f: tensor<4x4x3x3xf32>) -> tensor<?x4x4x3xf32> {
  %z = "ix.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %p = "ix.pad"(%x, %z) {high = [0, 1, 0, 0], low = [0, 0, 0, 0], mode = "constant"} : (tensor<?x3x8x8xf32>, tensor<f32>) -> tensor<?x4x8x8xf32>
  %0 = "ix.conv"(%p, %f) {dilations = [1, 1], groups = 1 : i64, has_bias = false, layout = "NCHW", padding_high = [0, 0], padding_low = [1, 0], strides = [2, 2]} : (tensor<?x4x8x8xf32>, tensor<4x4x3x3xf32>) -> tensor<?x4x4x3xf32>
  return %0 : tensor<?x4x4x3xf32>
}
