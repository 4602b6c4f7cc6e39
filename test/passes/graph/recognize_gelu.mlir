// RUN: ix-opt %s -p ix-recognize-gelu | FileCheck %s

// CHECK-LABEL: func.func @error_function
// CHECK-NEXT: "ix.gelu"(%arg0) {approximate = "none"}
// CHECK-NEXT: return
func.func @error_function(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %h = "ix.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %one = "ix.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %r2 = "ix.constant"() {value = dense<1.41421354> : tensor<f32>} : () -> tensor<f32>
  %a = "ix.div"(%x, %r2) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %b = "ix.erf"(%a) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %d = "ix.add"(%one, %b) : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %e = "ix.mul"(%h, %x) : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %0 = "ix.mul"(%e, %d) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @complementary_error_function
// CHECK-NEXT: "ix.gelu"(%arg0) {approximate = "none"}
// CHECK-NEXT: return
func.func @complementary_error_function(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %h = "ix.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %r2 = "ix.constant"() {value = dense<-0.707106769> : tensor<f32>} : () -> tensor<f32>
  %a = "ix.mul"(%x, %r2) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %b = "ix.erfc"(%a) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %e = "ix.mul"(%b, %x) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %0 = "ix.mul"(%e, %h) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @hyperbolic_tangent
// CHECK-NEXT: "ix.gelu"(%arg0) {approximate = "tanh"}
// CHECK-NEXT: return
func.func @hyperbolic_tangent(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %h = "ix.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %one = "ix.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %l = "ix.constant"() {value = dense<0.797884583> : tensor<f32>} : () -> tensor<f32>
  %k = "ix.constant"() {value = dense<4.471500e-02> : tensor<f32>} : () -> tensor<f32>
  %three = "ix.constant"() {value = dense<3.0> : tensor<f32>} : () -> tensor<f32>
  %p = "ix.pow"(%x, %three) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %q = "ix.mul"(%k, %p) : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %s = "ix.add"(%x, %q) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %a = "ix.mul"(%l, %s) : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %b = "ix.tanh"(%a) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %d = "ix.add"(%b, %one) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %e = "ix.mul"(%x, %d) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %0 = "ix.mul"(%e, %h) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @cubic_by_products
// CHECK-NEXT: "ix.gelu"(%arg0) {approximate = "tanh"}
// CHECK-NEXT: return
func.func @cubic_by_products(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %h = "ix.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %one = "ix.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %l = "ix.constant"() {value = dense<0.797884583> : tensor<f32>} : () -> tensor<f32>
  %k = "ix.constant"() {value = dense<0.0356774069> : tensor<f32>} : () -> tensor<f32>
  %p = "ix.mul"(%x, %x) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %q = "ix.mul"(%k, %p) : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %s = "ix.add"(%l, %q) : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %a = "ix.mul"(%x, %s) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %b = "ix.tanh"(%a) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %d = "ix.add"(%b, %one) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %e = "ix.mul"(%x, %d) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %0 = "ix.mul"(%e, %h) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @sigmoid_of_twice_the_cubic
// CHECK-NEXT: "ix.gelu"(%arg0) {approximate = "tanh"}
// CHECK-NEXT: return
func.func @sigmoid_of_twice_the_cubic(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %l = "ix.constant"() {value = dense<1.59576917> : tensor<f32>} : () -> tensor<f32>
  %k = "ix.constant"() {value = dense<0.0713548139> : tensor<f32>} : () -> tensor<f32>
  %p = "ix.mul"(%x, %x) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %p3 = "ix.mul"(%p, %x) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %q = "ix.mul"(%k, %p3) : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %r = "ix.mul"(%x, %l) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %s = "ix.add"(%r, %q) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %b = "ix.sigmoid"(%s) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %0 = "ix.mul"(%x, %b) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @wider_type_casts_once
// CHECK: %[[X:.*]] = "ix.cast"(%arg0)
// CHECK-NEXT: "ix.gelu"(%[[X]])
// CHECK-NEXT: return
func.func @wider_type_casts_once(%y: tensor<?x8xbf16>) -> tensor<?x8xf32> {
  %x = "ix.cast"(%y) : (tensor<?x8xbf16>) -> tensor<?x8xf32>
  %h = "ix.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %one = "ix.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %r2 = "ix.constant"() {value = dense<1.41421354> : tensor<f32>} : () -> tensor<f32>
  %a = "ix.div"(%x, %r2) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %b = "ix.erf"(%a) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %d = "ix.add"(%one, %b) : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %e = "ix.mul"(%h, %x) : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %0 = "ix.mul"(%e, %d) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @other_cubic_stays
// CHECK-NOT: ix.gelu
// CHECK: return
func.func @other_cubic_stays(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %h = "ix.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %one = "ix.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %l = "ix.constant"() {value = dense<0.797884583> : tensor<f32>} : () -> tensor<f32>
  %k = "ix.constant"() {value = dense<0.05> : tensor<f32>} : () -> tensor<f32>
  %three = "ix.constant"() {value = dense<3.0> : tensor<f32>} : () -> tensor<f32>
  %p = "ix.pow"(%x, %three) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %q = "ix.mul"(%k, %p) : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %s = "ix.add"(%x, %q) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %a = "ix.mul"(%l, %s) : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %b = "ix.tanh"(%a) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %d = "ix.add"(%b, %one) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %e = "ix.mul"(%x, %d) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %0 = "ix.mul"(%e, %h) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @square_stays
// CHECK-NOT: ix.gelu
// CHECK: return
func.func @square_stays(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %h = "ix.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %one = "ix.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %l = "ix.constant"() {value = dense<0.797884583> : tensor<f32>} : () -> tensor<f32>
  %k = "ix.constant"() {value = dense<4.471500e-02> : tensor<f32>} : () -> tensor<f32>
  %three = "ix.constant"() {value = dense<2.0> : tensor<f32>} : () -> tensor<f32>
  %p = "ix.pow"(%x, %three) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %q = "ix.mul"(%k, %p) : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %s = "ix.add"(%x, %q) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %a = "ix.mul"(%l, %s) : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %b = "ix.tanh"(%a) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %d = "ix.add"(%b, %one) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %e = "ix.mul"(%x, %d) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %0 = "ix.mul"(%e, %h) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @other_linear_stays
// CHECK-NOT: ix.gelu
// CHECK: return
func.func @other_linear_stays(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %h = "ix.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %one = "ix.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %l = "ix.constant"() {value = dense<0.8> : tensor<f32>} : () -> tensor<f32>
  %k = "ix.constant"() {value = dense<4.471500e-02> : tensor<f32>} : () -> tensor<f32>
  %three = "ix.constant"() {value = dense<3.0> : tensor<f32>} : () -> tensor<f32>
  %p = "ix.pow"(%x, %three) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %q = "ix.mul"(%k, %p) : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %s = "ix.add"(%x, %q) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %a = "ix.mul"(%l, %s) : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %b = "ix.tanh"(%a) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %d = "ix.add"(%b, %one) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %e = "ix.mul"(%x, %d) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %0 = "ix.mul"(%e, %h) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @other_root_stays
// CHECK-NOT: ix.gelu
// CHECK: return
func.func @other_root_stays(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %h = "ix.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %one = "ix.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %r2 = "ix.constant"() {value = dense<1.5> : tensor<f32>} : () -> tensor<f32>
  %a = "ix.div"(%x, %r2) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %b = "ix.erf"(%a) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %d = "ix.add"(%one, %b) : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %e = "ix.mul"(%h, %x) : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %0 = "ix.mul"(%e, %d) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @other_half_stays
// CHECK-NOT: ix.gelu
// CHECK: return
func.func @other_half_stays(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %h = "ix.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %one = "ix.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %r2 = "ix.constant"() {value = dense<1.41421354> : tensor<f32>} : () -> tensor<f32>
  %a = "ix.div"(%x, %r2) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %b = "ix.erf"(%a) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %d = "ix.add"(%one, %b) : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %e = "ix.mul"(%h, %x) : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %0 = "ix.mul"(%e, %d) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @other_offset_stays
// CHECK-NOT: ix.gelu
// CHECK: return
func.func @other_offset_stays(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %h = "ix.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %one = "ix.constant"() {value = dense<2.0> : tensor<f32>} : () -> tensor<f32>
  %r2 = "ix.constant"() {value = dense<1.41421354> : tensor<f32>} : () -> tensor<f32>
  %a = "ix.div"(%x, %r2) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %b = "ix.erf"(%a) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %d = "ix.add"(%one, %b) : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %e = "ix.mul"(%h, %x) : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %0 = "ix.mul"(%e, %d) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @other_argument_stays
// CHECK-NOT: ix.gelu
// CHECK: return
func.func @other_argument_stays(%x: tensor<?x8xf32>, %y: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %h = "ix.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %one = "ix.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %r2 = "ix.constant"() {value = dense<1.41421354> : tensor<f32>} : () -> tensor<f32>
  %a = "ix.div"(%y, %r2) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %b = "ix.erf"(%a) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %d = "ix.add"(%one, %b) : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %e = "ix.mul"(%h, %x) : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %0 = "ix.mul"(%e, %d) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}
