// RUN: ix-opt %s -p cse,canonicalize --mlir-print-ir-before-all 2>&1 >/dev/null | FileCheck %s --check-prefix=BEFORE
// RUN: ix-opt %s -p cse,canonicalize --mlir-print-ir-after-all 2>&1 >/dev/null | FileCheck %s --check-prefix=AFTER
// RUN: ix-opt %s -p cse,canonicalize --mlir-print-ir-before=canonicalize 2>&1 >/dev/null | FileCheck %s --check-prefix=ONE
// RUN: ix-opt %s -p cse,canonicalize,cse --mlir-print-ir-after=canonicalize,symbol-dce 2>&1 >/dev/null | FileCheck %s --check-prefix=ONE-AFTER
// RUN: ix-opt %s -p cse,canonicalize --mlir-print-ir-after-change 2>&1 >/dev/null | FileCheck %s --check-prefix=CHANGE
// RUN: ix-opt %s -p 'func.func(canonicalize)' --mlir-print-ir-after-all 2>&1 >/dev/null | FileCheck %s --check-prefix=NESTED
// RUN: ix-opt %s -p 'func.func(canonicalize)' --mlir-print-ir-after-all --mlir-print-ir-module-scope 2>&1 >/dev/null | FileCheck %s --check-prefix=SCOPE

// BEFORE:      // -----// IR Dump Before cse //----- //
// BEFORE-NEXT: module {
// BEFORE:      arith.constant
// BEFORE:      // -----// IR Dump Before canonicalize //----- //
// AFTER:       // -----// IR Dump After cse //----- //
// AFTER:       // -----// IR Dump After canonicalize //----- //
// ONE-NOT:     cse
// ONE:         // -----// IR Dump Before canonicalize //----- //
// ONE-NOT:     Dump
// ONE-AFTER-NOT: cse
// ONE-AFTER:     // -----// IR Dump After canonicalize //----- //
// ONE-AFTER-NOT: cse

// Both passes would remove the dead constant, so only the first changes anything.
// CHANGE:      IR Dump After cse
// CHANGE-NOT:  IR Dump
// NESTED:      // -----// IR Dump After canonicalize //----- //
// NESTED-NEXT: func.func @f
// SCOPE:       // -----// IR Dump After canonicalize ('func.func' operation: @f) //----- //
// SCOPE-NEXT:  module {
func.func @f() {
  %0 = arith.constant 1 : i32
  return
}
