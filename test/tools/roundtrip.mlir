// RUN: ix-opt %s --verify-roundtrip | FileCheck %s
// RUN: ix-opt %s --verify-roundtrip --canonicalize | FileCheck %s

// CHECK-LABEL: func.func @aliases_and_nested_locations
#map = affine_map<(d0) -> (d0)>
func.func @aliases_and_nested_locations(%a: tensor<4xf32> loc("argument")) -> tensor<4xf32> {
  %0 = tensor.empty() : tensor<4xf32> loc(fused["a", "b"("c":1:2)])
  // CHECK: linalg.generic
  %1 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel"]} ins(%a : tensor<4xf32>) outs(%0 : tensor<4xf32>) {
  ^bb0(%in: f32, %out: f32):
    %2 = arith.negf %in : f32
    linalg.yield %2 : f32
  } -> tensor<4xf32>
  return %1 : tensor<4xf32>
}
