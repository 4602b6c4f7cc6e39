// RUN: ix-opt %s -p ix-lower-to-linalg,ix-form-kernels,ix-emit-loops | FileCheck %s

// Kernels become loops on memrefs; what lies between them, views of one arena. The weight
// is packed in panels of two vectors of the target.

// CHECK-LABEL: func.func @main
// CHECK-SAME:    (%[[X:.*]]: memref<4x8xf32>, %[[Y:.*]]: memref<4x8xf32>, %[[W:.*]]: memref<1x8x16xf32>, %[[ARENA:.*]]: memref<128xi8>,
// CHECK:         %[[T:.*]] = memref.view %[[ARENA]]
// CHECK:         call @kernel_0(%[[X]], %[[W]], %[[T]],
// CHECK:         call @kernel_1(%{{.*}}, %[[Y]],
// CHECK:       func.func private @kernel_0
// CHECK:         vector.fma
// CHECK:       func.func private @kernel_1
// CHECK:         vector.reduction <maxnumf>
// CHECK-NOT:   linalg.generic
module attributes {ix.target = "cpu:avx2"} {
  func.func @main(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
    %w = "ix.parameter"() {name = "w"} : () -> tensor<8x8xf32>
    %0 = "ix.matmul"(%x, %w) {transpose_a = false, transpose_b = false} : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
    %1 = "ix.softmax"(%0) {axis = 1} : (tensor<4x8xf32>) -> tensor<4x8xf32>
    return %1 : tensor<4x8xf32>
  }
}
