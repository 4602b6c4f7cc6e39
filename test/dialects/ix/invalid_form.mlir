// RUN: ix-opt %s --split-input-file --verify-diagnostics > /dev/null

func.func @missing_attribute(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.softmax: needs the attribute axis; add it}}
  %0 = "ix.softmax"(%x) : (tensor<2x3xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @attribute_of_another_kind(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.softmax: axis must be an integer or a flag, got "last"}}
  %0 = "ix.softmax"(%x) {axis = "last"} : (tensor<2x3xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @missing_operand(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.matmul: needs 2 operands (a, b), got 1}}
  %0 = "ix.matmul"(%x) {transpose_a = false, transpose_b = false} : (tensor<2x3xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @too_few_of_many_operands() {
  // expected-error @below {{ix.layer_norm: needs 1 or more operands (input, affine), got 0}}
  %0 = "ix.layer_norm"() {axis = 0 : i64, epsilon = 1.0 : f64, has_scale = false, has_bias = false} : () -> tensor<2x3xf32>
  return
}

// -----

func.func @missing_result(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.topk: needs 2 results (values, indices), got 1}}
  %0 = "ix.topk"(%x) {axis = 1 : i64, k = 1 : i64, largest = true} : (tensor<2x3xf32>) -> tensor<2x1xf32>
  return
}

// -----

func.func @unranked(%x: tensor<*xf32>) {
  // expected-error @below {{ix.softmax: operands must be ranked tensors of an element type of ix, got tensor<*xf32>}}
  %0 = "ix.softmax"(%x) {axis = 1 : i64} : (tensor<*xf32>) -> tensor<*xf32>
  return
}
