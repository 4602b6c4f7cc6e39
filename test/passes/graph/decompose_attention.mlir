// RUN: ix-opt %s -p ix-decompose-attention | FileCheck %s
// RUN: ix-opt %s -p 'ix-decompose-attention{all=true}' | FileCheck %s --check-prefix=ALL

// CHECK-LABEL: func.func @what_the_kernel_takes_stays
// CHECK-NEXT:    "ix.attention"
// ALL-LABEL:   func.func @what_the_kernel_takes_stays
// ALL-NOT:       ix.attention
// ALL:           "ix.matmul"(%{{.*}}, %{{.*}}) {transpose_a = false, transpose_b = true}
// ALL:           "ix.mul"
// ALL-NEXT:      "ix.softmax"(%{{.*}}) {axis = 3 : i64}
// ALL-NEXT:      "ix.matmul"
// ALL-NEXT:      return
func.func @what_the_kernel_takes_stays(%q: tensor<?x4x5x16xf32>, %k: tensor<?x4x7x16xf32>, %v: tensor<?x4x7x8xf32>) -> tensor<?x4x5x8xf32> {
  %0 = "ix.attention"(%q, %k, %v) {scale = 0.25 : f64, causal = false, has_mask = false} : (tensor<?x4x5x16xf32>, tensor<?x4x7x16xf32>, tensor<?x4x7x8xf32>) -> tensor<?x4x5x8xf32>
  return %0 : tensor<?x4x5x8xf32>
}

// CHECK-LABEL: func.func @dynamic_depth_is_decomposed
// CHECK-NOT:     ix.attention
// CHECK:         return
func.func @dynamic_depth_is_decomposed(%q: tensor<1x4x5x?xf32>, %k: tensor<1x4x7x?xf32>, %v: tensor<1x4x7x8xf32>) -> tensor<1x4x5x8xf32> {
  %0 = "ix.attention"(%q, %k, %v) {scale = 0.25 : f64, causal = false, has_mask = false} : (tensor<1x4x5x?xf32>, tensor<1x4x7x?xf32>, tensor<1x4x7x8xf32>) -> tensor<1x4x5x8xf32>
  return %0 : tensor<1x4x5x8xf32>
}

// CHECK-LABEL: func.func @no_kernel_for_f64
// CHECK-NOT:     ix.attention
// CHECK:         return
func.func @no_kernel_for_f64(%q: tensor<1x4x5x16xf64>) -> tensor<1x4x5x16xf64> {
  %0 = "ix.attention"(%q, %q, %q) {scale = 0.25 : f64, causal = false, has_mask = false} : (tensor<1x4x5x16xf64>, tensor<1x4x5x16xf64>, tensor<1x4x5x16xf64>) -> tensor<1x4x5x16xf64>
  return %0 : tensor<1x4x5x16xf64>
}

// Scores stay in f32 up to the result.
// ALL-LABEL: func.func @short_floats_with_a_mask
// ALL:         "ix.matmul"(%{{.*}}) {{.*}} -> tensor<1x4x5x7xf32>
// ALL:         "ix.select"(%arg3, %{{.*}}, %{{.*}}) : (tensor<5x7xi1>, tensor<1x4x5x7xf32>, tensor<f32>)
// ALL:         "ix.softmax"
// ALL:         "ix.reduce_max"
// ALL:         "ix.eq"
// ALL:         "ix.select"
// ALL:         "ix.matmul"(%{{.*}}) {{.*}} -> tensor<1x4x5x8xf32>
// ALL-NEXT:    "ix.cast"(%{{.*}}) : (tensor<1x4x5x8xf32>) -> tensor<1x4x5x8xf16>
func.func @short_floats_with_a_mask(%q: tensor<1x4x5x16xf16>, %k: tensor<1x4x7x16xf16>, %v: tensor<1x4x7x8xf16>, %m: tensor<5x7xi1>) -> tensor<1x4x5x8xf16> {
  %0 = "ix.attention"(%q, %k, %v, %m) {scale = 0.25 : f64, causal = false, has_mask = true} : (tensor<1x4x5x16xf16>, tensor<1x4x7x16xf16>, tensor<1x4x7x8xf16>, tensor<5x7xi1>) -> tensor<1x4x5x8xf16>
  return %0 : tensor<1x4x5x8xf16>
}

// With no more queries than keys, each row sees a key.
// ALL-LABEL: func.func @causal_rows_see_a_key
// ALL-COUNT-2: "ix.flip"
// ALL:         "ix.ge"
// ALL:         "ix.softmax"
// ALL-NOT:     "ix.reduce_max"
// ALL:         return
func.func @causal_rows_see_a_key(%q: tensor<1x4x5x16xf32>, %k: tensor<1x4x7x16xf32>) -> tensor<1x4x5x16xf32> {
  %0 = "ix.attention"(%q, %k, %k) {scale = 0.25 : f64, causal = true, has_mask = false} : (tensor<1x4x5x16xf32>, tensor<1x4x7x16xf32>, tensor<1x4x7x16xf32>) -> tensor<1x4x5x16xf32>
  return %0 : tensor<1x4x5x16xf32>
}

// Query heads are grouped by the head of keys they share.
// ALL-LABEL: func.func @grouped_heads
// ALL:         "ix.reshape"(%arg0) {shape = [1, 2, 2, 5, 16]}
// ALL:         "ix.reshape"(%arg1) {shape = [1, 2, 1, 7, 16]}
// ALL:         "ix.matmul"(%{{.*}}) {{.*}} -> tensor<1x2x2x5x7xf32>
func.func @grouped_heads(%q: tensor<1x4x5x16xf32>, %k: tensor<1x2x7x16xf32>) -> tensor<1x4x5x16xf32> {
  %0 = "ix.attention"(%q, %k, %k) {scale = 0.25 : f64, causal = false, has_mask = false} : (tensor<1x4x5x16xf32>, tensor<1x2x7x16xf32>, tensor<1x2x7x16xf32>) -> tensor<1x4x5x16xf32>
  return %0 : tensor<1x4x5x16xf32>
}
