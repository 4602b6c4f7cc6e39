// RUN: ix-opt %s --stage=ptx | FileCheck %s

// One long row is shared by many blocks: each leaves its total in scratch and counts; the
// last one adds the totals. No total is added by an atomic: the order would not be fixed.

// CHECK-LABEL: .visible .entry ix_
// CHECK-NOT:     add.f32
// CHECK:         ld.global.nc.v4.b32
// CHECK:         shfl.sync.bfly.b32
// CHECK:         st.global.b32
// CHECK:         fence.acq_rel.gpu;
// CHECK:         atom.{{.*}}add.u32
// CHECK:         shfl.sync.bfly.b32
// CHECK:         st.global.b32
// CHECK-NOT:   .entry
module attributes {ix.target = "sm_90a"} {
  func.func @main(%x: tensor<1x1048576xf32>) -> tensor<1xf32> {
    %0 = "ix.reduce_sum"(%x) {axes = [1], keepdims = false} : (tensor<1x1048576xf32>) -> tensor<1xf32>
    return %0 : tensor<1xf32>
  }
}
