// RUN: ix-opt %s --stage=ptx | FileCheck %s

// A running sum takes a warp a line: lanes pass their totals on by shuffles.

// CHECK-LABEL: .visible .entry ix_scan_
// CHECK:         shfl.sync.
// CHECK-NOT:     atom.
// CHECK:         st.global
module attributes {ix.target = "sm_90a"} {
  func.func @main(%x: tensor<9x200xf32>) -> tensor<9x200xf32> {
    %0 = "ix.cumsum"(%x) {axis = 1 : i64, exclusive = false, reverse = false} : (tensor<9x200xf32>) -> tensor<9x200xf32>
    return %0 : tensor<9x200xf32>
  }
}
