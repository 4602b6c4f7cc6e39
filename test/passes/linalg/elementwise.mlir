// RUN: ix-opt %s -p ix-lower-to-linalg --split-input-file | FileCheck %s

// A static 1 that stretches is read at 0; shorter shapes align at the last axis.
// CHECK-DAG: #[[A:.*]] = affine_map<(d0, d1) -> (d0, 0)>
// CHECK-DAG: #[[B:.*]] = affine_map<(d0, d1) -> (d1)>
// CHECK-DAG: #[[C:.*]] = affine_map<(d0, d1) -> (d0, d1)>
// CHECK-LABEL: func.func @broadcast_in_the_maps
// CHECK-SAME:    (%[[X:.*]]: tensor<?x1xf32>, %[[Y:.*]]: tensor<4xf32>)
// CHECK:         %[[N:.*]] = tensor.dim %[[X]], %c0
// CHECK:         %[[E:.*]] = tensor.empty(%[[N]]) : tensor<?x4xf32>
// CHECK:         linalg.generic {indexing_maps = [#[[A]], #[[B]], #[[C]]], iterator_types = ["parallel", "parallel"]} ins(%[[X]], %[[Y]] : {{.*}}) outs(%[[E]] :
// CHECK-NEXT:    ^bb0(%[[P:.*]]: f32, %[[Q:.*]]: f32, %{{.*}}: f32):
// CHECK-NEXT:      %[[R:.*]] = arith.subf %[[P]], %[[Q]] : f32
// CHECK-NEXT:      linalg.yield %[[R]]
func.func @broadcast_in_the_maps(%x: tensor<?x1xf32>, %y: tensor<4xf32>) -> tensor<?x4xf32> {
  %0 = "ix.sub"(%x, %y) : (tensor<?x1xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// -----

// CHECK-LABEL: func.func @constants_are_captured
// CHECK:         %[[TWO:.*]] = arith.constant 2.000000e+00 : f32
// CHECK:         linalg.generic {{.*}} ins(%{{.*}} : tensor<4xf32>)
// CHECK:           arith.mulf %{{.*}}, %[[TWO]]
// CHECK-NOT:     dense
func.func @constants_are_captured(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = "ix.constant"() {value = dense<2.0> : tensor<f32>} : () -> tensor<f32>
  %1 = "ix.mul"(%x, %0) : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  return %1 : tensor<4xf32>
}

// -----

// CHECK-LABEL: func.func @narrow_floats_compute_in_f32
// CHECK:           %[[W:.*]] = arith.extf %{{.*}} : bf16 to f32
// CHECK-NEXT:      %[[T:.*]] = math.tanh %[[W]] : f32
// CHECK-NEXT:      arith.truncf %[[T]] : f32 to bf16
func.func @narrow_floats_compute_in_f32(%x: tensor<4xbf16>) -> tensor<4xbf16> {
  %0 = "ix.tanh"(%x) : (tensor<4xbf16>) -> tensor<4xbf16>
  return %0 : tensor<4xbf16>
}

// -----

// CHECK-LABEL: func.func @max_propagates_nan
// CHECK:           arith.maximumf
func.func @max_propagates_nan(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = "ix.max"(%x, %x) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// -----

// The divisor of divsi is never 0 or -1.
// CHECK-LABEL: func.func @division_cannot_trap
// CHECK:           %[[ZERO:.*]] = arith.cmpi eq, %[[B:.*]], %c0_i32
// CHECK:           %[[MINUS:.*]] = arith.cmpi eq, %[[B]], %c-1_i32
// CHECK:           %[[S:.*]] = arith.select %[[ZERO]], %{{.*}}, %[[B]]
// CHECK:           %[[D:.*]] = arith.select %[[MINUS]], %{{.*}}, %[[S]]
// CHECK:           arith.divsi %{{.*}}, %[[D]]
func.func @division_cannot_trap(%x: tensor<4xi32>) -> tensor<4xi32> {
  %0 = "ix.div"(%x, %x) : (tensor<4xi32>, tensor<4xi32>) -> tensor<4xi32>
  return %0 : tensor<4xi32>
}

// -----

// CHECK-LABEL: func.func @rounding_of_integers_vanishes
// CHECK-NEXT:    return %{{.*}} : tensor<4xi32>
func.func @rounding_of_integers_vanishes(%x: tensor<4xi32>) -> tensor<4xi32> {
  %0 = "ix.floor"(%x) : (tensor<4xi32>) -> tensor<4xi32>
  return %0 : tensor<4xi32>
}

// -----

// CHECK-LABEL: func.func @casts_of_equal_bits_vanish
// CHECK-NEXT:    return %{{.*}} : tensor<4xi8>
func.func @casts_of_equal_bits_vanish(%x: tensor<4xui8>) -> tensor<4xi8> {
  %0 = "ix.cast"(%x) : (tensor<4xui8>) -> tensor<4xi8>
  return %0 : tensor<4xi8>
}

// -----

// The last op says which function was written out, and of what.
// CHECK-LABEL: func.func @gelu_is_written_out
// CHECK:         ^bb0(%[[X:.*]]: f32, %{{.*}}: f32):
// CHECK:           math.erf
// CHECK:           arith.mulf %[[X]], %{{.*}} {ix.function = "gelu_erf"}
func.func @gelu_is_written_out(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = "ix.gelu"(%x) {approximate = "none"} : (tensor<4xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}
