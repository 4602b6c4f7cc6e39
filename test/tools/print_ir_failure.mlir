// RUN: not ix-opt %s -p 'cse,gpu-module-to-binary{format=nonsense}' --mlir-print-ir-after-failure 2>&1 | FileCheck %s

// CHECK-NOT: IR Dump After cse
// CHECK:     error: Invalid format specified: 'nonsense'
// CHECK:     // -----// IR Dump After gpu-module-to-binary Failed //----- //
module attributes {gpu.container_module} {
  gpu.module @m [#nvvm.target] {
  }
}
