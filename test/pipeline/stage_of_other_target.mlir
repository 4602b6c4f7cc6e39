// RUN: not ix-opt %s --stage=loops 2>&1 | FileCheck %s
// RUN: ix-opt %s --stage=nvvm | FileCheck %s --check-prefix=NVVM

// CHECK: ix-opt: error: there is no stage 'loops' for the target sm_80; stages: import, graph, precision, sparsity, linalg, schedule, gpu, nvvm, ptx
// NVVM:  llvm.func @kernel
module attributes {ix.target = "sm_80"} {
  func.func @main(%a: tensor<4xf32>) -> tensor<4xf32> {
    %0 = "ix.exp"(%a) : (tensor<4xf32>) -> tensor<4xf32>
    return %0 : tensor<4xf32>
  }
}
