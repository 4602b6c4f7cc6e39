// RUN: ix-opt %s | ix-opt | FileCheck %s

// CHECK-LABEL: func.func @conv
func.func @conv(%x: tensor<?x4x9x8xf32>, %f: tensor<6x2x3x3xf32>, %b: tensor<6xf32>) {
  // CHECK: "ix.conv"(%{{.*}}, %{{.*}}, %{{.*}}) {dilations = [1, 2], groups = 2 : i64, has_bias = true, layout = "NCHW", padding_high = [0, 1], padding_low = [1, 0], strides = [2, 1]} : (tensor<?x4x9x8xf32>, tensor<6x2x3x3xf32>, tensor<6xf32>) -> tensor<?x6x4x5xf32>
  %0 = "ix.conv"(%x, %f, %b) {strides = [2, 1], padding_low = [1, 0], padding_high = [0, 1], dilations = [1, 2], groups = 2 : i64, layout = "NCHW", has_bias = true} : (tensor<?x4x9x8xf32>, tensor<6x2x3x3xf32>, tensor<6xf32>) -> tensor<?x6x4x5xf32>
  return
}

// CHECK-LABEL: func.func @conv_of_bytes_with_channels_last
func.func @conv_of_bytes_with_channels_last(%x: tensor<1x?x4xui8>, %f: tensor<3x4x6xi8>) {
  // CHECK: "ix.conv"(%{{.*}}, %{{.*}}) {dilations = [1], groups = 1 : i64, has_bias = false, layout = "NHWC", padding_high = [0], padding_low = [0], strides = [1]} : (tensor<1x?x4xui8>, tensor<3x4x6xi8>) -> tensor<1x?x6xi32>
  %0 = "ix.conv"(%x, %f) {strides = [1], padding_low = [0], padding_high = [0], dilations = [1], groups = 1 : i64, layout = "NHWC", has_bias = false} : (tensor<1x?x4xui8>, tensor<3x4x6xi8>) -> tensor<1x?x6xi32>
  return
}

// CHECK-LABEL: func.func @conv_transpose
func.func @conv_transpose(%x: tensor<2x4x5xf32>, %f: tensor<4x3x3xf32>) {
  // CHECK: "ix.conv_transpose"(%{{.*}}, %{{.*}}) {dilations = [1], groups = 2 : i64, has_bias = false, layout = "NCHW", output_padding = [1], padding_high = [1], padding_low = [1], strides = [2]} : (tensor<2x4x5xf32>, tensor<4x3x3xf32>) -> tensor<2x6x10xf32>
  %0 = "ix.conv_transpose"(%x, %f) {strides = [2], padding_low = [1], padding_high = [1], output_padding = [1], dilations = [1], groups = 2 : i64, layout = "NCHW", has_bias = false} : (tensor<2x4x5xf32>, tensor<4x3x3xf32>) -> tensor<2x6x10xf32>
  return
}
