// A failing run leaves a file that holds the module as it came in and the pipeline.
// RUN: not ix-opt %s -p 'canonicalize,gpu-module-to-binary{format=nonsense}' --mlir-pass-pipeline-crash-reproducer=%t.mlir 2>/dev/null
// RUN: cat %t.mlir | FileCheck %s
// RUN: not ix-opt %t.mlir --run-reproducer 2>&1 | FileCheck %s --check-prefix=AGAIN
// RUN: not ix-opt %s --run-reproducer 2>&1 | FileCheck %s --check-prefix=NONE

// A run that succeeds leaves none.
// RUN: ix-opt %s -p canonicalize --mlir-pass-pipeline-crash-reproducer=%t.ok.mlir -o /dev/null
// RUN: not cat %t.ok.mlir

// CHECK:      arith.constant
// CHECK:      0x0400000001000000
// CHECK:      mlir_reproducer: {
// CHECK-NEXT:   pipeline: "builtin.module(canonicalize,gpu-module-to-binary{format=nonsense})",
// CHECK-NEXT:   disable_threading: true,
// CHECK-NEXT:   verify_each: true
// AGAIN-NOT:  ignoring unknown
// AGAIN:      pass 'gpu-module-to-binary{format=nonsense}' failed
// NONE:       ix-opt: error: --run-reproducer needs a file that holds a pipeline
module attributes {gpu.container_module} {
  gpu.module @m [#nvvm.target] {
  }
  func.func @dead_code() {
    %0 = arith.constant dense_resource<blob> : tensor<1xi32>
    return
  }
}

{-#
  dialect_resources: {
    builtin: {
      blob: "0x0400000001000000"
    }
  }
#-}
