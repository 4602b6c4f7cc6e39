// RUN: ix-opt %s --no-implicit-module --pass-pipeline='func.func(canonicalize)' | FileCheck %s
// RUN: ix-opt %s --no-implicit-module -p canonicalize | FileCheck %s
// RUN: ix-opt %s -p canonicalize | FileCheck %s --check-prefix=MODULE
// RUN: not ix-opt %s --no-implicit-module --pass-pipeline='builtin.module(cse)' 2>&1 | FileCheck %s --check-prefix=ROOT

// CHECK-NOT: module
// CHECK: func.func @dead_code_vanishes() {
// CHECK-NEXT: return
// MODULE: module {
// ROOT: the pass pipeline is for 'builtin.module', but the input is 'func.func'
func.func @dead_code_vanishes() {
  %0 = arith.constant 1 : i32
  return
}
