// RUN: ix-opt %s -p ix-recognize-attention | FileCheck %s

// CHECK-LABEL: func.func @scaled_scores
// CHECK-NEXT: "ix.attention"(%arg0, %arg1, %arg2) {causal = false, has_mask = false, scale = 5.000000e-01 : f64}
// CHECK-NEXT: return
func.func @scaled_scores(%q: tensor<2x4x5x8xf32>, %k: tensor<2x4x6x8xf32>, %v: tensor<2x4x6x3xf32>) -> tensor<2x4x5x3xf32> {
  %c = "ix.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %qk = "ix.matmul"(%q, %k) {transpose_a = false, transpose_b = true} : (tensor<2x4x5x8xf32>, tensor<2x4x6x8xf32>) -> tensor<2x4x5x6xf32>
  %s = "ix.mul"(%qk, %c) : (tensor<2x4x5x6xf32>, tensor<f32>) -> tensor<2x4x5x6xf32>
  %p = "ix.softmax"(%s) {axis = 3 : i64} : (tensor<2x4x5x6xf32>) -> tensor<2x4x5x6xf32>
  %0 = "ix.matmul"(%p, %v) {transpose_a = false, transpose_b = false} : (tensor<2x4x5x6xf32>, tensor<2x4x6x3xf32>) -> tensor<2x4x5x3xf32>
  return %0 : tensor<2x4x5x3xf32>
}

// CHECK-LABEL: func.func @transposed_keys_and_scaled_queries
// CHECK-NEXT: "ix.attention"(%arg0, %arg1, %arg2) {causal = false, has_mask = false, scale = 5.000000e-01 : f64}
// CHECK-NEXT: return
func.func @transposed_keys_and_scaled_queries(%q: tensor<2x4x5x8xf32>, %k: tensor<2x4x6x8xf32>, %v: tensor<2x4x6x3xf32>) -> tensor<2x4x5x3xf32> {
  %c = "ix.constant"() {value = dense<2.0> : tensor<f32>} : () -> tensor<f32>
  %qs = "ix.div"(%q, %c) : (tensor<2x4x5x8xf32>, tensor<f32>) -> tensor<2x4x5x8xf32>
  %kt = "ix.transpose"(%k) {permutation = [0, 1, 3, 2]} : (tensor<2x4x6x8xf32>) -> tensor<2x4x8x6xf32>
  %qk = "ix.matmul"(%qs, %kt) {transpose_a = false, transpose_b = false} : (tensor<2x4x5x8xf32>, tensor<2x4x8x6xf32>) -> tensor<2x4x5x6xf32>
  %p = "ix.softmax"(%qk) {axis = 3 : i64} : (tensor<2x4x5x6xf32>) -> tensor<2x4x5x6xf32>
  %0 = "ix.matmul"(%p, %v) {transpose_a = false, transpose_b = false} : (tensor<2x4x5x6xf32>, tensor<2x4x6x3xf32>) -> tensor<2x4x5x3xf32>
  return %0 : tensor<2x4x5x3xf32>
}

// CHECK-LABEL: func.func @added_mask
// CHECK-NEXT: "ix.attention"(%arg0, %arg1, %arg2, %arg3) {causal = false, has_mask = true, scale = 1.000000e+00 : f64}
// CHECK-NEXT: return
func.func @added_mask(%q: tensor<2x4x5x8xf32>, %k: tensor<2x4x6x8xf32>, %v: tensor<2x4x6x3xf32>, %m: tensor<2x1x1x6xf32>) -> tensor<2x4x5x3xf32> {
  %qk = "ix.matmul"(%q, %k) {transpose_a = false, transpose_b = true} : (tensor<2x4x5x8xf32>, tensor<2x4x6x8xf32>) -> tensor<2x4x5x6xf32>
  %s = "ix.add"(%m, %qk) : (tensor<2x1x1x6xf32>, tensor<2x4x5x6xf32>) -> tensor<2x4x5x6xf32>
  %p = "ix.softmax"(%s) {axis = 3 : i64} : (tensor<2x4x5x6xf32>) -> tensor<2x4x5x6xf32>
  %0 = "ix.matmul"(%p, %v) {transpose_a = false, transpose_b = false} : (tensor<2x4x5x6xf32>, tensor<2x4x6x3xf32>) -> tensor<2x4x5x3xf32>
  return %0 : tensor<2x4x5x3xf32>
}

