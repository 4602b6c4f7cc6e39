// RUN: ix-opt %s | ix-opt | FileCheck %s

// CHECK-LABEL: func.func @pools
func.func @pools(%x: tensor<2x3x7x?xf32>) {
  // CHECK: "ix.max_pool"(%{{.*}}) {dilations = [1, 1], kernel = [3, 2], layout = "NCHW", padding_high = [0, 0], padding_low = [1, 0], strides = [2, 2]} : (tensor<2x3x7x?xf32>) -> tensor<2x3x3x?xf32>
  %0 = "ix.max_pool"(%x) {kernel = [3, 2], strides = [2, 2], padding_low = [1, 0], padding_high = [0, 0], dilations = [1, 1], layout = "NCHW"} : (tensor<2x3x7x?xf32>) -> tensor<2x3x3x?xf32>
  // CHECK: "ix.avg_pool"(%{{.*}}) {ceil_padding = [1, 0], count_include_pad = true, dilations = [1, 1], kernel = [3, 2], layout = "NHWC", padding_high = [0, 0], padding_low = [0, 0], strides = [1, 1]} : (tensor<2x3x7x?xf32>) -> tensor<2x2x6x?xf32>
  %1 = "ix.avg_pool"(%x) {kernel = [3, 2], strides = [1, 1], padding_low = [0, 0], padding_high = [0, 0], ceil_padding = [1, 0], dilations = [1, 1], layout = "NHWC", count_include_pad = true} : (tensor<2x3x7x?xf32>) -> tensor<2x2x6x?xf32>
  return
}
