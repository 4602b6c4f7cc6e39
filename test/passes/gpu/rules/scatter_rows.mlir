// RUN: ix-opt %s --stage=ptx | FileCheck %s

// A few rows written into many: a thread copies some rows, 16 bytes at a time, then takes
// the updates of these. It owns what it writes: no barrier, no atomic.

// CHECK-LABEL: .visible .entry ix_scatter_
// CHECK-NOT:     {{bar.sync|atom.}}
// CHECK:         ld.global.nc.v4.b32
// CHECK:         st.global.v4.b32
// CHECK-NOT:     {{bar.sync|atom.}}
// CHECK:         st.global.v4.b32
// CHECK-NOT:     {{bar.sync|atom.}}
// CHECK:         ret;
module attributes {ix.target = "sm_90a"} {
  func.func @main(%x: tensor<512x128xf32>, %i: tensor<4x1xi64>, %u: tensor<4x128xf32>) -> tensor<512x128xf32> {
    %0 = "ix.scatter_nd"(%x, %i, %u) {reduction = "none"} : (tensor<512x128xf32>, tensor<4x1xi64>, tensor<4x128xf32>) -> tensor<512x128xf32>
    return %0 : tensor<512x128xf32>
  }
}
