// RUN: ix-opt %s --stage=ptx --split-input-file | FileCheck %s

// A thread reads and writes 16 bytes at once, through the read-only cache.

// CHECK-LABEL: .visible .entry ix_elementwise_
// CHECK:         ld.global.nc.v4.b32
// CHECK-NOT:     ld.global
// CHECK:         add.rn.f32
// CHECK:         add.rn.f32
// CHECK:         add.rn.f32
// CHECK:         add.rn.f32
// CHECK:         st.global.v4.b32
// CHECK-NOT:     st.global
// CHECK:         ret;
module attributes {ix.target = "sm_90a"} {
  func.func @main(%x: tensor<16x64xf32>) -> tensor<16x64xf32> {
    %0 = "ix.add"(%x, %x) : (tensor<16x64xf32>, tensor<16x64xf32>) -> tensor<16x64xf32>
    return %0 : tensor<16x64xf32>
  }
}

// -----

// A tail that is no whole vector is taken one element at a time, behind a test; short
// floats fill 16 bytes too.

// CHECK-LABEL: .visible .entry ix_elementwise_
// CHECK:         setp.{{.*}}.u32
// CHECK:         ld.global.nc.v4.b32
// CHECK:         st.global.v4.b32
// CHECK:         ld.global.nc.b16
// CHECK:         st.global.b16
module attributes {ix.target = "sm_90a"} {
  func.func @main(%x: tensor<1003xf16>) -> tensor<1003xf16> {
    %0 = "ix.neg"(%x) : (tensor<1003xf16>) -> tensor<1003xf16>
    return %0 : tensor<1003xf16>
  }
}

// -----

// Rows whose starts are not aligned are read one element a thread: a vector would fall
// into single accesses that neighbouring threads do not share.

// CHECK-LABEL: .visible .entry ix_elementwise_
// CHECK-NOT:   .v4
// CHECK:         ld.global.nc.b32
// CHECK-NOT:   .v4
// CHECK:         st.global.b32
// CHECK-NOT:   .v4
// CHECK:         ret;
module attributes {ix.target = "sm_90a"} {
  func.func @main(%x: tensor<16x7xf32>) -> tensor<16x5xf32> {
    %0 = "ix.slice"(%x) {starts = [0, 1], limits = [16, 6], strides = [1, 1]} : (tensor<16x7xf32>) -> tensor<16x5xf32>
    %1 = "ix.neg"(%0) : (tensor<16x5xf32>) -> tensor<16x5xf32>
    return %1 : tensor<16x5xf32>
  }
}
