// RUN: ix-opt %s --split-input-file -p ix-split-reduction | FileCheck %s

// CHECK-LABEL: func.func @rows
// CHECK: %[[R:.*]] = "ix.reduce_sum"(%arg0) {axes = [1], keepdims = false} : (tensor<1000x2000xf32>) -> tensor<1000xf32>
// CHECK: %[[S:.*]] = "ix.reduce_sum"(%[[R]]) {axes = [0], keepdims = false}
// CHECK: return %[[S]]
func.func @rows(%x: tensor<1000x2000xf32>) -> tensor<f32> {
  %0 = "ix.reduce_sum"(%x) {axes = [0, 1], keepdims = false} : (tensor<1000x2000xf32>) -> tensor<f32>
  return %0 : tensor<f32>
}

// CHECK-LABEL: func.func @elementwise_ops_go_along
// CHECK: %[[P:.*]] = "ix.reshape"(%arg0) {shape = [64, 2048]}
// CHECK: %[[M:.*]] = "ix.mul"(%[[P]], %[[P]])
// CHECK: %[[D:.*]] = "ix.sub"(%[[M]], %arg1)
// CHECK: %[[R:.*]] = "ix.reduce_max"(%[[D]]) {axes = [1], keepdims = false}
// CHECK: %[[S:.*]] = "ix.reduce_max"(%[[R]]) {axes = [0], keepdims = false}
// CHECK: %[[K:.*]] = "ix.reshape"(%[[S]]) {shape = [1]}
// CHECK: return %[[K]]
func.func @elementwise_ops_go_along(%x: tensor<131072xf32>, %y: tensor<f32>) -> tensor<1xf32> {
  %0 = "ix.mul"(%x, %x) : (tensor<131072xf32>, tensor<131072xf32>) -> tensor<131072xf32>
  %1 = "ix.sub"(%0, %y) : (tensor<131072xf32>, tensor<f32>) -> tensor<131072xf32>
  %2 = "ix.reduce_max"(%1) {axes = [0], keepdims = true} : (tensor<131072xf32>) -> tensor<1xf32>
  return %2 : tensor<1xf32>
}

// CHECK-LABEL: func.func @rest_is_added
// CHECK: "ix.slice"(%arg0) {limits = [100000], starts = [0]
// CHECK: "ix.reshape"({{.*}}) {shape = [16, 6250]}
// CHECK: "ix.reduce_sum"({{.*}}) {axes = [1]
// CHECK: %[[S:.*]] = "ix.reduce_sum"({{.*}}) {axes = [0]
// CHECK: "ix.slice"(%arg0) {limits = [100003], starts = [100000]
// CHECK: %[[R:.*]] = "ix.reduce_sum"({{.*}} : (tensor<3xf32>) -> tensor<f32>
// CHECK: "ix.add"(%[[S]], %[[R]])
func.func @rest_is_added(%x: tensor<100003xf32>) -> tensor<f32> {
  %0 = "ix.reduce_sum"(%x) {axes = [0], keepdims = false} : (tensor<100003xf32>) -> tensor<f32>
  return %0 : tensor<f32>
}

// CHECK-LABEL: func.func @short_floats_are_rounded_once
// CHECK: "ix.cast"({{.*}}) : (tensor<64x2048xf16>) -> tensor<64x2048xf32>
// CHECK: "ix.reduce_sum"
// CHECK: "ix.reduce_sum"
// CHECK: %[[M:.*]] = "ix.div"
// CHECK: "ix.cast"(%[[M]]) : (tensor<f32>) -> tensor<f16>
func.func @short_floats_are_rounded_once(%x: tensor<131072xf16>) -> tensor<f16> {
  %0 = "ix.reduce_mean"(%x) {axes = [0], keepdims = false} : (tensor<131072xf16>) -> tensor<f16>
  return %0 : tensor<f16>
}

// CHECK-LABEL: func.func @place
// CHECK: %[[P:.*]] = "ix.reshape"(%arg0) {shape = [64, 2048]}
// CHECK: %[[B:.*]] = "ix.reduce_max"(%[[P]]) {axes = [1]
// CHECK: %[[W:.*]] = "ix.argmax"(%[[B]]) {axis = 0
// CHECK: %[[S:.*]] = "ix.mul"(%[[W]]
// CHECK: %[[L:.*]] = "ix.gather"({{.*}}, %[[W]]) {axis = 0
// CHECK: %[[I:.*]] = "ix.argmax"(%[[L]]) {axis = 0
// CHECK: "ix.add"(%[[S]], %[[I]])
func.func @place(%x: tensor<131072xf32>) -> tensor<i64> {
  %0 = "ix.argmax"(%x) {axis = 0 : i64, keepdims = false, select_last = false} : (tensor<131072xf32>) -> tensor<i64>
  return %0 : tensor<i64>
}