// CHECK-LABEL: func.func @selected_mask
// CHECK-NEXT: "ix.attention"(%arg0, %arg1, %arg2, %arg3) {causal = false, has_mask = true
// CHECK-NEXT: return
func.func @selected_mask(%q: tensor<2x4x5x8xf32>, %k: tensor<2x4x6x8xf32>, %v: tensor<2x4x6x3xf32>, %m: tensor<2x1x5x6xi1>) -> tensor<2x4x5x3xf32> {
  %c = "ix.constant"() {value = dense<0xFF800000> : tensor<f32>} : () -> tensor<f32>
  %qk = "ix.matmul"(%q, %k) {transpose_a = false, transpose_b = true} : (tensor<2x4x5x8xf32>, tensor<2x4x6x8xf32>) -> tensor<2x4x5x6xf32>
  %s = "ix.select"(%m, %qk, %c) : (tensor<2x1x5x6xi1>, tensor<2x4x5x6xf32>, tensor<f32>) -> tensor<2x4x5x6xf32>
  %p = "ix.softmax"(%s) {axis = 3 : i64} : (tensor<2x4x5x6xf32>) -> tensor<2x4x5x6xf32>
  %0 = "ix.matmul"(%p, %v) {transpose_a = false, transpose_b = false} : (tensor<2x4x5x6xf32>, tensor<2x4x6x3xf32>) -> tensor<2x4x5x3xf32>
  return %0 : tensor<2x4x5x3xf32>
}

// A row that sees nothing then stays what it was: the mean of all values.
// CHECK-LABEL: func.func @finite_fill_is_added
// CHECK: %[[M:.*]] = "ix.select"(%arg3, %{{.*}}, %{{.*}}) : (tensor<2x1x5x6xi1>, tensor<f32>, tensor<f32>)
// CHECK: "ix.attention"(%arg0, %arg1, %arg2, %[[M]])
func.func @finite_fill_is_added(%q: tensor<2x4x5x8xf32>, %k: tensor<2x4x6x8xf32>, %v: tensor<2x4x6x3xf32>, %m: tensor<2x1x5x6xi1>) -> tensor<2x4x5x3xf32> {
  %c = "ix.constant"() {value = dense<-1.0e9> : tensor<f32>} : () -> tensor<f32>
  %qk = "ix.matmul"(%q, %k) {transpose_a = false, transpose_b = true} : (tensor<2x4x5x8xf32>, tensor<2x4x6x8xf32>) -> tensor<2x4x5x6xf32>
  %s = "ix.select"(%m, %qk, %c) : (tensor<2x1x5x6xi1>, tensor<2x4x5x6xf32>, tensor<f32>) -> tensor<2x4x5x6xf32>
  %p = "ix.softmax"(%s) {axis = 3 : i64} : (tensor<2x4x5x6xf32>) -> tensor<2x4x5x6xf32>
  %0 = "ix.matmul"(%p, %v) {transpose_a = false, transpose_b = false} : (tensor<2x4x5x6xf32>, tensor<2x4x6x3xf32>) -> tensor<2x4x5x3xf32>
  return %0 : tensor<2x4x5x3xf32>
}

// CHECK-LABEL: func.func @dot_general
// CHECK: %[[Q:.*]] = "ix.transpose"(%arg0) {permutation = [0, 2, 1, 3]}
// CHECK: %[[K:.*]] = "ix.transpose"(%arg1) {permutation = [0, 2, 1, 3]}
// CHECK: %[[V:.*]] = "ix.transpose"(%arg2) {permutation = [0, 2, 1, 3]}
// CHECK: "ix.attention"(%[[Q]], %[[K]], %[[V]])
func.func @dot_general(%q: tensor<2x5x4x8xf32>, %k: tensor<2x6x4x8xf32>, %v: tensor<2x6x4x3xf32>) -> tensor<2x4x5x3xf32> {
  %qk = "ix.dot_general"(%q, %k) {batch_a = [0, 2], batch_b = [0, 2], contract_a = [3], contract_b = [3]} : (tensor<2x5x4x8xf32>, tensor<2x6x4x8xf32>) -> tensor<2x4x5x6xf32>
  %p = "ix.softmax"(%qk) {axis = 3 : i64} : (tensor<2x4x5x6xf32>) -> tensor<2x4x5x6xf32>
  %0 = "ix.dot_general"(%p, %v) {batch_a = [0, 1], batch_b = [0, 2], contract_a = [3], contract_b = [1]} : (tensor<2x4x5x6xf32>, tensor<2x6x4x3xf32>) -> tensor<2x4x5x3xf32>
  return %0 : tensor<2x4x5x3xf32>
}

