// RUN: ix-opt %s --split-input-file --verify-diagnostics > /dev/null

func.func @kernel(%x: tensor<1x2x5x5xf32>) {
  // expected-error @below {{ix.max_pool: kernel must have one size ≥ 1 for each spatial axis, got [3] for tensor<1x2x5x5xf32>}}
  %0 = "ix.max_pool"(%x) {kernel = [3], strides = [1], padding_low = [0], padding_high = [0], dilations = [1], layout = "NCHW"} : (tensor<1x2x5x5xf32>) -> tensor<1x2x3x3xf32>
  return
}

// -----

func.func @bools(%x: tensor<1x2x5xi1>) {
  // expected-error @below {{ix.max_pool: operand must have numbers as elements, got tensor<1x2x5xi1>; cast it first}}
  %0 = "ix.max_pool"(%x) {kernel = [3], strides = [1], padding_low = [0], padding_high = [0], dilations = [1], layout = "NCHW"} : (tensor<1x2x5xi1>) -> tensor<1x2x3xi1>
  return
}

// -----

func.func @mean_of_integers(%x: tensor<1x2x5xi32>) {
  // expected-error @below {{ix.avg_pool: operand must have floats as elements, got tensor<1x2x5xi32>; cast it first}}
  %0 = "ix.avg_pool"(%x) {kernel = [3], strides = [1], padding_low = [0], padding_high = [0], ceil_padding = [0], dilations = [1], layout = "NCHW", count_include_pad = false} : (tensor<1x2x5xi32>) -> tensor<1x2x3xi32>
  return
}

// -----

func.func @ceil_padding(%x: tensor<1x2x5xf32>) {
  // expected-error @below {{ix.avg_pool: ceil_padding must have one number ≥ 0 for each spatial axis, got [-1]}}
  %0 = "ix.avg_pool"(%x) {kernel = [3], strides = [1], padding_low = [0], padding_high = [0], ceil_padding = [-1], dilations = [1], layout = "NCHW", count_include_pad = false} : (tensor<1x2x5xf32>) -> tensor<1x2x3xf32>
  return
}
