// RUN: ix-opt %s -p ix-choose-layout | FileCheck %s

// CHECK-LABEL: func.func @ends_keep_one_transpose
// CHECK: %[[X:.*]] = "ix.transpose"(%arg0) {permutation = [0, 2, 3, 1]}
// CHECK: "ix.conv"(%[[X]], %{{.*}}) {{.*}} layout = "NHWC"{{.*}} : (tensor<?x8x8x3xf32>, tensor<3x3x3x4xf32>) -> tensor<?x8x8x4xf32>
// CHECK: "ix.mul"({{.*}}) : (tensor<?x8x8x4xf32>, tensor<1x1x1x4xf32>)
// CHECK: "ix.conv"({{.*}} : (tensor<?x8x8x4xf32>, tensor<3x3x4x4xf32>)
// CHECK: "ix.max_pool"({{.*}}) {{.*}} layout = "NHWC"
// CHECK: %[[R:.*]] = "ix.reduce_mean"({{.*}}) {axes = [1, 2], keepdims = false}
// CHECK-NEXT: return %[[R]]
func.func @ends_keep_one_transpose(%x: tensor<?x3x8x8xf32>) -> tensor<?x4xf32> {
  %f = "ix.parameter"() {name = "f"} : () -> tensor<4x3x3x3xf32>
  %h = "ix.parameter"() {name = "h"} : () -> tensor<4x4x3x3xf32>
  %c = "ix.parameter"() {name = "c"} : () -> tensor<4x1x1xf32>
  %a = "ix.conv"(%x, %f) {dilations = [1, 1], groups = 1 : i64, has_bias = false, layout = "NCHW", padding_high = [1, 1], padding_low = [1, 1], strides = [1, 1]} : (tensor<?x3x8x8xf32>, tensor<4x3x3x3xf32>) -> tensor<?x4x8x8xf32>
  %b = "ix.relu"(%a) : (tensor<?x4x8x8xf32>) -> tensor<?x4x8x8xf32>
  %d = "ix.mul"(%b, %c) : (tensor<?x4x8x8xf32>, tensor<4x1x1xf32>) -> tensor<?x4x8x8xf32>
  %e = "ix.conv"(%d, %h) {dilations = [1, 1], groups = 1 : i64, has_bias = false, layout = "NCHW", padding_high = [1, 1], padding_low = [1, 1], strides = [1, 1]} : (tensor<?x4x8x8xf32>, tensor<4x4x3x3xf32>) -> tensor<?x4x8x8xf32>
  %g = "ix.add"(%e, %b) : (tensor<?x4x8x8xf32>, tensor<?x4x8x8xf32>) -> tensor<?x4x8x8xf32>
  %p = "ix.max_pool"(%g) {dilations = [1, 1], kernel = [2, 2], layout = "NCHW", padding_high = [0, 0], padding_low = [0, 0], strides = [2, 2]} : (tensor<?x4x8x8xf32>) -> tensor<?x4x4x4xf32>
  %0 = "ix.reduce_mean"(%p) {axes = [2, 3], keepdims = false} : (tensor<?x4x4x4xf32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @axes_follow
// CHECK: "ix.softmax"({{.*}}) {axis = 3 : i64}
// CHECK: "ix.concat"({{.*}}) {axis = 3 : i64}
// CHECK: "ix.slice"({{.*}}) {limits = [1, 8, 8, 7], starts = [0, 0, 0, 5]
// CHECK: %[[R:.*]] = "ix.argmax"({{.*}}) {axis = 3 : i64
// CHECK-NEXT: return %[[R]]
func.func @axes_follow(%x: tensor<?x3x8x8xf32>) -> tensor<1x8x8xi64> {
  %f = "ix.parameter"() {name = "f"} : () -> tensor<4x3x3x3xf32>
  %a = "ix.conv"(%x, %f) {dilations = [1, 1], groups = 1 : i64, has_bias = false, layout = "NCHW", padding_high = [1, 1], padding_low = [1, 1], strides = [1, 1]} : (tensor<?x3x8x8xf32>, tensor<4x3x3x3xf32>) -> tensor<?x4x8x8xf32>
  %b = "ix.softmax"(%a) {axis = 1 : i64} : (tensor<?x4x8x8xf32>) -> tensor<?x4x8x8xf32>
  %c = "ix.concat"(%b, %x) {axis = 1 : i64} : (tensor<?x4x8x8xf32>, tensor<?x3x8x8xf32>) -> tensor<?x7x8x8xf32>
  %d = "ix.slice"(%c) {limits = [1, 7, 8, 8], starts = [0, 5, 0, 0], strides = [1, 1, 1, 1]} : (tensor<?x7x8x8xf32>) -> tensor<1x2x8x8xf32>
  %0 = "ix.argmax"(%d) {axis = 1 : i64, keepdims = false, select_last = false} : (tensor<1x2x8x8xf32>) -> tensor<1x8x8xi64>
  return %0 : tensor<1x8x8xi64>
}

// CHECK-LABEL: func.func @flattened_positions
// CHECK: %[[Y:.*]] = "ix.conv"
// CHECK: %[[R:.*]] = "ix.reshape"(%[[Y]], %{{.*}}) {shape = [-9223372036854775808, 64, 4]}
// CHECK-NEXT: return %[[R]]
func.func @flattened_positions(%x: tensor<?x3x8x8xf32>) -> tensor<?x64x4xf32> {
  %f = "ix.parameter"() {name = "f"} : () -> tensor<4x3x3x3xf32>
  %a = "ix.conv"(%x, %f) {dilations = [1, 1], groups = 1 : i64, has_bias = false, layout = "NCHW", padding_high = [1, 1], padding_low = [1, 1], strides = [1, 1]} : (tensor<?x3x8x8xf32>, tensor<4x3x3x3xf32>) -> tensor<?x4x8x8xf32>
  %n = "ix.dim"(%x) {axis = 0 : i64} : (tensor<?x3x8x8xf32>) -> index
  %b = "ix.reshape"(%a, %n) {shape = [-9223372036854775808, 4, 64]} : (tensor<?x4x8x8xf32>, index) -> tensor<?x4x64xf32>
  %0 = "ix.transpose"(%b) {permutation = [0, 2, 1]} : (tensor<?x4x64xf32>) -> tensor<?x64x4xf32>
  return %0 : tensor<?x64x4xf32>
}

// CHECK-LABEL: func.func @filter_that_is_an_input_stays
// CHECK: "ix.conv"(%arg0, %arg1) {{.*}} layout = "NCHW"
func.func @filter_that_is_an_input_stays(%x: tensor<?x3x8x8xf32>, %f: tensor<4x3x3x3xf32>) -> tensor<?x4x8x8xf32> {
  %0 = "ix.conv"(%x, %f) {dilations = [1, 1], groups = 1 : i64, has_bias = false, layout = "NCHW", padding_high = [1, 1], padding_low = [1, 1], strides = [1, 1]} : (tensor<?x3x8x8xf32>, tensor<4x3x3x3xf32>) -> tensor<?x4x8x8xf32>
  return %0 : tensor<?x4x8x8xf32>
}

// CHECK-LABEL: func.func @other_transposes_stay
// CHECK-NEXT: "ix.transpose"
// CHECK-NEXT: "ix.relu"
func.func @other_transposes_stay(%x: tensor<?x3x8x8xf32>) -> tensor<?x8x3x8xf32> {
  %a = "ix.transpose"(%x) {permutation = [0, 2, 1, 3]} : (tensor<?x3x8x8xf32>) -> tensor<?x8x3x8xf32>
  %0 = "ix.relu"(%a) : (tensor<?x8x3x8xf32>) -> tensor<?x8x3x8xf32>
  return %0 : tensor<?x8x3x8xf32>
}

// The residual is an input: moving it would never end.
// CHECK-LABEL: func.func @one_spatial_axis
// CHECK: "ix.conv"({{.*}}) {{.*}} layout = "NHWC"
// CHECK: %[[T:.*]] = "ix.transpose"({{.*}}) {permutation = [0, 2, 1]}
// CHECK: "ix.add"(%[[T]], %arg0)
func.func @one_spatial_axis(%x: tensor<2x4x6xf32>) -> tensor<2x4x6xf32> {
  %f = "ix.parameter"() {name = "f"} : () -> tensor<4x4x3xf32>
  %a = "ix.conv"(%x, %f) {dilations = [1], groups = 1 : i64, has_bias = false, layout = "NCHW", padding_high = [1], padding_low = [1], strides = [1]} : (tensor<2x4x6xf32>, tensor<4x4x3xf32>) -> tensor<2x4x6xf32>
  %0 = "ix.add"(%a, %x) : (tensor<2x4x6xf32>, tensor<2x4x6xf32>) -> tensor<2x4x6xf32>
  return %0 : tensor<2x4x6xf32>
}

// CHECK-LABEL: func.func @reshape_of_other_axes_stays
// CHECK: %[[T:.*]] = "ix.transpose"({{.*}}) {permutation = [0, 3, 1, 2]}
// CHECK: "ix.reshape"(%[[T]]
func.func @reshape_of_other_axes_stays(%x: tensor<?x3x8x8xf32>) -> tensor<?x256xf32> {
  %f = "ix.parameter"() {name = "f"} : () -> tensor<4x3x3x3xf32>
  %a = "ix.conv"(%x, %f) {dilations = [1, 1], groups = 1 : i64, has_bias = false, layout = "NCHW", padding_high = [1, 1], padding_low = [1, 1], strides = [1, 1]} : (tensor<?x3x8x8xf32>, tensor<4x3x3x3xf32>) -> tensor<?x4x8x8xf32>
  %n = "ix.dim"(%x) {axis = 0 : i64} : (tensor<?x3x8x8xf32>) -> index
  %0 = "ix.reshape"(%a, %n) {shape = [-9223372036854775808, 256]} : (tensor<?x4x8x8xf32>, index) -> tensor<?x256xf32>
  return %0 : tensor<?x256xf32>
}