// CHECK-LABEL: func.func @rank_three
// CHECK: %[[R:.*]] = "ix.attention"({{.*}}) {{.*}} : (tensor<?x1x5x8xf32>, tensor<?x1x6x8xf32>, tensor<?x1x6x3xf32>) -> tensor<?x1x5x3xf32>
// CHECK: "ix.reshape"(%[[R]], %{{.*}}) {shape = [-9223372036854775808, 5, 3]}
func.func @rank_three(%q: tensor<?x5x8xf32>, %k: tensor<?x6x8xf32>, %v: tensor<?x6x3xf32>) -> tensor<?x5x3xf32> {
  %qk = "ix.matmul"(%q, %k) {transpose_a = false, transpose_b = true} : (tensor<?x5x8xf32>, tensor<?x6x8xf32>) -> tensor<?x5x6xf32>
  %p = "ix.softmax"(%qk) {axis = 2 : i64} : (tensor<?x5x6xf32>) -> tensor<?x5x6xf32>
  %0 = "ix.matmul"(%p, %v) {transpose_a = false, transpose_b = false} : (tensor<?x5x6xf32>, tensor<?x6x3xf32>) -> tensor<?x5x3xf32>
  return %0 : tensor<?x5x3xf32>
}

// CHECK-LABEL: func.func @repeated_heads_are_shared
// CHECK-NEXT: "ix.attention"(%arg0, %arg1, %arg2)
// CHECK-NEXT: return
func.func @repeated_heads_are_shared(%q: tensor<2x4x5x8xf32>, %k: tensor<2x2x6x8xf32>, %v: tensor<2x2x6x3xf32>) -> tensor<2x4x5x3xf32> {
  %k1 = "ix.reshape"(%k) {shape = [2, 2, 1, 6, 8]} : (tensor<2x2x6x8xf32>) -> tensor<2x2x1x6x8xf32>
  %k2 = "ix.broadcast"(%k1) {shape = [2, 2, 2, 6, 8]} : (tensor<2x2x1x6x8xf32>) -> tensor<2x2x2x6x8xf32>
  %k3 = "ix.reshape"(%k2) {shape = [2, 4, 6, 8]} : (tensor<2x2x2x6x8xf32>) -> tensor<2x4x6x8xf32>
  %v1 = "ix.reshape"(%v) {shape = [2, 2, 1, 6, 3]} : (tensor<2x2x6x3xf32>) -> tensor<2x2x1x6x3xf32>
  %v2 = "ix.broadcast"(%v1) {shape = [2, 2, 2, 6, 3]} : (tensor<2x2x1x6x3xf32>) -> tensor<2x2x2x6x3xf32>
  %v3 = "ix.reshape"(%v2) {shape = [2, 4, 6, 3]} : (tensor<2x2x2x6x3xf32>) -> tensor<2x4x6x3xf32>
  %qk = "ix.matmul"(%q, %k3) {transpose_a = false, transpose_b = true} : (tensor<2x4x5x8xf32>, tensor<2x4x6x8xf32>) -> tensor<2x4x5x6xf32>
  %p = "ix.softmax"(%qk) {axis = 3 : i64} : (tensor<2x4x5x6xf32>) -> tensor<2x4x5x6xf32>
  %0 = "ix.matmul"(%p, %v3) {transpose_a = false, transpose_b = false} : (tensor<2x4x5x6xf32>, tensor<2x4x6x3xf32>) -> tensor<2x4x5x3xf32>
  return %0 : tensor<2x4x5x3xf32>
}

// CHECK-LABEL: func.func @weights_that_are_read_stay
// CHECK-NOT: ix.attention
// CHECK: return
func.func @weights_that_are_read_stay(%q: tensor<2x4x5x8xf32>, %k: tensor<2x4x6x8xf32>, %v: tensor<2x4x6x3xf32>) -> (tensor<2x4x5x3xf32>, tensor<2x4x5x6xf32>) {
  %qk = "ix.matmul"(%q, %k) {transpose_a = false, transpose_b = true} : (tensor<2x4x5x8xf32>, tensor<2x4x6x8xf32>) -> tensor<2x4x5x6xf32>
  %p = "ix.softmax"(%qk) {axis = 3 : i64} : (tensor<2x4x5x6xf32>) -> tensor<2x4x5x6xf32>
  %0 = "ix.matmul"(%p, %v) {transpose_a = false, transpose_b = false} : (tensor<2x4x5x6xf32>, tensor<2x4x6x3xf32>) -> tensor<2x4x5x3xf32>
  return %0, %p : tensor<2x4x5x3xf32>, tensor<2x4x5x6xf32>
}

