// RUN: ix-opt %s --stage=ptx | FileCheck %s

// A sum over the first axis: neighbouring threads read neighbouring elements, and each
// keeps its own sum; nobody waits.

// CHECK-LABEL: .visible .entry ix_reduce_
// CHECK-NOT:     {{bar.sync|atom.}}
// CHECK:         ld.global.nc.
// CHECK:         add.rn.f32
// CHECK:         st.global
// CHECK-NOT:     {{bar.sync|atom.}}
// CHECK:         ret;
module attributes {ix.target = "sm_90a"} {
  func.func @main(%x: tensor<40x256xf32>) -> tensor<256xf32> {
    %0 = "ix.reduce_sum"(%x) {axes = [0], keepdims = false} : (tensor<40x256xf32>) -> tensor<256xf32>
    return %0 : tensor<256xf32>
  }
}
