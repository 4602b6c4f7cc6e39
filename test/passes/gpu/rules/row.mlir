// RUN: ix-opt %s --stage=ptx --split-input-file | FileCheck %s

// A softmax reads its row once, 16 bytes a thread, and combines 16 threads by shuffles:
// four for the maximum, four for the sum. No shared memory, no barrier.

// CHECK-LABEL: .visible .entry ix_row_
// CHECK-NOT:     .shared
// CHECK:         ld.global.nc.v4.b32
// CHECK-NOT:     {{ld.global|bar.sync}}
// CHECK-COUNT-8: shfl.sync.bfly.b32
// CHECK-NOT:     {{ld.global|bar.sync|shfl}}
// CHECK:         st.global.v4.b32
// CHECK-NOT:     {{ld.global|st.global|bar.sync}}
// CHECK:         ret;
module attributes {ix.target = "sm_90a"} {
  func.func @main(%x: tensor<33x64xf32>) -> tensor<33x64xf32> {
    %0 = "ix.softmax"(%x) {axis = 1 : i64} : (tensor<33x64xf32>) -> tensor<33x64xf32>
    return %0 : tensor<33x64xf32>
  }
}

// -----

// A long row takes several warps: they meet in shared memory, once for each reduction.

// CHECK-LABEL: .visible .entry ix_row_
// CHECK:         .shared
// CHECK:         ld.global.nc.v4.b32
// CHECK-COUNT-5: shfl.sync.bfly.b32
// CHECK:         st.shared.b32
// CHECK:         bar.sync 0;
// CHECK:         ld.shared
// CHECK-COUNT-5: shfl.sync.bfly.b32
// CHECK:         bar.sync 0;
// CHECK-NOT:     bar.sync
// CHECK:         ret;
module attributes {ix.target = "sm_90a"} {
  func.func @main(%x: tensor<4x4096xf32>) -> tensor<4x4096xf32> {
    %0 = "ix.softmax"(%x) {axis = 1 : i64} : (tensor<4x4096xf32>) -> tensor<4x4096xf32>
    return %0 : tensor<4x4096xf32>
  }
}

// -----

// What registers cannot hold of a row stays in shared memory, which the launch asks for.
// Each of the thread's ten vectors is read once.

// CHECK:          .extern .shared .align 16 .b8 __dynamic_shmem__0[];
// CHECK-LABEL:    .visible .entry ix_row_
// CHECK-COUNT-10: ld.global.nc.v4.b32
// CHECK-NOT:      ld.global
// CHECK:          ld.shared.v4.b32
// CHECK-NOT:      ld.global
// CHECK:          ret;
module attributes {ix.target = "sm_80"} {
  func.func @main(%x: tensor<2x40000xf32>) -> tensor<2x40000xf32> {
    %0 = "ix.softmax"(%x) {axis = 1 : i64} : (tensor<2x40000xf32>) -> tensor<2x40000xf32>
    return %0 : tensor<2x40000xf32>
  }
}
