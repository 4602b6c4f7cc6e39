// RUN: ix-opt %s -p ix-recognize-rms-norm | FileCheck %s

// CHECK-LABEL: func.func @whole
// CHECK-NEXT: "ix.rms_norm"(%arg0, %arg1) {axis = 1 : i64, epsilon = {{.*}}, has_scale = true}
// CHECK-NEXT: return
func.func @whole(%x: tensor<?x8xf32>, %g: tensor<8xf32>) -> tensor<?x8xf32> {
  %e = "ix.constant"() {value = dense<1.0e-5> : tensor<f32>} : () -> tensor<f32>
  %q = "ix.mul"(%x, %x) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %v = "ix.reduce_mean"(%q) {axes = [1], keepdims = true} : (tensor<?x8xf32>) -> tensor<?x1xf32>
  %w = "ix.add"(%v, %e) : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
  %r = "ix.rsqrt"(%w) : (tensor<?x1xf32>) -> tensor<?x1xf32>
  %n = "ix.mul"(%x, %r) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
  %0 = "ix.mul"(%g, %n) : (tensor<8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @quotient
// CHECK-NEXT: "ix.rms_norm"(%arg0)
// CHECK-NEXT: return
func.func @quotient(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %e = "ix.constant"() {value = dense<1.0e-5> : tensor<f32>} : () -> tensor<f32>
  %q = "ix.mul"(%x, %x) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %v = "ix.reduce_mean"(%q) {axes = [1], keepdims = true} : (tensor<?x8xf32>) -> tensor<?x1xf32>
  %w = "ix.add"(%v, %e) : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
  %r = "ix.sqrt"(%w) : (tensor<?x1xf32>) -> tensor<?x1xf32>
  %n = "ix.div"(%x, %r) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
  return %n : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @casts_vanish
// CHECK-NEXT: "ix.rms_norm"(%arg0, %arg1) {{.*}} : (tensor<?x8xbf16>, tensor<8xbf16>)
// CHECK-NEXT: return
func.func @casts_vanish(%h: tensor<?x8xbf16>, %g: tensor<8xbf16>) -> tensor<?x8xbf16> {
  %x = "ix.cast"(%h) : (tensor<?x8xbf16>) -> tensor<?x8xf32>
  %e = "ix.constant"() {value = dense<1.0e-5> : tensor<f32>} : () -> tensor<f32>
  %q = "ix.mul"(%x, %x) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %v = "ix.reduce_mean"(%q) {axes = [1], keepdims = true} : (tensor<?x8xf32>) -> tensor<?x1xf32>
  %w = "ix.add"(%v, %e) : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
  %r = "ix.rsqrt"(%w) : (tensor<?x1xf32>) -> tensor<?x1xf32>
  %n = "ix.mul"(%x, %r) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
  %c = "ix.cast"(%n) : (tensor<?x8xf32>) -> tensor<?x8xbf16>
  %0 = "ix.mul"(%g, %c) : (tensor<8xbf16>, tensor<?x8xbf16>) -> tensor<?x8xbf16>
  return %0 : tensor<?x8xbf16>
}

// CHECK-LABEL: func.func @other_value_stays
// CHECK-NOT: _norm
// CHECK: return
func.func @other_value_stays(%x: tensor<?x8xf32>, %y: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %e = "ix.constant"() {value = dense<1.0e-5> : tensor<f32>} : () -> tensor<f32>
  %q = "ix.mul"(%x, %x) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %v = "ix.reduce_mean"(%q) {axes = [1], keepdims = true} : (tensor<?x8xf32>) -> tensor<?x1xf32>
  %w = "ix.add"(%v, %e) : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
  %r = "ix.rsqrt"(%w) : (tensor<?x1xf32>) -> tensor<?x1xf32>
  %n = "ix.mul"(%y, %r) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
  return %n : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @product_of_two_stays
// CHECK-NOT: _norm
// CHECK: return
func.func @product_of_two_stays(%x: tensor<?x8xf32>, %y: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %e = "ix.constant"() {value = dense<1.0e-5> : tensor<f32>} : () -> tensor<f32>
  %q = "ix.mul"(%x, %y) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %v = "ix.reduce_mean"(%q) {axes = [1], keepdims = true} : (tensor<?x8xf32>) -> tensor<?x1xf32>
  %w = "ix.add"(%v, %e) : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
  %r = "ix.rsqrt"(%w) : (tensor<?x1xf32>) -> tensor<?x1xf32>
  %n = "ix.mul"(%x, %r) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
  return %n : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @first_axis_stays
// CHECK-NOT: _norm
// CHECK: return
func.func @first_axis_stays(%x: tensor<8x?xf32>) -> tensor<8x?xf32> {
  %e = "ix.constant"() {value = dense<1.0e-5> : tensor<f32>} : () -> tensor<f32>
  %q = "ix.mul"(%x, %x) : (tensor<8x?xf32>, tensor<8x?xf32>) -> tensor<8x?xf32>
  %v = "ix.reduce_mean"(%q) {axes = [0], keepdims = true} : (tensor<8x?xf32>) -> tensor<1x?xf32>
  %w = "ix.add"(%v, %e) : (tensor<1x?xf32>, tensor<f32>) -> tensor<1x?xf32>
  %r = "ix.rsqrt"(%w) : (tensor<1x?xf32>) -> tensor<1x?xf32>
  %n = "ix.mul"(%x, %r) : (tensor<8x?xf32>, tensor<1x?xf32>) -> tensor<8x?xf32>
  return %n : tensor<8x?xf32>
}

// CHECK-LABEL: func.func @short_floats_without_casts_stay
// CHECK-NOT: _norm
// CHECK: return
func.func @short_floats_without_casts_stay(%x: tensor<?x8xf16>) -> tensor<?x8xf16> {
  %e = "ix.constant"() {value = dense<1.0e-5> : tensor<f16>} : () -> tensor<f16>
  %q = "ix.mul"(%x, %x) : (tensor<?x8xf16>, tensor<?x8xf16>) -> tensor<?x8xf16>
  %v = "ix.reduce_mean"(%q) {axes = [1], keepdims = true} : (tensor<?x8xf16>) -> tensor<?x1xf16>
  %w = "ix.add"(%v, %e) : (tensor<?x1xf16>, tensor<f16>) -> tensor<?x1xf16>
  %r = "ix.rsqrt"(%w) : (tensor<?x1xf16>) -> tensor<?x1xf16>
  %n = "ix.mul"(%x, %r) : (tensor<?x8xf16>, tensor<?x1xf16>) -> tensor<?x8xf16>
  return %n : tensor<?x8xf16>
}

// CHECK-LABEL: func.func @sum_stays
// CHECK-NOT: _norm
// CHECK: return
func.func @sum_stays(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %e = "ix.constant"() {value = dense<1.0e-5> : tensor<f32>} : () -> tensor<f32>
  %q = "ix.mul"(%x, %x) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %v = "ix.reduce_sum"(%q) {axes = [1], keepdims = true} : (tensor<?x8xf32>) -> tensor<?x1xf32>
  %w = "ix.add"(%v, %e) : (tensor<?x1xf32>, tensor<f32>) -> tensor<?x1xf32>
  %r = "ix.rsqrt"(%w) : (tensor<?x1xf32>) -> tensor<?x1xf32>
  %n = "ix.mul"(%x, %r) : (tensor<?x8xf32>, tensor<?x1xf32>) -> tensor<?x8xf32>
  return %n : tensor<?x8xf32>
}
