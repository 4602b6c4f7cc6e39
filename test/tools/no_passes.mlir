// Without a pass the input comes out as it is, dead code and all.
// RUN: ix-opt %s | FileCheck %s
// RUN: ix-opt %s --pass-pipeline='builtin.module()' | FileCheck %s

// CHECK-LABEL: func.func @dead_code_stays
func.func @dead_code_stays() {
  // CHECK-NEXT: arith.constant
  %0 = arith.constant 1 : i32
  return
}
