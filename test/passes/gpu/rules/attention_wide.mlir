// RUN: ix-opt %s --stage=gpu | FileCheck %s

// Rows of 64 columns of keys and 512 of values do not fit shared memory: chunks of 32
// columns go through it. There is one launch, and no score in memory.

// CHECK:       func.func @main({{.*}}, %{{[a-z0-9]+}}: memref<1xi8>, %{{[a-z0-9]+}}: memref<1xi8>)
// CHECK:         gpu.launch_func
// CHECK-NOT:     gpu.launch_func
// CHECK:       gpu.module @kernel_0
// CHECK-DAG:     memref.global "private" @keys : memref<32x33xf32, #gpu.address_space<workgroup>>
// CHECK-DAG:     memref.global "private" @values : memref<32x32xf32, #gpu.address_space<workgroup>>
// CHECK-DAG:     memref.global "private" @queries : memref<16x64xf32, #gpu.address_space<workgroup>>
module attributes {ix.target = "sm_90a"} {
  func.func @main(%q: tensor<1x2x40x64xf32>, %k: tensor<1x2x48x64xf32>, %v: tensor<1x2x48x512xf32>) -> tensor<1x2x40x512xf32> {
    %0 = "ix.attention"(%q, %k, %v) {scale = 0.1 : f64, causal = false, has_mask = false} : (tensor<1x2x40x64xf32>, tensor<1x2x48x64xf32>, tensor<1x2x48x512xf32>) -> tensor<1x2x40x512xf32>
    return %0 : tensor<1x2x40x512xf32>
  }
}
