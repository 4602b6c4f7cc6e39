// RUN: ix-opt %s --split-input-file --verify-diagnostics > /dev/null

func.func @layout(%x: tensor<1x2x5xf32>, %f: tensor<4x2x3xf32>) {
  // expected-error @below {{ix.conv: layout must be one of NCHW, NHWC, got 'NCL'}}
  %0 = "ix.conv"(%x, %f) {strides = [1], padding_low = [0], padding_high = [0], dilations = [1], groups = 1 : i64, layout = "NCL", has_bias = false} : (tensor<1x2x5xf32>, tensor<4x2x3xf32>) -> tensor<1x4x3xf32>
  return
}

// -----

func.func @no_spatial_axis(%x: tensor<1x2xf32>, %f: tensor<4x2xf32>) {
  // expected-error @below {{ix.conv: input must have batch, channel and one to three spatial axes, got tensor<1x2xf32>}}
  %0 = "ix.conv"(%x, %f) {strides = [], padding_low = [], padding_high = [], dilations = [], groups = 1 : i64, layout = "NCHW", has_bias = false} : (tensor<1x2xf32>, tensor<4x2xf32>) -> tensor<1x4xf32>
  return
}

// -----

func.func @channels(%x: tensor<1x2x5xf32>, %f: tensor<4x3x3xf32>) {
  // expected-error @below {{ix.conv: filter must have 2 / 1 input channels, got tensor<4x3x3xf32> for tensor<1x2x5xf32> in 1 groups}}
  %0 = "ix.conv"(%x, %f) {strides = [1], padding_low = [0], padding_high = [0], dilations = [1], groups = 1 : i64, layout = "NCHW", has_bias = false} : (tensor<1x2x5xf32>, tensor<4x3x3xf32>) -> tensor<1x4x3xf32>
  return
}

// -----

func.func @filter_rank(%x: tensor<1x2x5xf32>, %f: tensor<4x2xf32>) {
  // expected-error @below {{ix.conv: filter must have as many axes as the input, got tensor<4x2xf32> for tensor<1x2x5xf32>}}
  %0 = "ix.conv"(%x, %f) {strides = [1], padding_low = [0], padding_high = [0], dilations = [1], groups = 1 : i64, layout = "NCHW", has_bias = false} : (tensor<1x2x5xf32>, tensor<4x2xf32>) -> tensor<1x4x3xf32>
  return
}

// -----

func.func @dynamic_kernel(%x: tensor<1x2x5xf32>, %f: tensor<4x2x?xf32>) {
  // expected-error @below {{ix.conv: filter must have static, positive spatial sizes, got tensor<4x2x?xf32>}}
  %0 = "ix.conv"(%x, %f) {strides = [1], padding_low = [0], padding_high = [0], dilations = [1], groups = 1 : i64, layout = "NCHW", has_bias = false} : (tensor<1x2x5xf32>, tensor<4x2x?xf32>) -> tensor<1x4x?xf32>
  return
}

// -----

func.func @groups(%x: tensor<1x2x5xf32>, %f: tensor<3x1x3xf32>) {
  // expected-error @below {{ix.conv: groups must divide the channels, got 2 for 3 channels}}
  %0 = "ix.conv"(%x, %f) {strides = [1], padding_low = [0], padding_high = [0], dilations = [1], groups = 2 : i64, layout = "NCHW", has_bias = false} : (tensor<1x2x5xf32>, tensor<3x1x3xf32>) -> tensor<1x3x3xf32>
  return
}

// -----

func.func @lists(%x: tensor<1x2x5xf32>, %f: tensor<3x2x3xf32>) {
  // expected-error @below {{ix.conv: needs 1 numbers ≥ 0 in each list, one for each spatial axis, got [1, 1]}}
  %0 = "ix.conv"(%x, %f) {strides = [1, 1], padding_low = [0], padding_high = [0], dilations = [1], groups = 1 : i64, layout = "NCHW", has_bias = false} : (tensor<1x2x5xf32>, tensor<3x2x3xf32>) -> tensor<1x3x3xf32>
  return
}

// -----

