// RUN: ix-opt %s -p ix-lower-to-linalg | FileCheck %s

// CHECK-DAG: #[[A:.*]] = affine_map<(d0, d1, d2, d3, d4) -> (d0, 0, d2, d4)>
// CHECK-DAG: #[[B:.*]] = affine_map<(d0, d1, d2, d3, d4) -> (d1, d3, d4)>
// CHECK-DAG: #[[C:.*]] = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3)>

// Broadcasts and transposes are in the maps: nothing is copied.
// CHECK-LABEL: func.func @broadcast_and_transposed
// CHECK-NOT:     transpose
// CHECK:         linalg.generic {indexing_maps = [#[[A]], #[[B]], #[[C]]], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]}
// CHECK-NEXT:    ^bb0(%[[X:.*]]: f16, %[[Y:.*]]: f16, %[[T:.*]]: f32):
// CHECK-NEXT:      %[[XE:.*]] = arith.extf %[[X]]
// CHECK-NEXT:      %[[YE:.*]] = arith.extf %[[Y]]
// CHECK-NEXT:      %[[P:.*]] = arith.mulf %[[XE]], %[[YE]]
// CHECK-NEXT:      arith.addf %[[T]], %[[P]]
// CHECK:         arith.truncf %{{.*}} : f32 to f16
func.func @broadcast_and_transposed(%a: tensor<3x1x4x?xf16>, %b: tensor<2x6x?xf16>) -> tensor<3x2x4x6xf16> {
  %0 = "ix.matmul"(%a, %b) {transpose_a = false, transpose_b = true} : (tensor<3x1x4x?xf16>, tensor<2x6x?xf16>) -> tensor<3x2x4x6xf16>
  return %0 : tensor<3x2x4x6xf16>
}

// CHECK-LABEL: func.func @sum_stays_in_f32
// CHECK-NOT:     arith.truncf
// CHECK:         return %{{.*}} : tensor<2x2xf32>
func.func @sum_stays_in_f32(%a: tensor<2x3xbf16>, %b: tensor<3x2xbf16>) -> tensor<2x2xf32> {
  %0 = "ix.matmul"(%a, %b) {transpose_a = false, transpose_b = false} : (tensor<2x3xbf16>, tensor<3x2xbf16>) -> tensor<2x2xf32>
  return %0 : tensor<2x2xf32>
}

// CHECK-LABEL: func.func @signed_times_unsigned
// CHECK:         ^bb0(%[[X:.*]]: i8, %[[Y:.*]]: i8, %{{.*}}: i32):
// CHECK-NEXT:      arith.extsi %[[X]] : i8 to i32
// CHECK-NEXT:      arith.extui %[[Y]] : i8 to i32
func.func @signed_times_unsigned(%a: tensor<2x3xi8>, %b: tensor<3x2xui8>) -> tensor<2x2xi32> {
  %0 = "ix.matmul"(%a, %b) {transpose_a = false, transpose_b = false} : (tensor<2x3xi8>, tensor<3x2xui8>) -> tensor<2x2xi32>
  return %0 : tensor<2x2xi32>
}

// CHECK-LABEL: func.func @dot_general
// CHECK:         linalg.generic {{.*}} iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]
// CHECK-SAME:      outs(%{{.*}} : tensor<4x2x3x6xf32>)
func.func @dot_general(%a: tensor<2x3x4x5xf32>, %b: tensor<5x6x4xf32>) -> tensor<4x2x3x6xf32> {
  %0 = "ix.dot_general"(%a, %b) {batch_a = [2], batch_b = [2], contract_a = [3], contract_b = [0]} : (tensor<2x3x4x5xf32>, tensor<5x6x4xf32>) -> tensor<4x2x3x6xf32>
  return %0 : tensor<4x2x3x6xf32>
}
