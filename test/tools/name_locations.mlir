// RUN: ix-opt %s --mlir-use-nameloc-as-prefix | FileCheck %s
// RUN: ix-opt %s | FileCheck %s --check-prefix=PLAIN

// CHECK: %sum = arith.addi
// PLAIN: %0 = arith.addi
func.func @f(%a: i32) -> i32 {
  %0 = arith.addi %a, %a : i32 loc("sum"(unknown))
  return %0 : i32
}