// CHECK-LABEL: func.func @scores_that_are_read_stay
// CHECK-NOT: ix.attention
// CHECK: return
func.func @scores_that_are_read_stay(%q: tensor<2x4x5x8xf32>, %k: tensor<2x4x6x8xf32>, %v: tensor<2x4x6x3xf32>) -> (tensor<2x4x5x3xf32>, tensor<2x4x5x6xf32>) {
  %qk = "ix.matmul"(%q, %k) {transpose_a = false, transpose_b = true} : (tensor<2x4x5x8xf32>, tensor<2x4x6x8xf32>) -> tensor<2x4x5x6xf32>
  %p = "ix.softmax"(%qk) {axis = 3 : i64} : (tensor<2x4x5x6xf32>) -> tensor<2x4x5x6xf32>
  %0 = "ix.matmul"(%p, %v) {transpose_a = false, transpose_b = false} : (tensor<2x4x5x6xf32>, tensor<2x4x6x3xf32>) -> tensor<2x4x5x3xf32>
  return %0, %qk : tensor<2x4x5x3xf32>, tensor<2x4x5x6xf32>
}

// CHECK-LABEL: func.func @other_axis_stays
// CHECK-NOT: ix.attention
// CHECK: return
func.func @other_axis_stays(%k: tensor<2x4x6x8xf32>, %v: tensor<2x4x6x3xf32>) -> tensor<2x4x6x3xf32> {
  %qk = "ix.matmul"(%k, %k) {transpose_a = false, transpose_b = true} : (tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>) -> tensor<2x4x6x6xf32>
  %p = "ix.softmax"(%qk) {axis = 2 : i64} : (tensor<2x4x6x6xf32>) -> tensor<2x4x6x6xf32>
  %0 = "ix.matmul"(%p, %v) {transpose_a = false, transpose_b = false} : (tensor<2x4x6x6xf32>, tensor<2x4x6x3xf32>) -> tensor<2x4x6x3xf32>
  return %0 : tensor<2x4x6x3xf32>
}

// CHECK-LABEL: func.func @transposed_weights_stay
// CHECK-NOT: ix.attention
// CHECK: return
func.func @transposed_weights_stay(%k: tensor<2x4x6x8xf32>, %v: tensor<2x4x6x3xf32>) -> tensor<2x4x6x3xf32> {
  %qk = "ix.matmul"(%k, %k) {transpose_a = false, transpose_b = true} : (tensor<2x4x6x8xf32>, tensor<2x4x6x8xf32>) -> tensor<2x4x6x6xf32>
  %p = "ix.softmax"(%qk) {axis = 3 : i64} : (tensor<2x4x6x6xf32>) -> tensor<2x4x6x6xf32>
  %0 = "ix.matmul"(%p, %v) {transpose_a = true, transpose_b = false} : (tensor<2x4x6x6xf32>, tensor<2x4x6x3xf32>) -> tensor<2x4x6x3xf32>
  return %0 : tensor<2x4x6x3xf32>
}

// CHECK-LABEL: func.func @capped_scores_stay
// CHECK-NOT: ix.attention
// CHECK: return
func.func @capped_scores_stay(%q: tensor<2x4x5x8xf32>, %k: tensor<2x4x6x8xf32>, %v: tensor<2x4x6x3xf32>) -> tensor<2x4x5x3xf32> {
  %qk = "ix.matmul"(%q, %k) {transpose_a = false, transpose_b = true} : (tensor<2x4x5x8xf32>, tensor<2x4x6x8xf32>) -> tensor<2x4x5x6xf32>
  %s = "ix.tanh"(%qk) : (tensor<2x4x5x6xf32>) -> tensor<2x4x5x6xf32>
  %p = "ix.softmax"(%s) {axis = 3 : i64} : (tensor<2x4x5x6xf32>) -> tensor<2x4x5x6xf32>
  %0 = "ix.matmul"(%p, %v) {transpose_a = false, transpose_b = false} : (tensor<2x4x5x6xf32>, tensor<2x4x6x3xf32>) -> tensor<2x4x5x3xf32>
  return %0 : tensor<2x4x5x3xf32>
}

