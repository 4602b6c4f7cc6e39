// RUN: ix-opt %s -p cse,canonicalize --mlir-pass-statistics 2>&1 >/dev/null | FileCheck %s

// CHECK:      ... Pass statistics report ...
// CHECK:      ----Ops before → after----  ----Name----
// CHECK-NEXT: 5 → 4{{ +}}(-1){{ +}}cse
// CHECK-NEXT: 4 → 4{{ +}}(+0){{ +}}canonicalize
func.func @f(%a: i32) -> i32 {
  %0 = arith.addi %a, %a : i32
  %1 = arith.addi %a, %a : i32
  %2 = arith.muli %0, %1 : i32
  return %2 : i32
}