// CHECK-LABEL: func.func @columns
// CHECK: "ix.reshape"(%arg0) {shape = [64, 500, 8]}
// CHECK: "ix.reduce_sum"({{.*}}) {axes = [1]
// CHECK: "ix.reduce_sum"({{.*}}) {axes = [0]
func.func @columns(%x: tensor<32000x8xf32>) -> tensor<8xf32> {
  %0 = "ix.reduce_sum"(%x) {axes = [0], keepdims = false} : (tensor<32000x8xf32>) -> tensor<8xf32>
  return %0 : tensor<8xf32>
}

// CHECK-LABEL: func.func @what_others_read_stays
// CHECK: %[[E:.*]] = "ix.exp"(%arg0)
// CHECK: "ix.reshape"(%[[E]]) {shape = [64, 2048]}
// CHECK: return %{{.*}}, %[[E]]
func.func @what_others_read_stays(%x: tensor<131072xf32>) -> (tensor<f32>, tensor<131072xf32>) {
  %0 = "ix.exp"(%x) : (tensor<131072xf32>) -> tensor<131072xf32>
  %1 = "ix.reduce_sum"(%0) {axes = [0], keepdims = false} : (tensor<131072xf32>) -> tensor<f32>
  return %1, %0 : tensor<f32>, tensor<131072xf32>
}

// CHECK-LABEL: func.func @few_elements_stay
// CHECK-NEXT: %[[R:.*]] = "ix.reduce_sum"(%arg0) {axes = [0]
// CHECK-NEXT: return %[[R]]
func.func @few_elements_stay(%x: tensor<65535xf32>) -> tensor<f32> {
  %0 = "ix.reduce_sum"(%x) {axes = [0], keepdims = false} : (tensor<65535xf32>) -> tensor<f32>
  return %0 : tensor<f32>
}

// CHECK-LABEL: func.func @many_rows_stay
// CHECK-NEXT: %[[R:.*]] = "ix.reduce_sum"(%arg0) {axes = [1]
// CHECK-NEXT: return %[[R]]
func.func @many_rows_stay(%x: tensor<16x100000xf32>) -> tensor<16xf32> {
  %0 = "ix.reduce_sum"(%x) {axes = [1], keepdims = false} : (tensor<16x100000xf32>) -> tensor<16xf32>
  return %0 : tensor<16xf32>
}

// CHECK-LABEL: func.func @wide_rows_of_sums_stay
// CHECK-NEXT: %[[R:.*]] = "ix.reduce_sum"(%arg0) {axes = [0]
// CHECK-NEXT: return %[[R]]
func.func @wide_rows_of_sums_stay(%x: tensor<64x64x64xf32>) -> tensor<64x64xf32> {
  %0 = "ix.reduce_sum"(%x) {axes = [0], keepdims = false} : (tensor<64x64x64xf32>) -> tensor<64x64xf32>
  return %0 : tensor<64x64xf32>
}

// CHECK-LABEL: func.func @unknown_sizes_stay
// CHECK-NEXT: %[[R:.*]] = "ix.reduce_sum"(%arg0) {axes = [0, 1]
// CHECK-NEXT: return %[[R]]
func.func @unknown_sizes_stay(%x: tensor<?x100000xf32>) -> tensor<f32> {
  %0 = "ix.reduce_sum"(%x) {axes = [0, 1], keepdims = false} : (tensor<?x100000xf32>) -> tensor<f32>
  return %0 : tensor<f32>
}

// -----

// CHECK-LABEL: module attributes {ix.target = "sm_90a"}
// CHECK: %[[R:.*]] = "ix.reduce_sum"(%arg0) {axes = [0]
// CHECK-NEXT: return %[[R]]
module attributes {ix.target = "sm_90a"} {
  func.func @gpus_have_rules_of_their_own(%x: tensor<131072xf32>) -> tensor<f32> {
    %0 = "ix.reduce_sum"(%x) {axes = [0], keepdims = false} : (tensor<131072xf32>) -> tensor<f32>
    return %0 : tensor<f32>
  }
}
