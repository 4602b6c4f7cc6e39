// RUN: ix-opt %s -p ix-lower-to-linalg --split-input-file | FileCheck %s

// One generic for each axis that changes; each reads two neighbours.
// CHECK-LABEL: func.func @linear_goes_axis_by_axis
// CHECK:         linalg.generic {{.*}} outs(%{{.*}} : tensor<1x3x16x8xf32>)
// CHECK-COUNT-2:   tensor.extract %arg0
// CHECK:         linalg.generic {{.*}} outs(%{{.*}} : tensor<1x3x16x16xf32>)
// CHECK-COUNT-2:   tensor.extract
// CHECK-NOT:       tensor.extract
func.func @linear_goes_axis_by_axis(%x: tensor<1x3x8x8xf32>) -> tensor<1x3x16x16xf32> {
  %0 = "ix.resize"(%x) {shape = [1, 3, 16, 16], scales = [0.0, 0.0, 2.0, 2.0], mode = "linear", coordinates = "half_pixel", nearest = "floor", cubic_coefficient = -0.75 : f64, antialias = false} : (tensor<1x3x8x8xf32>) -> tensor<1x3x16x16xf32>
  return %0 : tensor<1x3x16x16xf32>
}

// -----

// CHECK-LABEL: func.func @nearest_reads_once
// CHECK:         linalg.generic
// CHECK:           math.floor
// CHECK:           math.floor
// CHECK:           tensor.extract %arg0
// CHECK-NOT:     linalg.generic
func.func @nearest_reads_once(%x: tensor<4x8xi8>) -> tensor<2x16xi8> {
  %0 = "ix.resize"(%x) {shape = [2, 16], scales = [0.5, 2.0], mode = "nearest", coordinates = "asymmetric", nearest = "floor", cubic_coefficient = -0.75 : f64, antialias = false} : (tensor<4x8xi8>) -> tensor<2x16xi8>
  return %0 : tensor<2x16xi8>
}

// -----

// A kernel as wide as the scale asks for: weights, their sums, and a contraction.
// CHECK-LABEL: func.func @antialias_contracts_with_weights
// CHECK:         iterator_types = ["parallel", "parallel"]{{.*}} outs(%{{.*}} : tensor<2x8xf32>)
// CHECK:         iterator_types = ["parallel", "reduction"]
// CHECK:         iterator_types = ["parallel", "parallel", "reduction"]
func.func @antialias_contracts_with_weights(%x: tensor<3x8xf32>) -> tensor<3x2xf32> {
  %0 = "ix.resize"(%x) {shape = [3, 2], scales = [0.0, 0.0], mode = "linear", coordinates = "half_pixel", nearest = "floor", cubic_coefficient = -0.75 : f64, antialias = true} : (tensor<3x8xf32>) -> tensor<3x2xf32>
  return %0 : tensor<3x2xf32>
}

// -----

// CHECK-LABEL: func.func @nothing_to_do_stays
// CHECK-NEXT:    return %arg0
func.func @nothing_to_do_stays(%x: tensor<3x8xf32>) -> tensor<3x8xf32> {
  %0 = "ix.resize"(%x) {shape = [3, 8], scales = [0.0, 1.0], mode = "cubic", coordinates = "half_pixel", nearest = "floor", cubic_coefficient = -0.75 : f64, antialias = false} : (tensor<3x8xf32>) -> tensor<3x8xf32>
  return %0 : tensor<3x8xf32>
}
