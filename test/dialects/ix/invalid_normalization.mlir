// RUN: ix-opt %s --split-input-file --verify-diagnostics > /dev/null

func.func @softmax_of_integers(%x: tensor<2x3xi32>) {
  // expected-error @below {{ix.softmax: operand must have floats as elements, got tensor<2x3xi32>; cast it first}}
  %0 = "ix.softmax"(%x) {axis = 1 : i64} : (tensor<2x3xi32>) -> tensor<2x3xi32>
  return
}

// -----

func.func @scale_of_another_shape(%x: tensor<2x3xf32>, %w: tensor<2xf32>) {
  // expected-error @below {{ix.layer_norm: scale and bias must have the shape 3, got tensor<2xf32>}}
  %0 = "ix.layer_norm"(%x, %w) {axis = 1 : i64, epsilon = 0.1 : f64, has_scale = true, has_bias = false} : (tensor<2x3xf32>, tensor<2xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @scale_of_another_type(%x: tensor<2x3xf16>, %w: tensor<3xf32>) {
  // expected-error @below {{ix.rms_norm: operands must have one element type, got tensor<2x3xf16> and tensor<3xf32>; cast them first}}
  %0 = "ix.rms_norm"(%x, %w) {axis = 1 : i64, epsilon = 0.1 : f64, has_scale = true} : (tensor<2x3xf16>, tensor<3xf32>) -> tensor<2x3xf16>
  return
}

// -----

func.func @scale_without_its_flag(%x: tensor<2x3xf32>, %w: tensor<3xf32>) {
  // expected-error @below {{ix.rms_norm: needs 0 operands after the input, as the flags say, got 1}}
  %0 = "ix.rms_norm"(%x, %w) {axis = 1 : i64, epsilon = 0.1 : f64, has_scale = false} : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @statistics_of_another_size(%x: tensor<2x3xf32>, %c: tensor<2xf32>) {
  // expected-error @below {{ix.batch_norm: scale, bias, mean and variance must have the shape 3, got tensor<2xf32>}}
  %0 = "ix.batch_norm"(%x, %c, %c, %c, %c) {axis = 1 : i64, epsilon = 0.1 : f64} : (tensor<2x3xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @groups_that_do_not_divide(%x: tensor<2x3x4xf32>) {
  // expected-error @below {{ix.group_norm: groups must divide the channels, axis 1 of tensor<2x3x4xf32>, got 2}}
  %0 = "ix.group_norm"(%x) {groups = 2 : i64, epsilon = 0.1 : f64, has_scale = false, has_bias = false} : (tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
  return
}

// -----

func.func @no_channels(%x: tensor<2xf32>) {
  // expected-error @below {{ix.instance_norm: input must have axes N, C, …, got tensor<2xf32>}}
  %0 = "ix.instance_norm"(%x) {epsilon = 0.1 : f64, has_scale = false, has_bias = false} : (tensor<2xf32>) -> tensor<2xf32>
  return
}