// CHECK-LABEL: func.func @small_fill_stays
// CHECK-NOT: ix.attention
// CHECK: return
func.func @small_fill_stays(%q: tensor<2x4x5x8xf32>, %k: tensor<2x4x6x8xf32>, %v: tensor<2x4x6x3xf32>, %m: tensor<2x1x5x6xi1>) -> tensor<2x4x5x3xf32> {
  %c = "ix.constant"() {value = dense<-10.0> : tensor<f32>} : () -> tensor<f32>
  %qk = "ix.matmul"(%q, %k) {transpose_a = false, transpose_b = true} : (tensor<2x4x5x8xf32>, tensor<2x4x6x8xf32>) -> tensor<2x4x5x6xf32>
  %s = "ix.select"(%m, %qk, %c) : (tensor<2x1x5x6xi1>, tensor<2x4x5x6xf32>, tensor<f32>) -> tensor<2x4x5x6xf32>
  %p = "ix.softmax"(%s) {axis = 3 : i64} : (tensor<2x4x5x6xf32>) -> tensor<2x4x5x6xf32>
  %0 = "ix.matmul"(%p, %v) {transpose_a = false, transpose_b = false} : (tensor<2x4x5x6xf32>, tensor<2x4x6x3xf32>) -> tensor<2x4x5x3xf32>
  return %0 : tensor<2x4x5x3xf32>
}

// CHECK-LABEL: func.func @scale_of_each_head_stays
// CHECK-NOT: ix.attention
// CHECK: return
func.func @scale_of_each_head_stays(%q: tensor<2x4x5x8xf32>, %k: tensor<2x4x6x8xf32>, %v: tensor<2x4x6x3xf32>, %c: tensor<4x1x1xf32>) -> tensor<2x4x5x3xf32> {
  %qk = "ix.matmul"(%q, %k) {transpose_a = false, transpose_b = true} : (tensor<2x4x5x8xf32>, tensor<2x4x6x8xf32>) -> tensor<2x4x5x6xf32>
  %s = "ix.mul"(%qk, %c) : (tensor<2x4x5x6xf32>, tensor<4x1x1xf32>) -> tensor<2x4x5x6xf32>
  %p = "ix.softmax"(%s) {axis = 3 : i64} : (tensor<2x4x5x6xf32>) -> tensor<2x4x5x6xf32>
  %0 = "ix.matmul"(%p, %v) {transpose_a = false, transpose_b = false} : (tensor<2x4x5x6xf32>, tensor<2x4x6x3xf32>) -> tensor<2x4x5x3xf32>
  return %0 : tensor<2x4x5x3xf32>
}

// CHECK-LABEL: func.func @broadcast_batch_stays
// CHECK-NOT: ix.attention
// CHECK: return
func.func @broadcast_batch_stays(%q: tensor<2x4x5x8xf32>, %k: tensor<1x4x6x8xf32>, %v: tensor<2x4x6x3xf32>) -> tensor<2x4x5x3xf32> {
  %qk = "ix.matmul"(%q, %k) {transpose_a = false, transpose_b = true} : (tensor<2x4x5x8xf32>, tensor<1x4x6x8xf32>) -> tensor<2x4x5x6xf32>
  %p = "ix.softmax"(%qk) {axis = 3 : i64} : (tensor<2x4x5x6xf32>) -> tensor<2x4x5x6xf32>
  %0 = "ix.matmul"(%p, %v) {transpose_a = false, transpose_b = false} : (tensor<2x4x5x6xf32>, tensor<2x4x6x3xf32>) -> tensor<2x4x5x3xf32>
  return %0 : tensor<2x4x5x3xf32>
}

// CHECK-LABEL: func.func @other_element_types_stay
// CHECK-NOT: ix.attention
// CHECK: return
func.func @other_element_types_stay(%q: tensor<2x4x5x8xi8>, %k: tensor<2x4x6x8xi8>, %v: tensor<2x4x6x3xf32>) -> tensor<2x4x5x3xf32> {
  %qk = "ix.matmul"(%q, %k) {transpose_a = false, transpose_b = true} : (tensor<2x4x5x8xi8>, tensor<2x4x6x8xi8>) -> tensor<2x4x5x6xi32>
  %f = "ix.cast"(%qk) : (tensor<2x4x5x6xi32>) -> tensor<2x4x5x6xf32>
  %p = "ix.softmax"(%f) {axis = 3 : i64} : (tensor<2x4x5x6xf32>) -> tensor<2x4x5x6xf32>
  %0 = "ix.matmul"(%p, %v) {transpose_a = false, transpose_b = false} : (tensor<2x4x5x6xf32>, tensor<2x4x6x3xf32>) -> tensor<2x4x5x3xf32>
  return %0 : tensor<2x4x5x3xf32>
}

