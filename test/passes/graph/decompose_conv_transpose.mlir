// RUN: ix-opt %s -p ix-decompose-conv-transpose | FileCheck %s

// Four phases are four times the channels; the filter is cut, reversed and turned.
// CHECK-LABEL: func.func @phases_are_channels
// CHECK:         "ix.reshape"(%arg1) {shape = [1, 4, 6, 2, 2, 2, 2]}
// CHECK-NEXT:    "ix.flip"(%{{.*}}) {axes = [3, 5]}
// CHECK-NEXT:    "ix.transpose"(%{{.*}}) {permutation = [0, 2, 4, 6, 1, 3, 5]}
// CHECK-NEXT:    "ix.reshape"(%{{.*}}) {shape = [24, 4, 2, 2]}
// CHECK-NEXT:    "ix.conv"(%arg0, %{{.*}}) {dilations = [1, 1], {{.*}}padding_high = [1, 1], padding_low = [1, 1], strides = [1, 1]} : {{.*}} -> tensor<2x24x9x8xf32>
// CHECK-NEXT:    "ix.reshape"(%{{.*}}) {shape = [2, 6, 2, 2, 9, 8]}
// CHECK-NEXT:    "ix.transpose"(%{{.*}}) {permutation = [0, 1, 4, 2, 5, 3]}
// CHECK-NEXT:    "ix.reshape"(%{{.*}}) {shape = [2, 6, 18, 16]}
// CHECK-NEXT:    "ix.slice"(%{{.*}}) {limits = [2, 6, 17, 15], starts = [0, 0, 1, 1], strides = [1, 1, 1, 1]}
// CHECK-NEXT:    return
func.func @phases_are_channels(%x: tensor<2x4x8x7xf32>, %f: tensor<4x6x4x4xf32>) -> tensor<2x6x16x14xf32> {
  %0 = "ix.conv_transpose"(%x, %f) {strides = [2, 2], padding_low = [1, 1], padding_high = [1, 1], output_padding = [0, 0], dilations = [1, 1], groups = 1 : i64, layout = "NCHW", has_bias = false} : (tensor<2x4x8x7xf32>, tensor<4x6x4x4xf32>) -> tensor<2x6x16x14xf32>
  return %0 : tensor<2x6x16x14xf32>
}

// Without a stride, it is a convolution with the filter reversed, and no more.
// CHECK-LABEL: func.func @no_stride
// CHECK:         "ix.flip"
// CHECK:         "ix.conv"(%{{.*}}) {dilations = [2], {{.*}}padding_high = [3], padding_low = [3]
// CHECK-NEXT:    return
func.func @no_stride(%x: tensor<2x4x?xf32>, %f: tensor<4x6x3xf32>) -> tensor<2x6x?xf32> {
  %0 = "ix.conv_transpose"(%x, %f) {strides = [1], padding_low = [1], padding_high = [1], output_padding = [0], dilations = [2], groups = 1 : i64, layout = "NCHW", has_bias = false} : (tensor<2x4x?xf32>, tensor<4x6x3xf32>) -> tensor<2x6x?xf32>
  return %0 : tensor<2x6x?xf32>
}

// Each phase has the bias of its channel; a result kept whole is not sliced.
// CHECK-LABEL: func.func @bias_and_dynamic_sizes
// CHECK:         "ix.broadcast"(%{{.*}}) {shape = [6, 2]}
// CHECK-NEXT:    "ix.reshape"(%{{.*}}) {shape = [12]}
// CHECK:         "ix.conv"
// CHECK-NOT:     "ix.slice"
// CHECK:         return
func.func @bias_and_dynamic_sizes(%x: tensor<2x?x4xf32>, %f: tensor<2x6x4xf32>, %b: tensor<6xf32>) -> tensor<2x?x6xf32> {
  %0 = "ix.conv_transpose"(%x, %f, %b) {strides = [2], padding_low = [0], padding_high = [0], output_padding = [0], dilations = [1], groups = 1 : i64, layout = "NHWC", has_bias = true} : (tensor<2x?x4xf32>, tensor<2x6x4xf32>, tensor<6xf32>) -> tensor<2x?x6xf32>
  return %0 : tensor<2x?x6xf32>
}

// CHECK-LABEL: func.func @dynamic_channels_stay
// CHECK:         "ix.conv_transpose"
func.func @dynamic_channels_stay(%x: tensor<2x?x5xf32>, %f: tensor<?x6x3xf32>) -> tensor<2x6x7xf32> {
  %0 = "ix.conv_transpose"(%x, %f) {strides = [1], padding_low = [0], padding_high = [0], output_padding = [0], dilations = [1], groups = 1 : i64, layout = "NCHW", has_bias = false} : (tensor<2x?x5xf32>, tensor<?x6x3xf32>) -> tensor<2x6x7xf32>
  return %0 : tensor<2x6x7xf32>
}
