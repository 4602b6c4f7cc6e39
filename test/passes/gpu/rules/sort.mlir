// RUN: ix-opt %s --stage=ptx | FileCheck %s

// A line is sorted in shared memory: barriers part the steps of the network.

// CHECK-LABEL: .visible .entry ix_sort_
// CHECK:         .shared .align 16 .b8
// CHECK:         st.shared
// CHECK:         bar.sync 0;
// CHECK:         ld.shared
// CHECK:         st.global
module attributes {ix.target = "sm_90a"} {
  func.func @main(%x: tensor<9x200xf32>) -> (tensor<9x200xf32>, tensor<9x200xi64>) {
    %0, %1 = "ix.sort"(%x) {axis = 1 : i64, descending = false} : (tensor<9x200xf32>) -> (tensor<9x200xf32>, tensor<9x200xi64>)
    return %0, %1 : tensor<9x200xf32>, tensor<9x200xi64>
  }
}
