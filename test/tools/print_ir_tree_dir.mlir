// RUN: ix-opt %s -p 'symbol-dce,func.func(cse,canonicalize)' --mlir-print-ir-after-all --mlir-print-ir-tree-dir=%t.dir -o /dev/null
// RUN: cat %t.dir/builtin_module_outer/0_symbol-dce.mlir | FileCheck %s
// RUN: cat %t.dir/builtin_module_outer/func_func_f/0_cse.mlir | FileCheck %s --check-prefix=CSE
// RUN: cat %t.dir/builtin_module_outer/func_func_f/1_canonicalize.mlir | FileCheck %s --check-prefix=CANONICALIZE

// RUN: cat %t.dir/builtin_module_outer/func_func____escape/0_cse.mlir | FileCheck %s --check-prefix=ESCAPE

// ESCAPE: func.func @"../escape"
// CHECK: IR Dump After symbol-dce
// CHECK: module @outer
// CSE: IR Dump After cse
// CSE-NEXT: func.func @f
// CANONICALIZE: IR Dump After canonicalize
module @outer {
  func.func @f() {
    return
  }
  func.func @"../escape"() {
    return
  }
}
