// RUN: ix-opt %s --stage=gpu | FileCheck %s

// What no rule of GPUs takes runs an item a thread, with the loops that a CPU runs: all
// threads of the grid step through the items, and call the body for one at a time.

// CHECK-LABEL: gpu.module @kernel_0
// CHECK:         func.func @body({{.*}}: index, %[[LOW:[^:]*]]: index, %[[HIGH:[^:]*]]: index)
// CHECK:           scf.for %{{.*}} = %[[LOW]] to %[[HIGH]]
// CHECK:         gpu.func @kernel
// CHECK:           %[[BLOCK:.*]] = gpu.block_id x
// CHECK:           scf.for %[[ITEM:.*]] = %{{.*}} to %{{.*}} step
// CHECK:             %[[NEXT:.*]] = arith.addi %[[ITEM]],
// CHECK:             func.call @body({{.*}}, %[[ITEM]], %[[NEXT]])
// CHECK-NOT:       gpu.barrier
module attributes {ix.target = "sm_90a", ix.dims = {n = [1, 64]}} {
  func.func @main(%x: tensor<?x8xf32> {ix.dims = ["n", ""]}, %i: tensor<?x3xi64> {ix.dims = ["n", ""]}, %u: tensor<?x3xf32> {ix.dims = ["n", ""]}) -> tensor<?x8xf32> {
    %0 = "ix.scatter"(%x, %i, %u) {axis = 1 : i64, reduction = "add"} : (tensor<?x8xf32>, tensor<?x3xi64>, tensor<?x3xf32>) -> tensor<?x8xf32>
    return %0 : tensor<?x8xf32>
  }
}
