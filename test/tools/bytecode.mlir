// RUN: ix-opt %s --emit-bytecode -o %t.mlirbc
// RUN: ix-opt %t.mlirbc --cse | FileCheck %s
// RUN: ix-opt %s --emit-bytecode --emit-bytecode-version=3 | ix-opt - -p cse | FileCheck %s
// RUN: ix-opt %s --emit-bytecode --elide-resource-data-from-bytecode | ix-opt | FileCheck %s --check-prefix=ELIDED
// RUN: ix-opt %t.mlirbc | FileCheck %s --check-prefix=KEPT
// RUN: not ix-opt %s --emit-bytecode --emit-bytecode-version=9999 2>&1 | FileCheck %s --check-prefix=VERSION

// CHECK: arith.constant dense_resource<blob>
// KEPT: dialect_resources
// ELIDED: arith.constant dense_resource<
// ELIDED-NOT: 0x0400000001000000
// VERSION: ix-opt: error: --emit-bytecode-version: Unable to honor desired bytecode version 9999
func.func @f() -> tensor<1xi32> {
  %0 = arith.constant dense_resource<blob> : tensor<1xi32>
  return %0 : tensor<1xi32>
}

{-#
  dialect_resources: {
    builtin: {
      blob: "0x0400000001000000"
    }
  }
#-}
