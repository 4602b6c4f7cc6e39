// RUN: not ix-opt %s --split-input-file --verify-diagnostics 2>&1 | FileCheck %s
// RUN: not ix-opt %s --split-input-file --verify-diagnostics=only-expected 2>&1 | FileCheck %s --check-prefix=ONLY

// CHECK:     verify_diagnostics_fails.mlir:19:10: error: unexpected error: use of undeclared SSA value name
// CHECK:     verify_diagnostics_fails.mlir:17:4: error: expected error "not what is said" was not produced
// CHECK:     verify_diagnostics_fails.mlir:23:10: error: unexpected error: use of undeclared
// CHECK:     verify_diagnostics_fails.mlir:29:10: error: unexpected error: use of undeclared
// CHECK:     verify_diagnostics_fails.mlir:28:6: error: expected warning "use of undeclared" was not produced
// CHECK:     verify_diagnostics_fails.mlir:34:6: error: expected error "nothing is wrong" was not produced
// ONLY-NOT:  unexpected error
// ONLY:      expected error "not what is said" was not produced
// ONLY-NOT:  unexpected error
// ONLY:      expected error "nothing is wrong" was not produced
// ONLY-NOT:  unexpected error

// -----
// expected-error @+2 {{not what is said}}
func.func @another_message(%a: i32) -> i32 {
  return %b : i32
}
// -----
func.func @no_comment(%a: i32) -> i32 {
  return %b : i32
}
// -----

func.func @another_severity(%a: i32) -> i32 {
  // expected-warning @below {{use of undeclared}}
  return %b : i32
}
// -----

func.func @no_diagnostic() {
  // expected-error @below {{nothing is wrong}}
  return
}
