// RUN: ix-opt %s --stage=ptx | FileCheck %s
// RUN: ix-opt %s --stage=gpu | FileCheck %s --check-prefix=GPU

// One launch, and no scores in memory: the arena is empty, scores live in registers and
// weights in shared memory. A tile of keys has three barriers.

// GPU:       func.func @main({{.*}}, %{{[a-z0-9]+}}: memref<1xi8>, %{{[a-z0-9]+}}: memref<1xi8>)
// GPU:         gpu.launch_func
// GPU-NOT:     gpu.launch_func
// GPU:       gpu.module @kernel_0
// GPU:         scf.for
// GPU:           gpu.barrier
// GPU:           gpu.shuffle xor
// GPU:           gpu.barrier
// GPU:           gpu.barrier
// GPU-NOT:       gpu.barrier

// CHECK-LABEL: .visible .entry ix_attention_
// CHECK-DAG:     .shared .align 16 .b8 queries[
// CHECK-DAG:     .shared .align 16 .b8 keys[
// CHECK-DAG:     .shared .align 16 .b8 values[
// CHECK-DAG:     .shared .align 16 .b8 weights[
// CHECK:         ld.global.nc.v4.b32
// CHECK:         fma.rn.f32
// CHECK:         shfl.sync.bfly.b32
// CHECK:         st.global
// CHECK-NOT:   .entry
module attributes {ix.target = "sm_90a"} {
  func.func @main(%q: tensor<1x2x40x32xf32>, %k: tensor<1x2x48x32xf32>, %v: tensor<1x2x48x32xf32>) -> tensor<1x2x40x32xf32> {
    %0 = "ix.attention"(%q, %k, %v) {scale = 0.1 : f64, causal = false, has_mask = false} : (tensor<1x2x40x32xf32>, tensor<1x2x48x32xf32>, tensor<1x2x48x32xf32>) -> tensor<1x2x40x32xf32>
    return %0 : tensor<1x2x40x32xf32>
  }
}
