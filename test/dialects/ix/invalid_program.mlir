// RUN: ix-opt %s --split-input-file --verify-diagnostics > /dev/null

func.func @nameless_parameter() {
  // expected-error @below {{ix.parameter: name must not be empty}}
  %0 = "ix.parameter"() {name = ""} : () -> tensor<2xf32>
  return
}

// -----

func.func @dynamic_parameter() {
  // expected-error @below {{ix.parameter: a parameter must have static sizes, got tensor<?xf32>}}
  %0 = "ix.parameter"() {name = "w"} : () -> tensor<?xf32>
  return
}

// -----

func.func @constant_of_a_number() {
  // expected-error @below {{ix.constant: value must be dense elements, got 2 : i64}}
  %0 = "ix.constant"() {value = 2 : i64} : () -> tensor<i64>
  return
}

// -----

func.func @constant_of_another_type() {
  // expected-error @below {{ix.constant: result must be tensor<2xf32>, got tensor<1x2xf32>}}
  %0 = "ix.constant"() {value = dense<0.0> : tensor<2xf32>} : () -> tensor<1x2xf32>
  return
}

// -----

func.func @constant_of_a_foreign_type() {
  // expected-error @below {{ix.constant: operands must be ranked tensors of an element type of ix, got tensor<2xi7>}}
  %0 = "ix.constant"() {value = dense<0> : tensor<2xi7>} : () -> tensor<2xi7>
  return
}
