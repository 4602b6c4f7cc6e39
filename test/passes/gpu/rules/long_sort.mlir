// RUN: ix-opt %s --stage=ptx | FileCheck %s

// A line of three parts: each block sorts one, leaves its keys, and counts; who comes last
// merges. Nobody waits for another block: no loop has a load of the counter in it.

// CHECK-LABEL: .visible .entry ix_long_sort_
// CHECK:         .shared .align 16 .b8 keys_0[32768];
// CHECK:         bar.sync 0;
// CHECK:         st.global.b64
// CHECK:         bar.sync 0;
// CHECK:         fence.acq_rel.gpu;
// CHECK:         atom.{{.*}}add.u32
// CHECK:         fence.acq_rel.gpu;
// CHECK-NOT:     atom.
// CHECK:         ret;
module attributes {ix.target = "sm_90a"} {
  func.func @main(%x: tensor<2x9000xf32>) -> (tensor<2x9000xf32>, tensor<2x9000xi64>) {
    %0, %1 = "ix.sort"(%x) {axis = 1 : i64, descending = false} : (tensor<2x9000xf32>) -> (tensor<2x9000xf32>, tensor<2x9000xi64>)
    return %0, %1 : tensor<2x9000xf32>, tensor<2x9000xi64>
  }
}
