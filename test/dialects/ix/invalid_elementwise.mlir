// RUN: ix-opt %s --split-input-file --verify-diagnostics > /dev/null

func.func @integers_have_no_exp(%x: tensor<2xi32>) {
  // expected-error @below {{ix.exp: operand must have floats as elements, got tensor<2xi32>; cast it first}}
  %0 = "ix.exp"(%x) : (tensor<2xi32>) -> tensor<2xi32>
  return
}

// -----

func.func @bools_are_no_numbers(%x: tensor<2xi1>) {
  // expected-error @below {{ix.neg: operand must have numbers as elements, got tensor<2xi1>; cast it first}}
  %0 = "ix.neg"(%x) : (tensor<2xi1>) -> tensor<2xi1>
  return
}

// -----

func.func @floats_have_no_bits(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.bitwise_not: operand must have integers as elements, got tensor<2x3xf32>; cast it first}}
  %0 = "ix.bitwise_not"(%x) : (tensor<2x3xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @not_of_integers(%x: tensor<2xi8>) {
  // expected-error @below {{ix.logical_not: operand must have i1 as elements, got tensor<2xi8>; cast it first}}
  %0 = "ix.logical_not"(%x) : (tensor<2xi8>) -> tensor<2xi8>
  return
}

// -----

func.func @and_of_floats(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.and: operand must have integers or i1 as elements, got tensor<2x3xf32>; cast it first}}
  %0 = "ix.and"(%x, %x) : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @shift_of_bools(%x: tensor<2xi1>) {
  // expected-error @below {{ix.shift_left: operand must have integers as elements, got tensor<2xi1>; cast it first}}
  %0 = "ix.shift_left"(%x, %x) : (tensor<2xi1>, tensor<2xi1>) -> tensor<2xi1>
  return
}

// -----

func.func @no_promotion(%x: tensor<2xf32>, %y: tensor<2xf16>) {
  // expected-error @below {{ix.add: operands must have one element type, got tensor<2xf32> and tensor<2xf16>; cast them first}}
  %0 = "ix.add"(%x, %y) : (tensor<2xf32>, tensor<2xf16>) -> tensor<2xf32>
  return
}

// -----

func.func @no_broadcast(%x: tensor<2x3xf32>, %y: tensor<4xf32>) {
  // expected-error @below {{ix.add: operands must broadcast, got tensor<2x3xf32> and tensor<4xf32>; sizes of aligned axes, counted from the last, must be equal or 1}}
  %0 = "ix.add"(%x, %y) : (tensor<2x3xf32>, tensor<4xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @wrong_result_shape(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.add: result must be tensor<2x3xf32>, got tensor<3x2xf32>}}
  %0 = "ix.add"(%x, %x) : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<3x2xf32>
  return
}

// -----

func.func @comparison_gives_i1(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.lt: result must be tensor<2x3xi1>, got tensor<2x3xf32>}}
  %0 = "ix.lt"(%x, %x) : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @condition_is_i1(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.select: operand must have i1 as elements, got tensor<2x3xf32>; cast it first}}
  %0 = "ix.select"(%x, %x, %x) : (tensor<2x3xf32>, tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @clamp_of_bools(%x: tensor<2xi1>) {
  // expected-error @below {{ix.clamp: operand must have numbers as elements, got tensor<2xi1>; cast it first}}
  %0 = "ix.clamp"(%x, %x, %x) : (tensor<2xi1>, tensor<2xi1>, tensor<2xi1>) -> tensor<2xi1>
  return
}

// -----

func.func @cast_keeps_the_shape(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.cast: result must have the shape of tensor<2x3xf32>, got tensor<6xf16>}}
  %0 = "ix.cast"(%x) : (tensor<2x3xf32>) -> tensor<6xf16>
  return
}

// -----

func.func @unknown_gelu(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.gelu: approximate must be "none" or "tanh", got "erf"}}
  %0 = "ix.gelu"(%x) {approximate = "erf"} : (tensor<2x3xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @foreign_element_type(%x: tensor<2xcomplex<f32>>) {
  // expected-error @below {{ix.add: operands must be ranked tensors of an element type of ix, got tensor<2xcomplex<f32>>}}
  %0 = "ix.add"(%x, %x) : (tensor<2xcomplex<f32>>, tensor<2xcomplex<f32>>) -> tensor<2xcomplex<f32>>
  return
}

// -----

func.func @unranked_operand(%x: tensor<*xf32>) {
  // expected-error @below {{ix.exp: operands must be ranked tensors of an element type of ix, got tensor<*xf32>}}
  %0 = "ix.exp"(%x) : (tensor<*xf32>) -> tensor<*xf32>
  return
}
