// RUN: ix-opt %s -p ix-recognize-sigmoid | FileCheck %s

// CHECK-LABEL: func.func @quotient
// CHECK-NEXT: "ix.sigmoid"(%arg0)
// CHECK-NEXT: return
func.func @quotient(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %one = "ix.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %n = "ix.neg"(%x) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %a = "ix.exp"(%n) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %d = "ix.add"(%one, %a) : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %0 = "ix.div"(%one, %d) : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @reciprocal
// CHECK-NEXT: "ix.sigmoid"(%arg0)
// CHECK-NEXT: return
func.func @reciprocal(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %one = "ix.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %n = "ix.neg"(%x) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %a = "ix.exp"(%n) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %d = "ix.add"(%one, %a) : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %0 = "ix.reciprocal"(%d) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @exponential_over_itself
// CHECK-NEXT: "ix.sigmoid"(%arg0)
// CHECK-NEXT: return
func.func @exponential_over_itself(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %one = "ix.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %a = "ix.exp"(%x) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %d = "ix.add"(%a, %one) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %0 = "ix.div"(%a, %d) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @tangent
// CHECK-NEXT: "ix.sigmoid"(%arg0)
// CHECK-NEXT: return
func.func @tangent(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %h = "ix.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %one = "ix.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %p = "ix.mul"(%x, %h) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %t = "ix.tanh"(%p) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %d = "ix.add"(%t, %one) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %0 = "ix.mul"(%h, %d) : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @argument_with_a_number
// CHECK: %[[K:.*]] = "ix.constant"() {value = dense<1.702000e+00> : tensor<f32>}
// CHECK: %[[N:.*]] = "ix.mul"(%arg0, %[[K]])
// CHECK: %[[S:.*]] = "ix.sigmoid"(%[[N]])
// CHECK: "ix.mul"(%arg0, %[[S]])
func.func @argument_with_a_number(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %one = "ix.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %k = "ix.constant"() {value = dense<-1.702> : tensor<f32>} : () -> tensor<f32>
  %n = "ix.mul"(%x, %k) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %a = "ix.exp"(%n) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %d = "ix.add"(%one, %a) : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %0 = "ix.div"(%x, %d) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @silu
// CHECK-NEXT: "ix.silu"(%arg0)
// CHECK-NEXT: return
func.func @silu(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %s = "ix.sigmoid"(%x) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %0 = "ix.mul"(%s, %x) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @silu_as_quotient
// CHECK-NEXT: "ix.silu"(%arg0)
// CHECK-NEXT: return
func.func @silu_as_quotient(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %one = "ix.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %n = "ix.neg"(%x) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %a = "ix.exp"(%n) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %d = "ix.add"(%one, %a) : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %0 = "ix.div"(%x, %d) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @softplus
// CHECK-NEXT: "ix.softplus"(%arg0)
// CHECK-NEXT: return
func.func @softplus(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %one = "ix.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %a = "ix.exp"(%x) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %d = "ix.add"(%one, %a) : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %0 = "ix.log"(%d) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @softplus_by_log1p
// CHECK-NEXT: "ix.softplus"(%arg0)
// CHECK-NEXT: return
func.func @softplus_by_log1p(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %a = "ix.exp"(%x) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %0 = "ix.log1p"(%a) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @stable_softplus
// CHECK-NEXT: "ix.softplus"(%arg0)
// CHECK-NEXT: return
func.func @stable_softplus(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %m = "ix.abs"(%x) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %n = "ix.neg"(%m) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %a = "ix.exp"(%n) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %l = "ix.log1p"(%a) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %r = "ix.relu"(%x) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %0 = "ix.add"(%r, %l) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @other_offset_stays
// CHECK-NOT: {{sigmoid|silu|softplus}}
// CHECK: return
func.func @other_offset_stays(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %one = "ix.constant"() {value = dense<2.0> : tensor<f32>} : () -> tensor<f32>
  %n = "ix.neg"(%x) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %a = "ix.exp"(%n) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %d = "ix.add"(%one, %a) : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  %i = "ix.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %0 = "ix.div"(%i, %d) : (tensor<f32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @other_numerator_over_exponential
// CHECK: %[[E:.*]] = "ix.exp"(%arg0)
// CHECK: %[[S:.*]] = "ix.sigmoid"
// CHECK: "ix.mul"(%[[E]], %[[S]])
func.func @other_numerator_over_exponential(%x: tensor<?x8xf32>, %y: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %one = "ix.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %a = "ix.exp"(%x) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %b = "ix.exp"(%y) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %d = "ix.add"(%b, %one) : (tensor<?x8xf32>, tensor<f32>) -> tensor<?x8xf32>
  %0 = "ix.div"(%a, %d) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @guarded_softplus
// CHECK-NEXT: %[[R:.*]] = "ix.softplus"(%arg0)
// CHECK-NEXT: return %[[R]]
func.func @guarded_softplus(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %t = "ix.isnan"(%x) : (tensor<?x8xf32>) -> tensor<?x8xi1>
  %s = "ix.softplus"(%x) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %0 = "ix.select"(%t, %x, %s) : (tensor<?x8xi1>, tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @guarded_by_another_value_stays
// CHECK: "ix.select"
func.func @guarded_by_another_value_stays(%x: tensor<?x8xf32>, %y: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %t = "ix.isnan"(%y) : (tensor<?x8xf32>) -> tensor<?x8xi1>
  %s = "ix.softplus"(%x) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %0 = "ix.select"(%t, %x, %s) : (tensor<?x8xi1>, tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @gate_of_another_value_stays
// CHECK-NOT: ix.silu
// CHECK: return
func.func @gate_of_another_value_stays(%x: tensor<?x8xf32>, %y: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %s = "ix.sigmoid"(%y) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %0 = "ix.mul"(%s, %x) : (tensor<?x8xf32>, tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}

// CHECK-LABEL: func.func @logarithm_of_a_magnitude_stays
// CHECK-NOT: {{sigmoid|silu|softplus}}
// CHECK: return
func.func @logarithm_of_a_magnitude_stays(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %m = "ix.abs"(%x) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %n = "ix.neg"(%m) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %a = "ix.exp"(%n) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %0 = "ix.log1p"(%a) : (tensor<?x8xf32>) -> tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}
