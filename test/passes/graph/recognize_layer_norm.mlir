// RUN: ix-opt %s -p ix-recognize-layer-norm | FileCheck %s

// CHECK-LABEL: func.func @whole
// CHECK-NEXT: %[[B:.*]] = "ix.reshape"(%arg2) {shape = [8]}
// CHECK-NEXT: "ix.layer_norm"(%arg0, %arg1, %[[B]]) {axis = 1 : i64, epsilon = {{.*}}, has_bias = true, has_scale = true}
// CHECK-NEXT: return
func.func @whole(%x: tensor<?x8xf32>, %g: tensor<8xf32>, %b: tensor<1x8xf32>) -> tensor<?x8xf32> {
  %e = "ix.constant"() {value = dense<1.0e-5> : tensor<f32>} : () -> tensor<f32>
  %m = "ix.reduce_mean"(%x) {axes = [1], keepdims = true} : (tensor<?x8xf32>) -> tensor<?x1xf32>
  %c = "ix.sub"(%x, %m) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
  %q = "ix.mul"(%c, %c) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %v = "ix.reduce_mean"(%q) {axes = [1], keepdims = true} : (tensor<?x8xf32>) -> tensor<?x1xf32>
  %w = "ix.add"(%v, %e) : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
  %r = "ix.sqrt"(%w) : (tensor<?x1xf32>) -> tensor<?x1xf32>
  %n = "ix.div"(%c, %r) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
  %s = "ix.mul"(%g, %n) : (tensor<8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %0 = "ix.add"(%s, %b) : (tensor<?x8xf32>, tensor<1x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @product_with_rsqrt
// CHECK-NEXT: "ix.layer_norm"(%arg0)
// CHECK-NEXT: return
func.func @product_with_rsqrt(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %e = "ix.constant"() {value = dense<1.0e-5> : tensor<f32>} : () -> tensor<f32>
  %m = "ix.reduce_mean"(%x) {axes = [1], keepdims = true} : (tensor<?x8xf32>) -> tensor<?x1xf32>
  %c = "ix.sub"(%x, %m) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
  %q = "ix.mul"(%c, %c) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %v = "ix.reduce_mean"(%q) {axes = [1], keepdims = true} : (tensor<?x8xf32>) -> tensor<?x1xf32>
  %w = "ix.add"(%e, %v) : (tensor<f32>, tensor<?x1xf32>) -> tensor<?x1xf32>
  %r = "ix.rsqrt"(%w) : (tensor<?x1xf32>) -> tensor<?x1xf32>
  %0 = "ix.mul"(%r, %c) : (tensor<?x1xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @reshapes_keep_axes
// CHECK-NEXT: "ix.layer_norm"(%arg0)
// CHECK-NEXT: return
func.func @reshapes_keep_axes(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %e = "ix.constant"() {value = dense<1.0e-5> : tensor<f32>} : () -> tensor<f32>
  %m = "ix.reduce_mean"(%x) {axes = [1], keepdims = false} : (tensor<4x8xf32>) -> tensor<4xf32>
  %mk = "ix.reshape"(%m) {shape = [4, 1]} : (tensor<4xf32>) -> tensor<4x1xf32>
  %c = "ix.sub"(%x, %mk) : (tensor<4x8xf32>, tensor<4x1xf32>) -> tensor<4x8xf32>
  %two = "ix.constant"() {value = dense<2.0> : tensor<f32>} : () -> tensor<f32>
  %q = "ix.pow"(%c, %two) : (tensor<4x8xf32>, tensor<f32>) -> tensor<4x8xf32>
  %v = "ix.reduce_mean"(%q) {axes = [1], keepdims = false} : (tensor<4x8xf32>) -> tensor<4xf32>
  %w = "ix.add"(%v, %e) : (tensor<4xf32>, tensor<f32>) -> tensor<4xf32>
  %r = "ix.sqrt"(%w) : (tensor<4xf32>) -> tensor<4xf32>
  %rk = "ix.reshape"(%r) {shape = [4, 1]} : (tensor<4xf32>) -> tensor<4x1xf32>
  %0 = "ix.div"(%c, %rk) : (tensor<4x8xf32>, tensor<4x1xf32>) -> tensor<4x8xf32>
  return %0 : tensor<4x8xf32>
}

// CHECK-LABEL: func.func @scale_and_shift
// CHECK-NEXT: "ix.layer_norm"(%arg0, %arg1, %arg2)
// CHECK-NEXT: return
func.func @scale_and_shift(%x: tensor<?x8xf32>, %g: tensor<8xf32>, %b: tensor<8xf32>) -> tensor<?x8xf32> {
  %e = "ix.constant"() {value = dense<1.0e-5> : tensor<f32>} : () -> tensor<f32>
  %m = "ix.reduce_mean"(%x) {axes = [1], keepdims = true} : (tensor<?x8xf32>) -> tensor<?x1xf32>
  %c = "ix.sub"(%x, %m) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
  %q = "ix.mul"(%c, %c) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %v = "ix.reduce_mean"(%q) {axes = [1], keepdims = true} : (tensor<?x8xf32>) -> tensor<?x1xf32>
  %w = "ix.add"(%v, %e) : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
  %r = "ix.rsqrt"(%w) : (tensor<?x1xf32>) -> tensor<?x1xf32>
  %k = "ix.mul"(%r, %g) : (tensor<?x1xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  %p = "ix.mul"(%x, %k) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %t = "ix.mul"(%m, %k) : (tensor<?x1xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %d = "ix.sub"(%b, %t) : (tensor<8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %0 = "ix.add"(%p, %d) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @casts_vanish
// CHECK-NEXT: "ix.layer_norm"(%arg0) {{.*}} : (tensor<?x8xbf16>)
// CHECK-NEXT: return
func.func @casts_vanish(%h: tensor<?x8xbf16>) -> tensor<?x8xbf16> {
  %x = "ix.cast"(%h) : (tensor<?x8xbf16>) -> tensor<?x8xf32>
  %e = "ix.constant"() {value = dense<1.0e-5> : tensor<f32>} : () -> tensor<f32>
  %m = "ix.reduce_mean"(%x) {axes = [1], keepdims = true} : (tensor<?x8xf32>) -> tensor<?x1xf32>
  %c = "ix.sub"(%x, %m) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
  %q = "ix.mul"(%c, %c) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %v = "ix.reduce_mean"(%q) {axes = [1], keepdims = true} : (tensor<?x8xf32>) -> tensor<?x1xf32>
  %w = "ix.add"(%v, %e) : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
  %r = "ix.sqrt"(%w) : (tensor<?x1xf32>) -> tensor<?x1xf32>
  %n = "ix.div"(%c, %r) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
  %0 = "ix.cast"(%n) : (tensor<?x8xf32>) -> tensor<?x8xbf16>
  return %0 : tensor<?x8xbf16>
}

// CHECK-LABEL: func.func @first_axis_stays
// CHECK-NOT: _norm
// CHECK: return
func.func @first_axis_stays(%x: tensor<8x?xf32>) -> tensor<8x?xf32> {
  %e = "ix.constant"() {value = dense<1.0e-5> : tensor<f32>} : () -> tensor<f32>
  %m = "ix.reduce_mean"(%x) {axes = [0], keepdims = true} : (tensor<8x?xf32>) -> tensor<1x?xf32>
  %c = "ix.sub"(%x, %m) : (tensor<8x?xf32>, tensor<1x?xf32>) -> tensor<8x?xf32>
  %q = "ix.mul"(%c, %c) : (tensor<8x?xf32>, tensor<8x?xf32>) -> tensor<8x?xf32>
  %v = "ix.reduce_mean"(%q) {axes = [0], keepdims = true} : (tensor<8x?xf32>) -> tensor<1x?xf32>
  %w = "ix.add"(%v, %e) : (tensor<1x?xf32>, tensor<f32>) -> tensor<1x?xf32>
  %r = "ix.sqrt"(%w) : (tensor<1x?xf32>) -> tensor<1x?xf32>
  %n = "ix.div"(%c, %r) : (tensor<8x?xf32>, tensor<1x?xf32>) -> tensor<8x?xf32>
  return %n : tensor<8x?xf32>
}

// CHECK-LABEL: func.func @epsilon_beside_the_root_stays
// CHECK-NOT: _norm
// CHECK: return
func.func @epsilon_beside_the_root_stays(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %e = "ix.constant"() {value = dense<1.0e-5> : tensor<f32>} : () -> tensor<f32>
  %m = "ix.reduce_mean"(%x) {axes = [1], keepdims = true} : (tensor<?x8xf32>) -> tensor<?x1xf32>
  %c = "ix.sub"(%x, %m) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
  %q = "ix.mul"(%c, %c) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %v = "ix.reduce_mean"(%q) {axes = [1], keepdims = true} : (tensor<?x8xf32>) -> tensor<?x1xf32>
  %r = "ix.sqrt"(%v) : (tensor<?x1xf32>) -> tensor<?x1xf32>
  %w = "ix.add"(%r, %e) : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
  %0 = "ix.div"(%c, %w) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @unbiased_variance_stays
// CHECK-NOT: _norm
// CHECK: return
func.func @unbiased_variance_stays(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %e = "ix.constant"() {value = dense<1.0e-5> : tensor<f32>} : () -> tensor<f32>
  %m = "ix.reduce_mean"(%x) {axes = [1], keepdims = true} : (tensor<?x8xf32>) -> tensor<?x1xf32>
  %c = "ix.sub"(%x, %m) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
  %q = "ix.mul"(%c, %c) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %t = "ix.reduce_sum"(%q) {axes = [1], keepdims = true} : (tensor<?x8xf32>) -> tensor<?x1xf32>
  %n7 = "ix.constant"() {value = dense<7.0> : tensor<f32>} : () -> tensor<f32>
  %v = "ix.div"(%t, %n7) : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
  %w = "ix.add"(%v, %e) : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
  %r = "ix.sqrt"(%w) : (tensor<?x1xf32>) -> tensor<?x1xf32>
  %0 = "ix.div"(%c, %r) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @mean_of_another_value_stays
// CHECK-NOT: _norm
// CHECK: return
func.func @mean_of_another_value_stays(%x: tensor<?x8xf32>, %y: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %e = "ix.constant"() {value = dense<1.0e-5> : tensor<f32>} : () -> tensor<f32>
  %m = "ix.reduce_mean"(%y) {axes = [1], keepdims = true} : (tensor<?x8xf32>) -> tensor<?x1xf32>
  %c = "ix.sub"(%x, %m) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
  %q = "ix.mul"(%c, %c) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %v = "ix.reduce_mean"(%q) {axes = [1], keepdims = true} : (tensor<?x8xf32>) -> tensor<?x1xf32>
  %w = "ix.add"(%v, %e) : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
  %r = "ix.sqrt"(%w) : (tensor<?x1xf32>) -> tensor<?x1xf32>
  %n = "ix.div"(%c, %r) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
  return %n : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @short_floats_without_casts_stay
// CHECK-NOT: _norm
// CHECK: return
func.func @short_floats_without_casts_stay(%x: tensor<?x8xf16>) -> tensor<?x8xf16> {
  %e = "ix.constant"() {value = dense<1.0e-5> : tensor<f16>} : () -> tensor<f16>
  %m = "ix.reduce_mean"(%x) {axes = [1], keepdims = true} : (tensor<?x8xf16>) -> tensor<?x1xf16>
  %c = "ix.sub"(%x, %m) : (tensor<?x8xf16>, tensor<?x1xf16>) -> tensor<?x8xf16>
  %q = "ix.mul"(%c, %c) : (tensor<?x8xf16>, tensor<?x8xf16>) -> tensor<?x8xf16>
  %v = "ix.reduce_mean"(%q) {axes = [1], keepdims = true} : (tensor<?x8xf16>) -> tensor<?x1xf16>
  %w = "ix.add"(%v, %e) : (tensor<?x1xf16>, tensor<f16>) -> tensor<?x1xf16>
  %r = "ix.sqrt"(%w) : (tensor<?x1xf16>) -> tensor<?x1xf16>
  %n = "ix.div"(%c, %r) : (tensor<?x8xf16>, tensor<?x1xf16>) -> tensor<?x8xf16>
  return %n : tensor<?x8xf16>
}

// CHECK-LABEL: func.func @scale_of_each_row_stays
// CHECK: %[[N:.*]] = "ix.layer_norm"(%arg0) {{.*}} has_scale = false
// CHECK: "ix.mul"(%[[N]], %arg1)
func.func @scale_of_each_row_stays(%x: tensor<?x8xf32>, %g: tensor<?x1xf32>) -> tensor<?x8xf32> {
  %e = "ix.constant"() {value = dense<1.0e-5> : tensor<f32>} : () -> tensor<f32>
  %m = "ix.reduce_mean"(%x) {axes = [1], keepdims = true} : (tensor<?x8xf32>) -> tensor<?x1xf32>
  %c = "ix.sub"(%x, %m) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
  %q = "ix.mul"(%c, %c) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %v = "ix.reduce_mean"(%q) {axes = [1], keepdims = true} : (tensor<?x8xf32>) -> tensor<?x1xf32>
  %w = "ix.add"(%v, %e) : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
  %r = "ix.sqrt"(%w) : (tensor<?x1xf32>) -> tensor<?x1xf32>
  %n = "ix.div"(%c, %r) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
  %0 = "ix.mul"(%n, %g) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @scale_of_a_value_read_twice_stays
// CHECK: %[[N:.*]] = "ix.layer_norm"(%arg0) {{.*}} has_scale = false
// CHECK: "ix.mul"(%[[N]], %arg1)
func.func @scale_of_a_value_read_twice_stays(%x: tensor<?x8xf32>, %g: tensor<8xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
  %e = "ix.constant"() {value = dense<1.0e-5> : tensor<f32>} : () -> tensor<f32>
  %m = "ix.reduce_mean"(%x) {axes = [1], keepdims = true} : (tensor<?x8xf32>) -> tensor<?x1xf32>
  %c = "ix.sub"(%x, %m) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
  %q = "ix.mul"(%c, %c) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %v = "ix.reduce_mean"(%q) {axes = [1], keepdims = true} : (tensor<?x8xf32>) -> tensor<?x1xf32>
  %w = "ix.add"(%v, %e) : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
  %r = "ix.sqrt"(%w) : (tensor<?x1xf32>) -> tensor<?x1xf32>
  %n = "ix.div"(%c, %r) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
  %0 = "ix.mul"(%n, %g) : (tensor<?x8xf32>, tensor<8xf32>) -> tensor<?x8xf32>
  return %0, %n : tensor<?x8xf32>, tensor<?x8xf32>
}
