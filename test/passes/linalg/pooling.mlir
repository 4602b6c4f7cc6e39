// RUN: ix-opt %s -p ix-lower-to-linalg --split-input-file | FileCheck %s

// CHECK-DAG: #[[X:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2 * 2 + d3)>
// CHECK-DAG: #[[K:.*]] = affine_map<(d0, d1, d2, d3) -> (d3)>
// CHECK-LABEL: func.func @padding_never_wins
// CHECK:         %[[LOWEST:.*]] = arith.constant 0xFF800000 : f32
// CHECK:         %[[WINDOW:.*]] = tensor.empty() : tensor<3xf32>
// CHECK:         tensor.pad %{{.*}} low[0, 0, 1] high[0, 0, 0]
// CHECK:           tensor.yield %[[LOWEST]]
// CHECK:         linalg.generic {indexing_maps = [#[[X]], #[[K]], #{{.*}}], iterator_types = ["parallel", "parallel", "parallel", "reduction"]} ins(%{{.*}}, %[[WINDOW]] :
// CHECK:           arith.maximumf
func.func @padding_never_wins(%x: tensor<2x4x9xf32>) -> tensor<2x4x4xf32> {
  %0 = "ix.max_pool"(%x) {kernel = [3], strides = [2], padding_low = [1], padding_high = [0], dilations = [1], layout = "NCHW"} : (tensor<2x4x9xf32>) -> tensor<2x4x4xf32>
  return %0 : tensor<2x4x4xf32>
}

// -----

// CHECK-LABEL: func.func @unsigned
// CHECK:         arith.constant 0 : i8
// CHECK:         arith.maxui
func.func @unsigned(%x: tensor<2x4x9xui8>) -> tensor<2x4x4xui8> {
  %0 = "ix.max_pool"(%x) {kernel = [3], strides = [2], padding_low = [1], padding_high = [0], dilations = [1], layout = "NCHW"} : (tensor<2x4x9xui8>) -> tensor<2x4x4xui8>
  return %0 : tensor<2x4x4xui8>
}

// -----

// CHECK-LABEL: func.func @equal_windows_divide_by_a_constant
// CHECK:         %[[COUNT:.*]] = arith.constant 3.000000e+00 : f32
// CHECK-NOT:     linalg.index
// CHECK:         arith.divf %{{.*}}, %[[COUNT]]
func.func @equal_windows_divide_by_a_constant(%x: tensor<2x4x9xf32>) -> tensor<2x4x9xf32> {
  %0 = "ix.avg_pool"(%x) {kernel = [3], strides = [1], padding_low = [1], padding_high = [1], ceil_padding = [0], dilations = [1], layout = "NCHW", count_include_pad = true} : (tensor<2x4x9xf32>) -> tensor<2x4x9xf32>
  return %0 : tensor<2x4x9xf32>
}

// -----

// CHECK-LABEL: func.func @padding_is_not_counted
// CHECK:         linalg.index 2
// CHECK:         arith.divf
func.func @padding_is_not_counted(%x: tensor<2x4x9xf32>) -> tensor<2x4x9xf32> {
  %0 = "ix.avg_pool"(%x) {kernel = [3], strides = [1], padding_low = [1], padding_high = [1], ceil_padding = [0], dilations = [1], layout = "NCHW", count_include_pad = false} : (tensor<2x4x9xf32>) -> tensor<2x4x9xf32>
  return %0 : tensor<2x4x9xf32>
}
