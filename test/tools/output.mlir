// RUN: ix-opt %s -p cse -o %t.mlir
// RUN: cat %t.mlir | FileCheck %s
// A run that fails leaves the file of an earlier one alone.
// RUN: not ix-opt %s -p 'gpu-module-to-binary{format=nonsense}' -o %t.mlir
// RUN: cat %t.mlir | FileCheck %s
// RUN: not ix-opt %s -o no-such-folder/x.mlir 2>&1 | FileCheck %s --check-prefix=FOLDER

// CHECK: gpu.module @m
// FOLDER: ix-opt: error: {{.*}}No such file or directory
module attributes {gpu.container_module} {
  gpu.module @m [#nvvm.target] {
  }
}
