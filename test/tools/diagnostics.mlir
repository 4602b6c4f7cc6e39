// Diagnostics name the file and its own lines, in every chunk, with the source below.
// RUN: not ix-opt %s --split-input-file 2>&1 | FileCheck %s
// RUN: not ix-opt %s --split-input-file --mlir-print-op-on-diagnostic=false 2>&1 | FileCheck %s --check-prefix=NO-OP
// RUN: not ix-opt < %s -split-input-file 2>&1 | FileCheck %s --check-prefix=STDIN

// CHECK:      {{^.*}}diagnostics.mlir:16:23: error: use of undeclared SSA value name
// CHECK-NEXT: {{^}}  %0 = arith.addi %a, %b : i32
// CHECK-NEXT: {{^}}                      ^
// CHECK:      {{^.*}}diagnostics.mlir:24:3: error: type of return operand 0 ('i32') doesn't match
// CHECK:      {{^.*}}diagnostics.mlir:24:3: note: see current operation: "func.return"
// NO-OP-NOT:  see current operation
// STDIN:      {{^}}<stdin>:16:23: error: use of undeclared

// -----
func.func @undeclared(%a: i32) -> i32 {
  %0 = arith.addi %a, %b : i32
  return %0 : i32
}

// -----


func.func @wrong_type(%a: i32) -> i64 {
  return %a : i32
}
