// RUN: ix-opt %s -p ix-fold-batch-norm | FileCheck %s

// CHECK-LABEL: func.func @batch_norm_vanishes
// CHECK: %[[ROOT:.*]] = "ix.sqrt"
// CHECK: %[[S:.*]] = "ix.div"(%{{.*}}, %[[ROOT]])
// CHECK-DAG: %[[ROW:.*]] = "ix.reshape"(%[[S]]) {shape = [4, 1, 1, 1]}
// CHECK-DAG: %[[F:.*]] = "ix.mul"(%{{.*}}, %[[ROW]]) : (tensor<4x3x3x3xf32>, tensor<4x1x1x1xf32>)
// CHECK: "ix.conv"(%arg0, %[[F]], %{{.*}}) {{.*}} has_bias = true
// CHECK-NEXT: return
func.func @batch_norm_vanishes(%x: tensor<1x3x5x5xf32>) -> tensor<1x4x3x3xf32> {
  %f = "ix.parameter"() {name = "f"} : () -> tensor<4x3x3x3xf32>
  %y = "ix.conv"(%x, %f) {dilations = [1, 1], groups = 1 : i64, has_bias = false, layout = "NCHW", padding_high = [0, 0], padding_low = [0, 0], strides = [1, 1]} : (tensor<1x3x5x5xf32>, tensor<4x3x3x3xf32>) -> tensor<1x4x3x3xf32>
  %s = "ix.parameter"() {name = "s"} : () -> tensor<4xf32>
  %t = "ix.parameter"() {name = "t"} : () -> tensor<4xf32>
  %m = "ix.parameter"() {name = "m"} : () -> tensor<4xf32>
  %v = "ix.parameter"() {name = "v"} : () -> tensor<4xf32>
  %0 = "ix.batch_norm"(%y, %s, %t, %m, %v) {axis = 1 : i64, epsilon = 1.0e-5 : f64} : (tensor<1x4x3x3xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<1x4x3x3xf32>
  return %0 : tensor<1x4x3x3xf32>
}

// CHECK-LABEL: func.func @scale_and_bias_of_channels
// CHECK: "ix.conv"(%arg0, %{{.*}}, %{{.*}}) {{.*}} has_bias = true
// CHECK-NEXT: return
func.func @scale_and_bias_of_channels(%x: tensor<1x3x5x5xf32>) -> tensor<1x4x3x3xf32> {
  %f = "ix.parameter"() {name = "f"} : () -> tensor<4x3x3x3xf32>
  %b = "ix.parameter"() {name = "b"} : () -> tensor<4xf32>
  %y = "ix.conv"(%x, %f, %b) {dilations = [1, 1], groups = 1 : i64, has_bias = true, layout = "NCHW", padding_high = [0, 0], padding_low = [0, 0], strides = [1, 1]} : (tensor<1x3x5x5xf32>, tensor<4x3x3x3xf32>, tensor<4xf32>) -> tensor<1x4x3x3xf32>
  %c = "ix.parameter"() {name = "c"} : () -> tensor<1x4x1x1xf32>
  %z = "ix.mul"(%c, %y) : (tensor<1x4x1x1xf32>, tensor<1x4x3x3xf32>) -> tensor<1x4x3x3xf32>
  %0 = "ix.add"(%z, %c) : (tensor<1x4x3x3xf32>, tensor<1x4x1x1xf32>) -> tensor<1x4x3x3xf32>
  return %0 : tensor<1x4x3x3xf32>
}

// CHECK-LABEL: func.func @matmul
// CHECK-DAG: %[[W:.*]] = "ix.mul"(%{{.*}}, %{{.*}}) : (tensor<3x4xf32>, tensor<4xf32>)
// CHECK-DAG: %[[B:.*]] = "ix.mul"(%{{.*}}, %{{.*}}) : (tensor<4xf32>, tensor<4xf32>)
// CHECK: %[[Y:.*]] = "ix.matmul"(%arg0, %[[W]])
// CHECK-NEXT: "ix.add"(%[[Y]], %[[B]])
// CHECK-NEXT: return
func.func @matmul(%x: tensor<?x3xf32>) -> tensor<?x4xf32> {
  %w = "ix.parameter"() {name = "w"} : () -> tensor<3x4xf32>
  %b = "ix.parameter"() {name = "b"} : () -> tensor<4xf32>
  %s = "ix.parameter"() {name = "s"} : () -> tensor<4xf32>
  %y = "ix.matmul"(%x, %w) {transpose_a = false, transpose_b = false} : (tensor<?x3xf32>, tensor<3x4xf32>) -> tensor<?x4xf32>
  %z = "ix.add"(%y, %b) : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  %0 = "ix.mul"(%z, %s) : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @short_floats_scale_in_f32
// CHECK: "ix.mul"(%{{.*}}, %{{.*}}) : (tensor<4x3x3x3xf32>, tensor<4x1x1x1xf32>)
// CHECK: "ix.cast"(%{{.*}}) : (tensor<4x3x3x3xf32>) -> tensor<4x3x3x3xbf16>
// CHECK: "ix.conv"
// CHECK-NEXT: return
func.func @short_floats_scale_in_f32(%x: tensor<1x3x5x5xbf16>) -> tensor<1x4x3x3xbf16> {
  %f = "ix.parameter"() {name = "f"} : () -> tensor<4x3x3x3xbf16>
  %y = "ix.conv"(%x, %f) {dilations = [1, 1], groups = 1 : i64, has_bias = false, layout = "NCHW", padding_high = [0, 0], padding_low = [0, 0], strides = [1, 1]} : (tensor<1x3x5x5xbf16>, tensor<4x3x3x3xbf16>) -> tensor<1x4x3x3xbf16>
  %c = "ix.parameter"() {name = "c"} : () -> tensor<4x1x1xbf16>
  %0 = "ix.mul"(%c, %y) : (tensor<4x1x1xbf16>, tensor<1x4x3x3xbf16>) -> tensor<1x4x3x3xbf16>
  return %0 : tensor<1x4x3x3xbf16>
}

// CHECK-LABEL: func.func @without_convolution_it_is_a_scale_and_a_bias
// CHECK: %[[P:.*]] = "ix.mul"(%arg0, %{{.*}}) : (tensor<1x4x3x3xf32>, tensor<4x1x1xf32>)
// CHECK-NEXT: "ix.add"(%[[P]], %{{.*}})
// CHECK-NEXT: return
func.func @without_convolution_it_is_a_scale_and_a_bias(%x: tensor<1x4x3x3xf32>) -> tensor<1x4x3x3xf32> {
  %s = "ix.parameter"() {name = "s"} : () -> tensor<4xf32>
  %t = "ix.parameter"() {name = "t"} : () -> tensor<4xf32>
  %m = "ix.parameter"() {name = "m"} : () -> tensor<4xf32>
  %v = "ix.parameter"() {name = "v"} : () -> tensor<4xf32>
  %0 = "ix.batch_norm"(%x, %s, %t, %m, %v) {axis = 1 : i64, epsilon = 1.0e-5 : f64} : (tensor<1x4x3x3xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<1x4x3x3xf32>
  return %0 : tensor<1x4x3x3xf32>
}

// CHECK-LABEL: func.func @statistics_that_are_inputs_stay
// CHECK: "ix.batch_norm"
func.func @statistics_that_are_inputs_stay(%x: tensor<1x3x5x5xf32>, %v: tensor<4xf32>) -> tensor<1x4x3x3xf32> {
  %f = "ix.parameter"() {name = "f"} : () -> tensor<4x3x3x3xf32>
  %y = "ix.conv"(%x, %f) {dilations = [1, 1], groups = 1 : i64, has_bias = false, layout = "NCHW", padding_high = [0, 0], padding_low = [0, 0], strides = [1, 1]} : (tensor<1x3x5x5xf32>, tensor<4x3x3x3xf32>) -> tensor<1x4x3x3xf32>
  %s = "ix.parameter"() {name = "s"} : () -> tensor<4xf32>
  %t = "ix.parameter"() {name = "t"} : () -> tensor<4xf32>
  %m = "ix.parameter"() {name = "m"} : () -> tensor<4xf32>
  %0 = "ix.batch_norm"(%y, %s, %t, %m, %v) {axis = 1 : i64, epsilon = 1.0e-5 : f64} : (tensor<1x4x3x3xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<1x4x3x3xf32>
  return %0 : tensor<1x4x3x3xf32>
}

// CHECK-LABEL: func.func @convolution_that_is_read_twice_stays
// CHECK: "ix.conv"
// CHECK-NEXT: "ix.parameter"
// CHECK-NEXT: "ix.mul"
func.func @convolution_that_is_read_twice_stays(%x: tensor<1x3x5x5xf32>) -> (tensor<1x4x3x3xf32>, tensor<1x4x3x3xf32>) {
  %f = "ix.parameter"() {name = "f"} : () -> tensor<4x3x3x3xf32>
  %y = "ix.conv"(%x, %f) {dilations = [1, 1], groups = 1 : i64, has_bias = false, layout = "NCHW", padding_high = [0, 0], padding_low = [0, 0], strides = [1, 1]} : (tensor<1x3x5x5xf32>, tensor<4x3x3x3xf32>) -> tensor<1x4x3x3xf32>
  %c = "ix.parameter"() {name = "c"} : () -> tensor<4x1x1xf32>
  %0 = "ix.mul"(%c, %y) : (tensor<4x1x1xf32>, tensor<1x4x3x3xf32>) -> tensor<1x4x3x3xf32>
  return %0, %y : tensor<1x4x3x3xf32>, tensor<1x4x3x3xf32>
}

// CHECK-LABEL: func.func @scale_of_positions_stays
// CHECK: %[[Y:.*]] = "ix.conv"
// CHECK: "ix.mul"(%{{.*}}, %[[Y]])
func.func @scale_of_positions_stays(%x: tensor<1x3x5x5xf32>) -> tensor<1x4x3x3xf32> {
  %f = "ix.parameter"() {name = "f"} : () -> tensor<4x3x3x3xf32>
  %y = "ix.conv"(%x, %f) {dilations = [1, 1], groups = 1 : i64, has_bias = false, layout = "NCHW", padding_high = [0, 0], padding_low = [0, 0], strides = [1, 1]} : (tensor<1x3x5x5xf32>, tensor<4x3x3x3xf32>) -> tensor<1x4x3x3xf32>
  %c = "ix.parameter"() {name = "c"} : () -> tensor<3x3xf32>
  %0 = "ix.mul"(%c, %y) : (tensor<3x3xf32>, tensor<1x4x3x3xf32>) -> tensor<1x4x3x3xf32>
  return %0 : tensor<1x4x3x3xf32>
}

// CHECK-LABEL: func.func @scale_that_is_an_input_stays
// CHECK: %[[Y:.*]] = "ix.conv"
// CHECK: "ix.mul"(%arg1, %[[Y]])
func.func @scale_that_is_an_input_stays(%x: tensor<1x3x5x5xf32>, %c: tensor<4x1x1xf32>) -> tensor<1x4x3x3xf32> {
  %f = "ix.parameter"() {name = "f"} : () -> tensor<4x3x3x3xf32>
  %y = "ix.conv"(%x, %f) {dilations = [1, 1], groups = 1 : i64, has_bias = false, layout = "NCHW", padding_high = [0, 0], padding_low = [0, 0], strides = [1, 1]} : (tensor<1x3x5x5xf32>, tensor<4x3x3x3xf32>) -> tensor<1x4x3x3xf32>
  %0 = "ix.mul"(%c, %y) : (tensor<4x1x1xf32>, tensor<1x4x3x3xf32>) -> tensor<1x4x3x3xf32>
  return %0 : tensor<1x4x3x3xf32>
}

// CHECK-LABEL: func.func @filter_that_is_an_input_stays
// CHECK: %[[Y:.*]] = "ix.conv"
// CHECK: "ix.mul"(%{{.*}}, %[[Y]])
func.func @filter_that_is_an_input_stays(%x: tensor<1x3x5x5xf32>, %f: tensor<4x3x3x3xf32>) -> tensor<1x4x3x3xf32> {
  %y = "ix.conv"(%x, %f) {dilations = [1, 1], groups = 1 : i64, has_bias = false, layout = "NCHW", padding_high = [0, 0], padding_low = [0, 0], strides = [1, 1]} : (tensor<1x3x5x5xf32>, tensor<4x3x3x3xf32>) -> tensor<1x4x3x3xf32>
  %c = "ix.parameter"() {name = "c"} : () -> tensor<4x1x1xf32>
  %0 = "ix.mul"(%c, %y) : (tensor<4x1x1xf32>, tensor<1x4x3x3xf32>) -> tensor<1x4x3x3xf32>
  return %0 : tensor<1x4x3x3xf32>
}

// CHECK-LABEL: func.func @grouped_transposed_convolution_stays
// CHECK: %[[Y:.*]] = "ix.conv_transpose"
// CHECK: "ix.mul"(%[[Y]], %{{.*}})
func.func @grouped_transposed_convolution_stays(%x: tensor<1x4x3x3xf32>) -> tensor<1x4x3x3xf32> {
  %f = "ix.parameter"() {name = "f"} : () -> tensor<4x2x1x1xf32>
  %y = "ix.conv_transpose"(%x, %f) {dilations = [1, 1], groups = 2 : i64, has_bias = false, layout = "NCHW", output_padding = [0, 0], padding_high = [0, 0], padding_low = [0, 0], strides = [1, 1]} : (tensor<1x4x3x3xf32>, tensor<4x2x1x1xf32>) -> tensor<1x4x3x3xf32>
  %c = "ix.parameter"() {name = "c"} : () -> tensor<4x1x1xf32>
  %0 = "ix.mul"(%y, %c) : (tensor<1x4x3x3xf32>, tensor<4x1x1xf32>) -> tensor<1x4x3x3xf32>
  return %0 : tensor<1x4x3x3xf32>
}

// CHECK-LABEL: func.func @integers_stay
// CHECK: %[[Y:.*]] = "ix.matmul"
// CHECK: "ix.mul"(%[[Y]]
func.func @integers_stay(%x: tensor<?x3xi8>) -> tensor<?x4xi32> {
  %w = "ix.parameter"() {name = "w"} : () -> tensor<3x4xi8>
  %s = "ix.parameter"() {name = "s"} : () -> tensor<4xi32>
  %y = "ix.matmul"(%x, %w) {transpose_a = false, transpose_b = false} : (tensor<?x3xi8>, tensor<3x4xi8>) -> tensor<?x4xi32>
  %0 = "ix.mul"(%y, %s) : (tensor<?x4xi32>, tensor<4xi32>) -> tensor<?x4xi32>
  return %0 : tensor<?x4xi32>
}
