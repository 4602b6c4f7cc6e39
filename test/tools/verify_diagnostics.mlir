// RUN: ix-opt %s --split-input-file --verify-diagnostics > /dev/null
// RUN: ix-opt %s -split-input-file -verify-diagnostics=only-expected > /dev/null

func.func @on_this_line(%a: i32) -> i32 {
  return %b : i32  // expected-error {{use of undeclared SSA value name}}
}

// -----

func.func @relative(%a: i32) -> i64 {
  // expected-error @+2 {{type of return operand 0 ('i32') doesn't match}}
  // a line between
  return %a : i32
}

// -----

func.func @below(%a: i32) -> i64 {
  // expected-error @below {{type of return operand 0}}
  return %a : i32
}

// -----

func.func @above(%a: i32) -> i64 {
  return %a : i32
  // expected-error @above {{type of return operand 0}}
}

// -----

func.func @upwards(%a: i32) -> i64 {
  return %a : i32

  // expected-error-re @-2 {{return operand {{[0-9]+}} ('i{{(8|32)}}') doesn't}}
}

// -----

func.func @warning_is_a_severity_of_its_own() {
  return
}

{-#
  external_resources: {
    // expected-warning @below {{ignoring unknown external resources for 'somebody'}}
    somebody: {
      key: "value"
    }
  }
#-}
