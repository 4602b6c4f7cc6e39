// RUN: ix-opt %s --stage=ptx --split-input-file | FileCheck %s

// Elements of one line: the last update of each wins by an atomic maximum of numbers, so
// that it does not matter which thread comes first. Each element is written once.

// CHECK-LABEL: .visible .entry ix_scatter_
// CHECK:         st.shared.b32
// CHECK:         bar.sync 0;
// CHECK:         atom.shared.max.s32
// CHECK:         bar.sync 0;
// CHECK:         ld.shared.b32
// CHECK:         st.global.b32
// CHECK-NOT:     st.global
// CHECK:         ret;
module attributes {ix.target = "sm_90a"} {
  func.func @main(%x: tensor<10000xf32>, %i: tensor<900xi64>, %u: tensor<900xf32>) -> tensor<10000xf32> {
    %0 = "ix.scatter"(%x, %i, %u) {axis = 0 : i64, reduction = "none"} : (tensor<10000xf32>, tensor<900xi64>, tensor<900xf32>) -> tensor<10000xf32>
    return %0 : tensor<10000xf32>
  }
}

// -----

// Sums are added in the order of the updates, never by an atomic addition.

// CHECK-LABEL: .visible .entry ix_scatter_
// CHECK-NOT:     {{atom.*add}}
// CHECK:         atom.shared.min.u32
// CHECK:         bar.sync 0;
// CHECK:         add.rn.f32
// CHECK:         st.shared.b32
// CHECK-NOT:     {{atom.*add}}
// CHECK:         ret;
module attributes {ix.target = "sm_80"} {
  func.func @main(%x: tensor<10000xf32>, %i: tensor<900xi64>, %u: tensor<900xf32>) -> tensor<10000xf32> {
    %0 = "ix.scatter"(%x, %i, %u) {axis = 0 : i64, reduction = "add"} : (tensor<10000xf32>, tensor<900xi64>, tensor<900xf32>) -> tensor<10000xf32>
    return %0 : tensor<10000xf32>
  }
}