func.func @stride(%x: tensor<1x2x5xf32>, %f: tensor<3x2x3xf32>) {
  // expected-error @below {{ix.conv: strides and dilations must be at least 1, got [0]}}
  %0 = "ix.conv"(%x, %f) {strides = [0], padding_low = [0], padding_high = [0], dilations = [1], groups = 1 : i64, layout = "NCHW", has_bias = false} : (tensor<1x2x5xf32>, tensor<3x2x3xf32>) -> tensor<1x3x3xf32>
  return
}

// -----

func.func @window(%x: tensor<1x2x5xf32>, %f: tensor<3x2x4xf32>) {
  // expected-error @below {{ix.conv: the window must fit the padded input, but it spans 7 of 6 on spatial axis 0}}
  %0 = "ix.conv"(%x, %f) {strides = [1], padding_low = [1], padding_high = [0], dilations = [2], groups = 1 : i64, layout = "NCHW", has_bias = false} : (tensor<1x2x5xf32>, tensor<3x2x4xf32>) -> tensor<1x3x3xf32>
  return
}

// -----

func.func @bias(%x: tensor<1x2x5xf32>, %f: tensor<3x2x3xf32>, %b: tensor<2xf32>) {
  // expected-error @below {{ix.conv: bias must have the shape 3, got tensor<2xf32>}}
  %0 = "ix.conv"(%x, %f, %b) {strides = [1], padding_low = [0], padding_high = [0], dilations = [1], groups = 1 : i64, layout = "NCHW", has_bias = true} : (tensor<1x2x5xf32>, tensor<3x2x3xf32>, tensor<2xf32>) -> tensor<1x3x3xf32>
  return
}

// -----

func.func @bias_without_its_flag(%x: tensor<1x2x5xf32>, %f: tensor<3x2x3xf32>, %b: tensor<3xf32>) {
  // expected-error @below {{ix.conv: needs 2 operands, as has_bias says, got 3}}
  %0 = "ix.conv"(%x, %f, %b) {strides = [1], padding_low = [0], padding_high = [0], dilations = [1], groups = 1 : i64, layout = "NCHW", has_bias = false} : (tensor<1x2x5xf32>, tensor<3x2x3xf32>, tensor<3xf32>) -> tensor<1x3x3xf32>
  return
}

// -----

func.func @bias_of_another_type(%x: tensor<1x2x5xi8>, %f: tensor<3x2x3xi8>, %b: tensor<3xi8>) {
  // expected-error @below {{ix.conv: bias must have the result's element type, got tensor<3xi8> for tensor<1x3x3xi32>; cast it first}}
  %0 = "ix.conv"(%x, %f, %b) {strides = [1], padding_low = [0], padding_high = [0], dilations = [1], groups = 1 : i64, layout = "NCHW", has_bias = true} : (tensor<1x2x5xi8>, tensor<3x2x3xi8>, tensor<3xi8>) -> tensor<1x3x3xi32>
  return
}

// -----

func.func @transposed_channels(%x: tensor<1x2x5xf32>, %f: tensor<3x2x3xf32>) {
  // expected-error @below {{ix.conv_transpose: filter must have 2 input channels, got tensor<3x2x3xf32> for tensor<1x2x5xf32>}}
  %0 = "ix.conv_transpose"(%x, %f) {strides = [1], padding_low = [0], padding_high = [0], output_padding = [0], dilations = [1], groups = 1 : i64, layout = "NCHW", has_bias = false} : (tensor<1x2x5xf32>, tensor<3x2x3xf32>) -> tensor<1x2x7xf32>
  return
}

// -----

func.func @nothing_left(%x: tensor<1x2x1xf32>, %f: tensor<2x2x3xf32>) {
  // expected-error @below {{ix.conv_transpose: padding must leave something of the result, got sizes [-1]}}
  %0 = "ix.conv_transpose"(%x, %f) {strides = [1], padding_low = [2], padding_high = [2], output_padding = [0], dilations = [1], groups = 1 : i64, layout = "NCHW", has_bias = false} : (tensor<1x2x1xf32>, tensor<2x2x3xf32>) -> tensor<1x2x1xf32>
  return
}
