// RUN: ix-opt %s --split-input-file --verify-diagnostics > /dev/null

func.func @vector(%a: tensor<3xf32>, %b: tensor<3x2xf32>) {
  // expected-error @below {{ix.matmul: operands must have at least two axes, got tensor<3xf32> and tensor<3x2xf32>; reshape them}}
  %0 = "ix.matmul"(%a, %b) {transpose_a = false, transpose_b = false} : (tensor<3xf32>, tensor<3x2xf32>) -> tensor<2xf32>
  return
}

// -----

func.func @contracted_sizes(%a: tensor<2x3xf32>, %b: tensor<4x2xf32>) {
  // expected-error @below {{ix.matmul: contracted sizes must be equal, got 3 and 4 of tensor<2x3xf32> and tensor<4x2xf32>}}
  %0 = "ix.matmul"(%a, %b) {transpose_a = false, transpose_b = false} : (tensor<2x3xf32>, tensor<4x2xf32>) -> tensor<2x2xf32>
  return
}

// -----

func.func @batch_axes(%a: tensor<2x2x3xf32>, %b: tensor<3x3x2xf32>) {
  // expected-error @below {{ix.matmul: shapes 2 and 3 do not broadcast}}
  %0 = "ix.matmul"(%a, %b) {transpose_a = false, transpose_b = false} : (tensor<2x2x3xf32>, tensor<3x3x2xf32>) -> tensor<2x2x2xf32>
  return
}

// -----

func.func @element_types(%a: tensor<2x3xf32>, %b: tensor<3x2xf16>) {
  // expected-error @below {{ix.matmul: operands must have one element type, floats or integers (i4, i8 and ui8 may mix), got tensor<2x3xf32> and tensor<3x2xf16>; cast them first}}
  %0 = "ix.matmul"(%a, %b) {transpose_a = false, transpose_b = false} : (tensor<2x3xf32>, tensor<3x2xf16>) -> tensor<2x2xf32>
  return
}

// -----

func.func @bytes_give_words(%a: tensor<2x3xi8>, %b: tensor<3x2xi8>) {
  // expected-error @below {{ix.matmul: result must be tensor<2x2xi32>, got tensor<2x2xi8>}}
  %0 = "ix.matmul"(%a, %b) {transpose_a = false, transpose_b = false} : (tensor<2x3xi8>, tensor<3x2xi8>) -> tensor<2x2xi8>
  return
}

// -----

func.func @short_floats_give_themselves_or_f32(%a: tensor<2x3xf16>, %b: tensor<3x2xf16>) {
  // expected-error @below {{ix.matmul: result must be tensor<2x2xf16> or tensor<2x2xf32>, got tensor<2x2xf64>}}
  %0 = "ix.matmul"(%a, %b) {transpose_a = false, transpose_b = false} : (tensor<2x3xf16>, tensor<3x2xf16>) -> tensor<2x2xf64>
  return
}

// -----

func.func @unpaired_axes(%a: tensor<2x3xf32>, %b: tensor<3x2xf32>) {
  // expected-error @below {{ix.dot_general: contract_a and contract_b must have one length, got [1] and []}}
  %0 = "ix.dot_general"(%a, %b) {batch_a = [], batch_b = [], contract_a = [1], contract_b = []} : (tensor<2x3xf32>, tensor<3x2xf32>) -> tensor<2x2xf32>
  return
}

// -----

func.func @paired_sizes(%a: tensor<2x3xf32>, %b: tensor<3x2xf32>) {
  // expected-error @below {{ix.dot_general: contract axes must have equal sizes, but axis 1 of tensor<2x3xf32> and axis 1 of tensor<3x2xf32> differ}}
  %0 = "ix.dot_general"(%a, %b) {batch_a = [], batch_b = [], contract_a = [1], contract_b = [1]} : (tensor<2x3xf32>, tensor<3x2xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @axis_twice(%a: tensor<2x3xf32>, %b: tensor<2x3xf32>) {
  // expected-error @below {{ix.dot_general: batch_a and contract_a must not repeat an axis, got [0, 0]}}
  %0 = "ix.dot_general"(%a, %b) {batch_a = [0], batch_b = [0], contract_a = [0], contract_b = [0]} : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3x3xf32>
  return
}
