// RUN: ix-opt %s -p ix-lower-to-linalg --split-input-file | FileCheck %s

// CHECK-LABEL: func.func @constant_padding_is_tensor_pad
// CHECK:         tensor.pad %arg0 low[1, 0] high[0, 2]
// CHECK:           tensor.yield %cst
func.func @constant_padding_is_tensor_pad(%x: tensor<3x4xf32>) -> tensor<4x6xf32> {
  %0 = "ix.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %1 = "ix.pad"(%x, %0) {low = [1, 0], high = [0, 2], mode = "constant"} : (tensor<3x4xf32>, tensor<f32>) -> tensor<4x6xf32>
  return %1 : tensor<4x6xf32>
}

// -----

// A computed value is read by the body, which chooses between it and the input.
// CHECK-LABEL: func.func @computed_padding_is_a_generic
// CHECK-NOT:     tensor.pad
// CHECK:         linalg.generic {{.*}} ins(%arg1 : tensor<f32>)
// CHECK:           tensor.extract %arg0
// CHECK:           arith.select
func.func @computed_padding_is_a_generic(%x: tensor<3xf32>, %v: tensor<f32>) -> tensor<4xf32> {
  %0 = "ix.pad"(%x, %v) {low = [1], high = [0], mode = "constant"} : (tensor<3xf32>, tensor<f32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// CHECK-LABEL: func.func @reflection_reads_places
// CHECK:         linalg.generic
// CHECK:           linalg.index 0
// CHECK:           tensor.extract %arg0
func.func @reflection_reads_places(%x: tensor<?xf32>, %v: tensor<f32>) -> tensor<?xf32> {
  %0 = "ix.pad"(%x, %v) {low = [2], high = [1], mode = "reflect"} : (tensor<?xf32>, tensor<f32>) -> tensor<?xf32>
  return %0 : tensor<?xf32>
}

// -----

// CHECK-LABEL: func.func @nothing_is_not_computed
// CHECK-NEXT:    %[[E:.*]] = tensor.empty() : tensor<0x4xf32>
// CHECK-NEXT:    return %[[E]]
func.func @nothing_is_not_computed(%x: tensor<3x4xf32>) -> tensor<0x4xf32> {
  %0 = "ix.slice"(%x) {starts = [3, 0], limits = [3, 4], strides = [1, 1]} : (tensor<3x4xf32>) -> tensor<0x4xf32>
  return %0 : tensor<0x4xf32>
}