// CHECK-LABEL: func.func @groups_of_heads
// CHECK: %[[Q:.*]] = "ix.reshape"(%arg0, %{{.*}}) {shape = [-9223372036854775808, 4, 5, 8]}
// CHECK: "ix.attention"(%[[Q]], %{{.*}}) {{.*}} : (tensor<?x4x5x8xf32>, tensor<?x2x6x8xf32>, tensor<?x2x6x3xf32>, tensor<?x1x5x6xf32>)
// CHECK: "ix.reshape"(%{{.*}}) {shape = [-9223372036854775808, 2, 2, 5, 3]}
func.func @groups_of_heads(%q: tensor<?x2x2x5x8xf32>, %k: tensor<?x2x1x6x8xf32>, %v: tensor<?x2x1x6x3xf32>, %m: tensor<?x1x1x5x6xf32>) -> tensor<?x2x2x5x3xf32> {
  %qk = "ix.matmul"(%q, %k) {transpose_a = false, transpose_b = true} : (tensor<?x2x2x5x8xf32>, tensor<?x2x1x6x8xf32>) -> tensor<?x2x2x5x6xf32>
  %s = "ix.add"(%qk, %m) : (tensor<?x2x2x5x6xf32>, tensor<?x1x1x5x6xf32>) -> tensor<?x2x2x5x6xf32>
  %p = "ix.softmax"(%s) {axis = 4 : i64} : (tensor<?x2x2x5x6xf32>) -> tensor<?x2x2x5x6xf32>
  %0 = "ix.matmul"(%p, %v) {transpose_a = false, transpose_b = false} : (tensor<?x2x2x5x6xf32>, tensor<?x2x1x6x3xf32>) -> tensor<?x2x2x5x3xf32>
  return %0 : tensor<?x2x2x5x3xf32>
}

// CHECK-LABEL: func.func @mask_of_each_group_stays
// CHECK-NOT: ix.attention
// CHECK: return
func.func @mask_of_each_group_stays(%q: tensor<1x2x2x5x8xf32>, %k: tensor<1x2x1x6x8xf32>, %v: tensor<1x2x1x6x3xf32>, %m: tensor<2x1x5x6xf32>) -> tensor<1x2x2x5x3xf32> {
  %qk = "ix.matmul"(%q, %k) {transpose_a = false, transpose_b = true} : (tensor<1x2x2x5x8xf32>, tensor<1x2x1x6x8xf32>) -> tensor<1x2x2x5x6xf32>
  %s = "ix.add"(%qk, %m) : (tensor<1x2x2x5x6xf32>, tensor<2x1x5x6xf32>) -> tensor<1x2x2x5x6xf32>
  %p = "ix.softmax"(%s) {axis = 4 : i64} : (tensor<1x2x2x5x6xf32>) -> tensor<1x2x2x5x6xf32>
  %0 = "ix.matmul"(%p, %v) {transpose_a = false, transpose_b = false} : (tensor<1x2x2x5x6xf32>, tensor<1x2x1x6x3xf32>) -> tensor<1x2x2x5x3xf32>
  return %0 : tensor<1x2x2x5x3xf32>
}

// CHECK-LABEL: func.func @no_heads_stay
// CHECK-NOT: ix.attention
// CHECK: return
func.func @no_heads_stay(%q: tensor<2x0x5x8xf32>, %k: tensor<2x0x6x8xf32>, %v: tensor<2x0x6x3xf32>) -> tensor<2x0x5x3xf32> {
  %qk = "ix.matmul"(%q, %k) {transpose_a = false, transpose_b = true} : (tensor<2x0x5x8xf32>, tensor<2x0x6x8xf32>) -> tensor<2x0x5x6xf32>
  %p = "ix.softmax"(%qk) {axis = 3 : i64} : (tensor<2x0x5x6xf32>) -> tensor<2x0x5x6xf32>
  %0 = "ix.matmul"(%p, %v) {transpose_a = false, transpose_b = false} : (tensor<2x0x5x6xf32>, tensor<2x0x6x3xf32>) -> tensor<2x0x5x3xf32>
  return %0 : tensor<2x0x5x3xf32>
}
