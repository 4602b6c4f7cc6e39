// RUN: ix-opt %s -p ix-lower-to-linalg --split-input-file | FileCheck %s

// CHECK-DAG: #[[X:.*]] = affine_map<(d0, d1, d2, d3, d4) -> (d0, d3, d2 * 2 + d4 * 3)>
// CHECK-DAG: #[[F:.*]] = affine_map<(d0, d1, d2, d3, d4) -> (d1, d3, d4)>
// CHECK-LABEL: func.func @strides_and_dilations_are_in_the_map
// CHECK:         tensor.pad %{{.*}} low[0, 0, 1] high[0, 0, 2]
// CHECK:         linalg.generic {indexing_maps = [#[[X]], #[[F]], #{{.*}}], iterator_types = ["parallel", "parallel", "parallel", "reduction", "reduction"]}
// CHECK-SAME:      outs(%{{.*}} : tensor<2x6x4xf32>)
func.func @strides_and_dilations_are_in_the_map(%x: tensor<2x4x10xf32>, %f: tensor<6x4x3xf32>) -> tensor<2x6x4xf32> {
  %0 = "ix.conv"(%x, %f) {strides = [2], padding_low = [1], padding_high = [2], dilations = [3], groups = 1 : i64, layout = "NCHW", has_bias = false} : (tensor<2x4x10xf32>, tensor<6x4x3xf32>) -> tensor<2x6x4xf32>
  return %0 : tensor<2x6x4xf32>
}

// -----

// The bias is added to the sum before the sum is rounded.
// CHECK-LABEL: func.func @bias_before_rounding
// CHECK:         arith.mulf %{{.*}} : f32
// CHECK:         linalg.generic
// CHECK:           arith.extf
// CHECK-NEXT:      arith.addf
// CHECK-NEXT:      arith.truncf
func.func @bias_before_rounding(%x: tensor<2x4x10xf16>, %f: tensor<6x4x3xf16>, %b: tensor<6xf16>) -> tensor<2x6x8xf16> {
  %0 = "ix.conv"(%x, %f, %b) {strides = [1], padding_low = [0], padding_high = [0], dilations = [1], groups = 1 : i64, layout = "NCHW", has_bias = true} : (tensor<2x4x10xf16>, tensor<6x4x3xf16>, tensor<6xf16>) -> tensor<2x6x8xf16>
  return %0 : tensor<2x6x8xf16>
}

// -----

// A kernel of size 1 has no loop, so that this is a matrix product.
// CHECK-DAG: #[[X:.*]] = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d4)>
// CHECK-DAG: #[[F:.*]] = affine_map<(d0, d1, d2, d3, d4) -> (d4, d3)>
// CHECK-LABEL: func.func @pointwise_is_a_contraction
// CHECK-NOT:     tensor.pad
// CHECK:         tensor.collapse_shape
// CHECK:         linalg.generic {indexing_maps = [#[[X]], #[[F]], #{{.*}}], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
func.func @pointwise_is_a_contraction(%x: tensor<2x5x7x4xf32>, %f: tensor<1x1x4x6xf32>) -> tensor<2x5x7x6xf32> {
  %0 = "ix.conv"(%x, %f) {strides = [1, 1], padding_low = [0, 0], padding_high = [0, 0], dilations = [1, 1], groups = 1 : i64, layout = "NHWC", has_bias = false} : (tensor<2x5x7x4xf32>, tensor<1x1x4x6xf32>) -> tensor<2x5x7x6xf32>
  return %0 : tensor<2x5x7x6xf32>
}

// -----

