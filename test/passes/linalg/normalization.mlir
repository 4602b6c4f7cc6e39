// RUN: ix-opt %s -p ix-lower-to-linalg | FileCheck %s

// CHECK-DAG: #[[ALL:.*]] = affine_map<(d0, d1) -> (d0, d1)>
// CHECK-DAG: #[[ROW:.*]] = affine_map<(d0, d1) -> (d0)>

// CHECK-LABEL: func.func @softmax
// CHECK-SAME:    (%[[X:.*]]: tensor<?x8xf16>)
// CHECK:         %[[MAX:.*]] = linalg.generic {indexing_maps = [#[[ALL]], #[[ROW]]], iterator_types = ["parallel", "reduction"]}
// CHECK:           arith.maxnumf %{{.*}} : f16
// CHECK:         %[[EXP:.*]] = linalg.generic {indexing_maps = [#[[ALL]], #[[ROW]], #[[ALL]]], iterator_types = ["parallel", "parallel"]} ins(%[[X]], %[[MAX]] :
// CHECK:           arith.subf %{{.*}} : f32
// CHECK:           math.exp %{{.*}} {ix.function = "exp_non_positive"} : f32
// CHECK:         %[[SUM:.*]] = linalg.generic {{.*}} ins(%[[EXP]] : tensor<?x8xf32>)
// CHECK:           arith.addf
// CHECK:         %[[INVERSE:.*]] = linalg.generic {{.*}} ins(%[[SUM]] :
// CHECK:           arith.divf %{{.*}} : f32
// CHECK:         linalg.generic {{.*}} ins(%[[EXP]], %[[INVERSE]] :
// CHECK:           arith.mulf %{{.*}} : f32
// CHECK-NEXT:      arith.truncf %{{.*}} : f32 to f16
// CHECK-NOT:     linalg.generic
func.func @softmax(%x: tensor<?x8xf16>) -> tensor<?x8xf16> {
  %0 = "ix.softmax"(%x) {axis = 1 : i64} : (tensor<?x8xf16>) -> tensor<?x8xf16>
  return %0 : tensor<?x8xf16>
}

// CHECK-LABEL: func.func @log_softmax
// CHECK:         arith.maxnumf
// CHECK:         math.exp
// CHECK:         arith.addf
// CHECK:         math.log
func.func @log_softmax(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %0 = "ix.log_softmax"(%x) {axis = 1 : i64} : (tensor<4x8xf32>) -> tensor<4x8xf32>
  return %0 : tensor<4x8xf32>
}

// The mean is subtracted before squaring; products and the sums they go into may be one
// fma.
// CHECK-LABEL: func.func @layer_norm
// CHECK:         arith.addf
// CHECK:         arith.divf
// CHECK:         %[[C:.*]] = arith.subf
// CHECK-NEXT:    arith.mulf %[[C]], %[[C]] fastmath<contract>
// CHECK-NEXT:    arith.addf {{.*}} fastmath<contract>
// CHECK:         math.rsqrt
// CHECK:         arith.subf
// CHECK-NEXT:    arith.mulf
// CHECK-NEXT:    arith.mulf {{.*}} fastmath<contract>
// CHECK-NEXT:    arith.addf {{.*}} fastmath<contract>
func.func @layer_norm(%x: tensor<4x8xf32>, %w: tensor<8xf32>, %b: tensor<8xf32>) -> tensor<4x8xf32> {
  %0 = "ix.layer_norm"(%x, %w, %b) {axis = 1 : i64, epsilon = 1.0e-05 : f64, has_scale = true, has_bias = true} : (tensor<4x8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<4x8xf32>
  return %0 : tensor<4x8xf32>
}

// CHECK-LABEL: func.func @rms_norm_has_no_mean
// CHECK-NOT:     arith.subf
// CHECK:         math.rsqrt
// CHECK-NOT:     arith.subf
// CHECK:         return
func.func @rms_norm_has_no_mean(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %0 = "ix.rms_norm"(%x) {axis = 1 : i64, epsilon = 1.0e-05 : f64, has_scale = false} : (tensor<4x8xf32>) -> tensor<4x8xf32>
  return %0 : tensor<4x8xf32>
}

// CHECK-LABEL: func.func @group_norm_splits_the_channels
// CHECK:         tensor.expand_shape %{{.*}} {{\[\[}}0], [1, 2], [3]] output_shape [2, 2, 3, 5]
// CHECK:         tensor.expand_shape %{{.*}} {{\[\[}}0, 1]] output_shape [2, 3]
// CHECK:         tensor.collapse_shape %{{.*}} {{\[\[}}0], [1, 2], [3]]
func.func @group_norm_splits_the_channels(%x: tensor<2x6x5xf32>, %w: tensor<6xf32>) -> tensor<2x6x5xf32> {
  %0 = "ix.group_norm"(%x, %w) {groups = 2 : i64, epsilon = 1.0e-05 : f64, has_scale = true, has_bias = false} : (tensor<2x6x5xf32>, tensor<6xf32>) -> tensor<2x6x5xf32>
  return %0 : tensor<2x6x5xf32>
}

// CHECK-LABEL: func.func @batch_norm_scales_each_feature_once
// CHECK:         linalg.generic {{.*}} iterator_types = ["parallel"]
// CHECK:           math.rsqrt
// CHECK:         linalg.generic {{.*}} iterator_types = ["parallel", "parallel"]
// CHECK-NOT:       math.rsqrt
// CHECK:         return
func.func @batch_norm_scales_each_feature_once(%x: tensor<2x6xf32>, %c: tensor<6xf32>) -> tensor<2x6xf32> {
  %0 = "ix.batch_norm"(%x, %c, %c, %c, %c) {axis = 1 : i64, epsilon = 1.0e-05 : f64} : (tensor<2x6xf32>, tensor<6xf32>, tensor<6xf32>, tensor<6xf32>, tensor<6xf32>) -> tensor<2x6xf32>
  return %0 : tensor<2x6xf32>
}
