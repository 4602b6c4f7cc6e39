// RUN: ix-opt %s -p ix-lower-to-linalg,ix-form-kernels,ix-emit-gpu --split-input-file --verify-diagnostics | FileCheck %s

// Kernels become a gpu.module each, what lies between them views of one arena, and a call
// a launch with as many blocks as the kernel's rule asks for.

// CHECK-LABEL: module attributes {gpu.container_module
// CHECK:       func.func @main
// CHECK-SAME:    (%[[X:.*]]: memref<4x8xf32>, %[[Y:.*]]: memref<4x8xf32>, %[[W:.*]]: memref<8x8xf32>, %[[ARENA:.*]]: memref<128xi8>, %[[SCRATCH:[^:]*]]: memref<
// CHECK:         %[[T:.*]] = memref.view %[[ARENA]]
// CHECK:         gpu.launch_func @kernel_0::@kernel
// CHECK-SAME:      args(%[[X]] : memref<4x8xf32>, %[[W]] : memref<8x8xf32>, %[[T]] :
// CHECK:         gpu.launch_func @kernel_1::@kernel
// CHECK-SAME:      %[[Y]] : memref<4x8xf32>, %{{.*}} : memref<{{.*}}xi8>)
// CHECK:       gpu.module @kernel_0
// CHECK-SAME:    ix.launch =
// CHECK:         gpu.func @kernel({{.*}}) kernel attributes {known_block_size
// CHECK:       gpu.module @kernel_1
// CHECK:         gpu.func @kernel
// CHECK-NOT:   linalg.generic
module attributes {ix.target = "sm_90a"} {
  func.func @main(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
    %w = "ix.parameter"() {name = "w"} : () -> tensor<8x8xf32>
    %0 = "ix.matmul"(%x, %w) {transpose_a = false, transpose_b = false} : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
    %1 = "ix.softmax"(%0) {axis = 1} : (tensor<4x8xf32>) -> tensor<4x8xf32>
    return %1 : tensor<4x8xf32>
  }
}

// -----

// Equal kernels are one module; a declared dimension decides about the blocks.

// CHECK:       func.func @main({{.*}}, %[[N:[^:]*]]: index)
// CHECK:         gpu.launch_func @kernel_0::@kernel
// CHECK:         gpu.launch_func @kernel_0::@kernel
// CHECK-NOT:   gpu.module @kernel_1
module attributes {ix.target = "sm_80", ix.dims = {n = [1, 64]}} {
  func.func @main(%x: tensor<?x4xf32> {ix.dims = ["n", ""]}, %y: tensor<?x4xf32> {ix.dims = ["n", ""]}) -> (tensor<?x4xf32>, tensor<?x4xf32>) {
    %0 = "ix.exp"(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
    %1 = "ix.exp"(%y) : (tensor<?x4xf32>) -> tensor<?x4xf32>
    return %0, %1 : tensor<?x4xf32>, tensor<?x4xf32>
  }
}

// -----

// expected-error @below {{'builtin.module' needs a GPU as its target, but ix.target is cpu:avx2; for example "sm_90a"}}
module attributes {ix.target = "cpu:avx2"} {
  func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
    return %x : tensor<4xf32>
  }
}

// -----

// expected-error @below {{'builtin.module' needs the attribute ix.target, but has none; for example "sm_90a"}}
module {
  func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
    return %x : tensor<4xf32>
  }
}