// CHECK-LABEL: func.func @groups_are_an_axis
// CHECK-DAG:     tensor.expand_shape %{{.*}} output_shape [2, 2, 2, 10]
// CHECK-DAG:     tensor.expand_shape %{{.*}} output_shape [2, 3, 2, 3]
// CHECK:         outs(%{{.*}} : tensor<2x2x3x8xf32>)
// CHECK:         tensor.collapse_shape %{{.*}} {{\[\[}}0], [1, 2], [3]]
func.func @groups_are_an_axis(%x: tensor<2x4x10xf32>, %f: tensor<6x2x3xf32>) -> tensor<2x6x8xf32> {
  %0 = "ix.conv"(%x, %f) {strides = [1], padding_low = [0], padding_high = [0], dilations = [1], groups = 2 : i64, layout = "NCHW", has_bias = false} : (tensor<2x4x10xf32>, tensor<6x2x3xf32>) -> tensor<2x6x8xf32>
  return %0 : tensor<2x6x8xf32>
}

// -----

// CHECK-LABEL: func.func @depthwise_needs_no_group_axis
// CHECK-SAME:    (%[[X:.*]]: tensor<2x4x10xf32>
// CHECK:         linalg.generic {{.*}} iterator_types = ["parallel", "parallel", "parallel", "reduction"]} ins(%[[X]], %{{.*}} : tensor<2x4x10xf32>, tensor<4x3xf32>)
func.func @depthwise_needs_no_group_axis(%x: tensor<2x4x10xf32>, %f: tensor<4x1x3xf32>) -> tensor<2x4x8xf32> {
  %0 = "ix.conv"(%x, %f) {strides = [1], padding_low = [0], padding_high = [0], dilations = [1], groups = 4 : i64, layout = "NCHW", has_bias = false} : (tensor<2x4x10xf32>, tensor<4x1x3xf32>) -> tensor<2x4x8xf32>
  return %0 : tensor<2x4x8xf32>
}

// -----

// The phases of a strided transpose are an axis of filter and result: no zero is
// multiplied but those of padding.
// CHECK-DAG: #[[X:.*]] = affine_map<(d0, d1, d2, d3, d4, d5) -> (d0, d4, d2 - d5 + 1)>
// CHECK-DAG: #[[F:.*]] = affine_map<(d0, d1, d2, d3, d4, d5) -> (d4, d1, d5, d3)>
// CHECK-LABEL: func.func @transpose_interleaves_phases
// CHECK:         tensor.pad %{{.*}} low[0, 0, 0] high[0, 0, 1] {
// CHECK:         tensor.expand_shape %{{.*}} {{\[\[}}0], [1], [2, 3]] output_shape [4, 6, 2, 2]
// CHECK:         linalg.generic {indexing_maps = [#[[X]], #[[F]], #{{.*}}]
// CHECK:         tensor.collapse_shape %{{.*}} {{\[\[}}0], [1], [2, 3]]
func.func @transpose_interleaves_phases(%x: tensor<2x4x5xf32>, %f: tensor<4x6x3xf32>) -> tensor<2x6x11xf32> {
  %0 = "ix.conv_transpose"(%x, %f) {strides = [2], padding_low = [0], padding_high = [0], output_padding = [0], dilations = [1], groups = 1 : i64, layout = "NCHW", has_bias = false} : (tensor<2x4x5xf32>, tensor<4x6x3xf32>) -> tensor<2x6x11xf32>
  return %0 : tensor<2x6x11xf32>
}

// -----

// CHECK-LABEL: func.func @transpose_with_as_many_taps_as_phases_is_a_contraction
// CHECK-NOT:     tensor.pad
// CHECK:         linalg.generic {{.*}} iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]
// CHECK-NOT:     tensor.extract_slice
// CHECK:         return
func.func @transpose_with_as_many_taps_as_phases_is_a_contraction(%x: tensor<2x4x5xf32>, %f: tensor<4x6x2xf32>) -> tensor<2x6x10xf32> {
  %0 = "ix.conv_transpose"(%x, %f) {strides = [2], padding_low = [0], padding_high = [0], output_padding = [0], dilations = [1], groups = 1 : i64, layout = "NCHW", has_bias = false} : (tensor<2x4x5xf32>, tensor<4x6x2xf32>) -> tensor<2x6x10xf32>
  return %0 : tensor<2x6x10xf32>
}
