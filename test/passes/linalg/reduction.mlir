// RUN: ix-opt %s -p ix-lower-to-linalg | FileCheck %s

// Short floats accumulate in f32; the cast back is a generic of its own.
// CHECK-LABEL: func.func @sum_of_short_floats
// CHECK:         linalg.fill ins(%{{.*}} : f32) outs(%{{.*}} : tensor<2xf32>)
// CHECK:         linalg.generic {{.*}} iterator_types = ["parallel", "reduction", "reduction"]
// CHECK:           arith.extf %{{.*}} : f16 to f32
// CHECK-NEXT:      arith.addf %{{.*}} : f32
// CHECK:         linalg.generic {{.*}} iterator_types = ["parallel"]
// CHECK-NEXT:    ^bb0
// CHECK-NEXT:      arith.truncf %{{.*}} : f32 to f16
// CHECK:         tensor.expand_shape %{{.*}} {{\[\[}}0, 1, 2]] output_shape [2, 1, 1]
func.func @sum_of_short_floats(%x: tensor<2x?x4xf16>) -> tensor<2x1x1xf16> {
  %0 = "ix.reduce_sum"(%x) {axes = [1, 2], keepdims = true} : (tensor<2x?x4xf16>) -> tensor<2x1x1xf16>
  return %0 : tensor<2x1x1xf16>
}

// CHECK-LABEL: func.func @no_axes_stays
// CHECK-SAME:    (%[[X:.*]]: tensor<2xf32>)
// CHECK-NOT:     linalg.generic
// CHECK:         return %[[X]]
func.func @no_axes_stays(%x: tensor<2xf32>) -> tensor<2xf32> {
  %0 = "ix.reduce_mean"(%x) {axes = [], keepdims = false} : (tensor<2xf32>) -> tensor<2xf32>
  return %0 : tensor<2xf32>
}

// CHECK-LABEL: func.func @dynamic_count_divides_the_mean
// CHECK:         %[[SIZE:.*]] = tensor.dim
// CHECK:         linalg.generic
// CHECK:         arith.sitofp %{{.*}} : i64 to f32
// CHECK:         linalg.generic
// CHECK:           arith.divf
func.func @dynamic_count_divides_the_mean(%x: tensor<2x?xf32>) -> tensor<2xf32> {
  %0 = "ix.reduce_mean"(%x) {axes = [1], keepdims = false} : (tensor<2x?xf32>) -> tensor<2xf32>
  return %0 : tensor<2xf32>
}

// CHECK-LABEL: func.func @maximum_propagates_nan
// CHECK-DAG:     %[[LOWEST:.*]] = arith.constant 0xFF800000 : f32
// CHECK:         linalg.fill ins(%[[LOWEST]] : f32)
// CHECK:         arith.maximumf
func.func @maximum_propagates_nan(%x: tensor<2x3xf32>) -> tensor<2xf32> {
  %0 = "ix.reduce_max"(%x) {axes = [1], keepdims = false} : (tensor<2x3xf32>) -> tensor<2xf32>
  return %0 : tensor<2xf32>
}

// CHECK-LABEL: func.func @unsigned_minimum
// CHECK-SAME:    tensor<2x3xi8>
// CHECK:         arith.constant -1 : i8
// CHECK:         arith.minui
func.func @unsigned_minimum(%x: tensor<2x3xui8>) -> tensor<2xui8> {
  %0 = "ix.reduce_min"(%x) {axes = [1], keepdims = false} : (tensor<2x3xui8>) -> tensor<2xui8>
  return %0 : tensor<2xui8>
}

// CHECK-LABEL: func.func @logical
// CHECK:         arith.ori
// CHECK:         arith.andi
func.func @logical(%x: tensor<2x3xi1>) -> (tensor<2xi1>, tensor<2xi1>) {
  %0 = "ix.reduce_any"(%x) {axes = [1], keepdims = false} : (tensor<2x3xi1>) -> tensor<2xi1>
  %1 = "ix.reduce_all"(%x) {axes = [1], keepdims = false} : (tensor<2x3xi1>) -> tensor<2xi1>
  return %0, %1 : tensor<2xi1>, tensor<2xi1>
}

// The extremum, then the first place that holds it; i32 while the axis allows.
// CHECK-LABEL: func.func @place_of_the_maximum
// CHECK-SAME:    (%[[X:.*]]: tensor<2x3xf32>)
// CHECK:         %[[BEST:.*]] = linalg.generic
// CHECK:           arith.maximumf
// CHECK:         %[[NONE:.*]] = arith.constant 2147483647 : i32
// CHECK:         linalg.generic {{.*}} ins(%[[X]], %[[BEST]] :
// CHECK:           linalg.index 1
// CHECK:           arith.cmpf oeq
// CHECK:           arith.cmpf uno
// CHECK:           arith.select
// CHECK:           arith.minsi
// CHECK:         arith.extsi %{{.*}} : i32 to i64
func.func @place_of_the_maximum(%x: tensor<2x3xf32>) -> tensor<2xi64> {
  %0 = "ix.argmax"(%x) {axis = 1 : i64, keepdims = false, select_last = false} : (tensor<2x3xf32>) -> tensor<2xi64>
  return %0 : tensor<2xi64>
}

// CHECK-LABEL: func.func @ordering_stays
// CHECK:         "ix.sort"
// CHECK:         "ix.cumsum"
func.func @ordering_stays(%x: tensor<2x3xf32>) -> (tensor<2x3xf32>, tensor<2x3xf32>) {
  %0:2 = "ix.sort"(%x) {axis = 1 : i64, descending = false} : (tensor<2x3xf32>) -> (tensor<2x3xf32>, tensor<2x3xi64>)
  %1 = "ix.cumsum"(%x) {axis = 1 : i64, exclusive = false, reverse = false} : (tensor<2x3xf32>) -> tensor<2x3xf32>
  return %0#0, %1 : tensor<2x3xf32>, tensor<2x3xf32>
}

// CHECK-LABEL: func.func @the_sum_of_nothing_is_filled
// CHECK:         linalg.fill
// CHECK-NOT:     linalg.generic
// CHECK:         return
func.func @the_sum_of_nothing_is_filled(%x: tensor<2x0xf32>) -> tensor<2xf32> {
  %0 = "ix.reduce_sum"(%x) {axes = [1], keepdims = false} : (tensor<2x0xf32>) -> tensor<2xf32>
  return %0 : tensor<2xf32>
}
