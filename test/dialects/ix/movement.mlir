// RUN: ix-opt %s | ix-opt | FileCheck %s

// CHECK-LABEL: func.func @shapes
func.func @shapes(%x: tensor<?x4xf32>, %r: tensor<1x4xf32>, %v: tensor<f32>, %n: index) {
  // CHECK: "ix.broadcast"(%{{.*}}, %{{.*}}) {shape = [3, -9223372036854775808, 4]} : (tensor<1x4xf32>, index) -> tensor<3x?x4xf32>
  %0 = "ix.broadcast"(%r, %n) {shape = [3, -9223372036854775808, 4]} : (tensor<1x4xf32>, index) -> tensor<3x?x4xf32>
  // CHECK: "ix.reshape"(%{{.*}}, %{{.*}}) {shape = [-9223372036854775808, 2, 2]} : (tensor<?x4xf32>, index) -> tensor<?x2x2xf32>
  %1 = "ix.reshape"(%x, %n) {shape = [-9223372036854775808, 2, 2]} : (tensor<?x4xf32>, index) -> tensor<?x2x2xf32>
  // CHECK: "ix.transpose"(%{{.*}}) {permutation = [1, 0]} : (tensor<?x4xf32>) -> tensor<4x?xf32>
  %2 = "ix.transpose"(%x) {permutation = [1, 0]} : (tensor<?x4xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.concat"(%{{.*}}, %{{.*}}, %{{.*}}) {axis = 0 : i64} : (tensor<?x4xf32>, tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<?x4xf32>
  %3 = "ix.concat"(%x, %r, %r) {axis = 0 : i64} : (tensor<?x4xf32>, tensor<1x4xf32>, tensor<1x4xf32>) -> tensor<?x4xf32>
  // CHECK: "ix.iota"(%{{.*}}) {axis = 1 : i64} : (index) -> tensor<?x3xui8>
  %4 = "ix.iota"(%n) {axis = 1 : i64} : (index) -> tensor<?x3xui8>
  // CHECK: "ix.dim"(%{{.*}}) {axis = 0 : i64} : (tensor<?x4xf32>) -> index
  %5 = "ix.dim"(%x) {axis = 0 : i64} : (tensor<?x4xf32>) -> index
  return
}

// CHECK-LABEL: func.func @parts
func.func @parts(%x: tensor<?x4xf32>, %v: tensor<f32>, %n: index) {
  // The start of axis 0 comes before the limit of axis 1.
  // CHECK: "ix.slice"(%{{.*}}, %{{.*}}, %{{.*}}) {limits = [5, -9223372036854775808], starts = [-9223372036854775808, 1], strides = [2, 1]} : (tensor<?x4xf32>, index, index) -> tensor<?x?xf32>
  %0 = "ix.slice"(%x, %n, %n) {limits = [5, -9223372036854775808], starts = [-9223372036854775808, 1], strides = [2, 1]} : (tensor<?x4xf32>, index, index) -> tensor<?x?xf32>
  // CHECK: "ix.split"(%{{.*}}) {axis = 1 : i64, sizes = [2, 2]} : (tensor<?x4xf32>) -> (tensor<?x2xf32>, tensor<?x2xf32>)
  %1:2 = "ix.split"(%x) {axis = 1 : i64, sizes = [2, 2]} : (tensor<?x4xf32>) -> (tensor<?x2xf32>, tensor<?x2xf32>)
  // CHECK: "ix.pad"(%{{.*}}, %{{.*}}) {high = [0, 2], low = [1, 1], mode = "constant"} : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x7xf32>
  %2 = "ix.pad"(%x, %v) {high = [0, 2], low = [1, 1], mode = "constant"} : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x7xf32>
  // CHECK: "ix.pad"(%{{.*}}, %{{.*}}) {high = [0, 3], low = [0, 3], mode = "reflect"} : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x10xf32>
  %3 = "ix.pad"(%x, %v) {high = [0, 3], low = [0, 3], mode = "reflect"} : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x10xf32>
  // CHECK: "ix.flip"(%{{.*}}) {axes = [0, 1]} : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %4 = "ix.flip"(%x) {axes = [0, 1]} : (tensor<?x4xf32>) -> tensor<?x4xf32>
  // CHECK: "ix.tile"(%{{.*}}) {repeats = [2, 3]} : (tensor<?x4xf32>) -> tensor<?x12xf32>
  %5 = "ix.tile"(%x) {repeats = [2, 3]} : (tensor<?x4xf32>) -> tensor<?x12xf32>
  return
}

// CHECK-LABEL: func.func @indices
func.func @indices(%x: tensor<?x4x5xf32>, %i: tensor<2x3xi32>, %j: tensor<7x1x5xi64>, %u: tensor<2x4x5xf32>, %p: tensor<2x1xi64>) {
  // CHECK: "ix.gather"(%{{.*}}, %{{.*}}) {axis = 1 : i64} : (tensor<?x4x5xf32>, tensor<2x3xi32>) -> tensor<?x2x3x5xf32>
  %0 = "ix.gather"(%x, %i) {axis = 1 : i64} : (tensor<?x4x5xf32>, tensor<2x3xi32>) -> tensor<?x2x3x5xf32>
  // CHECK: "ix.take_along_axis"(%{{.*}}, %{{.*}}) {axis = 0 : i64} : (tensor<?x4x5xf32>, tensor<7x1x5xi64>) -> tensor<7x4x5xf32>
  %1 = "ix.take_along_axis"(%x, %j) {axis = 0 : i64} : (tensor<?x4x5xf32>, tensor<7x1x5xi64>) -> tensor<7x4x5xf32>
  // CHECK: "ix.gather_nd"(%{{.*}}, %{{.*}}) {batch_dims = 0 : i64} : (tensor<?x4x5xf32>, tensor<2x3xi32>) -> tensor<2xf32>
  %2 = "ix.gather_nd"(%x, %i) {batch_dims = 0 : i64} : (tensor<?x4x5xf32>, tensor<2x3xi32>) -> tensor<2xf32>
  // CHECK: "ix.gather_nd"(%{{.*}}, %{{.*}}) {batch_dims = 0 : i64} : (tensor<2x4x5xf32>, tensor<2x3xi32>) -> tensor<2xf32>
  %3 = "ix.gather_nd"(%u, %i) {batch_dims = 0 : i64} : (tensor<2x4x5xf32>, tensor<2x3xi32>) -> tensor<2xf32>
  // CHECK: "ix.scatter_nd"(%{{.*}}, %{{.*}}, %{{.*}}) {reduction = "add"} : (tensor<?x4x5xf32>, tensor<2x1xi64>, tensor<2x4x5xf32>) -> tensor<?x4x5xf32>
  %4 = "ix.scatter_nd"(%x, %p, %u) {reduction = "add"} : (tensor<?x4x5xf32>, tensor<2x1xi64>, tensor<2x4x5xf32>) -> tensor<?x4x5xf32>
  return
}

// CHECK-LABEL: func.func @scatter
func.func @scatter(%x: tensor<4x5xi8>, %i: tensor<9x3xi64>, %u: tensor<9x3xi8>) {
  // CHECK: "ix.scatter"(%{{.*}}, %{{.*}}, %{{.*}}) {axis = 0 : i64, reduction = "max"} : (tensor<4x5xi8>, tensor<9x3xi64>, tensor<9x3xi8>) -> tensor<4x5xi8>
  %0 = "ix.scatter"(%x, %i, %u) {axis = 0 : i64, reduction = "max"} : (tensor<4x5xi8>, tensor<9x3xi64>, tensor<9x3xi8>) -> tensor<4x5xi8>
  return
}

// CHECK-LABEL: func.func @resize
func.func @resize(%x: tensor<1x3x?x8xf32>, %n: index) {
  // CHECK: "ix.resize"(%{{.*}}, %{{.*}}) {antialias = false, coordinates = "half_pixel", cubic_coefficient = -7.500000e-01 : f64, mode = "cubic", nearest = "floor", scales = [1.000000e+00, 1.000000e+00, 0.000000e+00, 2.000000e+00], shape = [1, 3, -9223372036854775808, 16]} : (tensor<1x3x?x8xf32>, index) -> tensor<1x3x?x16xf32>
  %0 = "ix.resize"(%x, %n) {antialias = false, coordinates = "half_pixel", cubic_coefficient = -7.500000e-01 : f64, mode = "cubic", nearest = "floor", scales = [1.000000e+00, 1.000000e+00, 0.000000e+00, 2.000000e+00], shape = [1, 3, -9223372036854775808, 16]} : (tensor<1x3x?x8xf32>, index) -> tensor<1x3x?x16xf32>
  return
}
