// RUN: ix-opt %s --stage=ptx | FileCheck %s

// Both sides of a transpose are read and written along their own last axis: elements
// change hands in shared memory, with one barrier for the tile.

// CHECK-LABEL: .visible .entry ix_transpose_
// CHECK:         .shared .align 16 .b8
// CHECK:         ld.global.nc.
// CHECK:         st.shared
// CHECK:         bar.sync 0;
// CHECK-NOT:     bar.sync
// CHECK:         ld.shared
// CHECK:         st.global
module attributes {ix.target = "sm_90a"} {
  func.func @main(%x: tensor<96x160xf32>) -> tensor<160x96xf32> {
    %0 = "ix.transpose"(%x) {permutation = [1, 0]} : (tensor<96x160xf32>) -> tensor<160x96xf32>
    return %0 : tensor<160x96xf32>
  }
}
