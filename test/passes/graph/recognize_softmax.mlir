// RUN: ix-opt %s -p ix-recognize-softmax | FileCheck %s

// CHECK-LABEL: func.func @quotient
// CHECK-NEXT: "ix.softmax"(%arg0) {axis = 1 : i64}
// CHECK-NEXT: return
func.func @quotient(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %m = "ix.reduce_max"(%x) {axes = [1], keepdims = true} : (tensor<?x8xf32>) -> tensor<?x1xf32>
  %z = "ix.sub"(%x, %m) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
  %e = "ix.exp"(%z) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %s = "ix.reduce_sum"(%e) {axes = [1], keepdims = true} : (tensor<?x8xf32>) -> tensor<?x1xf32>
  %0 = "ix.div"(%e, %s) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// Without the maximum, with reshapes for keepdims, as a product with a reciprocal.
// CHECK-LABEL: func.func @product
// CHECK-NEXT: "ix.softmax"(%arg0) {axis = 0 : i64}
// CHECK-NEXT: return
func.func @product(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %e = "ix.exp"(%x) : (tensor<4x8xf32>) -> tensor<4x8xf32>
  %s = "ix.reduce_sum"(%e) {axes = [0], keepdims = false} : (tensor<4x8xf32>) -> tensor<8xf32>
  %k = "ix.reshape"(%s) {shape = [1, 8]} : (tensor<8xf32>) -> tensor<1x8xf32>
  %r = "ix.reciprocal"(%k) : (tensor<1x8xf32>) -> tensor<1x8xf32>
  %0 = "ix.mul"(%r, %e) : (tensor<1x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  return %0 : tensor<4x8xf32>
}

// CHECK-LABEL: func.func @logarithm
// CHECK-NEXT: "ix.log_softmax"(%arg0) {axis = 1 : i64}
// CHECK-NEXT: return
func.func @logarithm(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %m = "ix.reduce_max"(%x) {axes = [1], keepdims = true} : (tensor<4x8xf32>) -> tensor<4x1xf32>
  %z = "ix.sub"(%x, %m) : (tensor<4x8xf32>, tensor<4x1xf32>) -> tensor<4x8xf32>
  %e = "ix.exp"(%z) : (tensor<4x8xf32>) -> tensor<4x8xf32>
  %s = "ix.reduce_sum"(%e) {axes = [1], keepdims = true} : (tensor<4x8xf32>) -> tensor<4x1xf32>
  %l = "ix.log"(%s) : (tensor<4x1xf32>) -> tensor<4x1xf32>
  %0 = "ix.sub"(%z, %l) : (tensor<4x8xf32>, tensor<4x1xf32>) -> tensor<4x8xf32>
  return %0 : tensor<4x8xf32>
}

// The op computes in f32 and rounds once: just what the casts say.
// CHECK-LABEL: func.func @casts
// CHECK-NEXT: "ix.softmax"(%arg0) {axis = 1 : i64} : (tensor<4x8xbf16>)
// CHECK-NEXT: return
func.func @casts(%x: tensor<4x8xbf16>) -> tensor<4x8xbf16> {
  %w = "ix.cast"(%x) : (tensor<4x8xbf16>) -> tensor<4x8xf32>
  %s = "ix.softmax"(%w) {axis = 1 : i64} : (tensor<4x8xf32>) -> tensor<4x8xf32>
  %0 = "ix.cast"(%s) : (tensor<4x8xf32>) -> tensor<4x8xbf16>
  return %0 : tensor<4x8xbf16>
}

// A subtraction of something else stays inside.
// CHECK-LABEL: func.func @other_shift
// CHECK: %[[Z:.*]] = "ix.sub"
// CHECK: "ix.softmax"(%[[Z]])
func.func @other_shift(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %m = "ix.reduce_max"(%x) {axes = [0], keepdims = true} : (tensor<4x8xf32>) -> tensor<1x8xf32>
  %z = "ix.sub"(%x, %m) : (tensor<4x8xf32>, tensor<1x8xf32>) -> tensor<4x8xf32>
  %e = "ix.exp"(%z) : (tensor<4x8xf32>) -> tensor<4x8xf32>
  %s = "ix.reduce_sum"(%e) {axes = [1], keepdims = true} : (tensor<4x8xf32>) -> tensor<4x1xf32>
  %0 = "ix.div"(%e, %s) : (tensor<4x8xf32>, tensor<4x1xf32>) -> tensor<4x8xf32>
  return %0 : tensor<4x8xf32>
}

// CHECK-LABEL: func.func @other_sum_stays
// CHECK-NOT: softmax
// CHECK: return
func.func @other_sum_stays(%x: tensor<4x8xf32>, %y: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %e = "ix.exp"(%x) : (tensor<4x8xf32>) -> tensor<4x8xf32>
  %s = "ix.reduce_sum"(%y) {axes = [1], keepdims = true} : (tensor<4x8xf32>) -> tensor<4x1xf32>
  %0 = "ix.div"(%e, %s) : (tensor<4x8xf32>, tensor<4x1xf32>) -> tensor<4x8xf32>
  return %0 : tensor<4x8xf32>
}

// A sum over rows that is aligned with columns is no softmax.
// CHECK-LABEL: func.func @misaligned_sum_stays
// CHECK-NOT: softmax
// CHECK: return
func.func @misaligned_sum_stays(%x: tensor<8x8xf32>) -> tensor<8x8xf32> {
  %e = "ix.exp"(%x) : (tensor<8x8xf32>) -> tensor<8x8xf32>
  %s = "ix.reduce_sum"(%e) {axes = [1], keepdims = false} : (tensor<8x8xf32>) -> tensor<8xf32>
  %0 = "ix.div"(%e, %s) : (tensor<8x8xf32>, tensor<8xf32>) -> tensor<8x8xf32>
  return %0 : tensor<8x8xf32>
}

// CHECK-LABEL: func.func @two_axes_stay
// CHECK-NOT: softmax
// CHECK: return
func.func @two_axes_stay(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %e = "ix.exp"(%x) : (tensor<4x8xf32>) -> tensor<4x8xf32>
  %s = "ix.reduce_sum"(%e) {axes = [0, 1], keepdims = true} : (tensor<4x8xf32>) -> tensor<1x1xf32>
  %0 = "ix.div"(%e, %s) : (tensor<4x8xf32>, tensor<1x1xf32>) -> tensor<4x8xf32>
  return %0 : tensor<4x8xf32>
}
