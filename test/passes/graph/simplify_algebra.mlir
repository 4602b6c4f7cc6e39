// RUN: ix-opt %s -p ix-simplify-algebra | FileCheck %s

// CHECK-LABEL: func.func @neutral_numbers
// CHECK-NEXT: return %arg0
func.func @neutral_numbers(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %z = "ix.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %i = "ix.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %a = "ix.add"(%z, %x) : (tensor<f32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  %b = "ix.sub"(%a, %z) : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
  %d = "ix.mul"(%b, %i) : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
  %e = "ix.div"(%d, %i) : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
  %0 = "ix.pow"(%e, %i) : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @neutral_number_that_broadcasts_stays
// CHECK: "ix.add"
func.func @neutral_number_that_broadcasts_stays(%x: tensor<4xf32>) -> tensor<4x4xf32> {
  %z = "ix.constant"() {value = dense<0.0> : tensor<4x1xf32>} : () -> tensor<4x1xf32>
  %0 = "ix.add"(%x, %z) : (tensor<4xf32>, tensor<4x1xf32>) -> tensor<4x4xf32>
  return %0 : tensor<4x4xf32>
}

// CHECK-LABEL: func.func @integer_minus_itself
// CHECK: "ix.broadcast"(%{{.*}}) {shape = [2]}
func.func @integer_minus_itself(%x: tensor<2xi32>) -> tensor<2xi32> {
  %0 = "ix.sub"(%x, %x) : (tensor<2xi32>, tensor<2xi32>) -> tensor<2xi32>
  return %0 : tensor<2xi32>
}

// An infinity minus itself is NaN.
// CHECK-LABEL: func.func @float_minus_itself_stays
// CHECK: "ix.sub"
func.func @float_minus_itself_stays(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %0 = "ix.sub"(%x, %x) : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @float_times_zero_stays
// CHECK: "ix.mul"
func.func @float_times_zero_stays(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %z = "ix.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %0 = "ix.mul"(%x, %z) : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @square
// CHECK-NEXT: "ix.mul"(%arg0, %arg0)
func.func @square(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %k = "ix.constant"() {value = dense<2.0> : tensor<f32>} : () -> tensor<f32>
  %0 = "ix.pow"(%x, %k) : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @root
// CHECK-NEXT: %[[R:.*]] = "ix.sqrt"(%arg0)
// CHECK-NEXT: return %[[R]]
func.func @root(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %k = "ix.constant"() {value = dense<0.5> : tensor<f32>} : () -> tensor<f32>
  %0 = "ix.pow"(%x, %k) : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @inverse_root
// CHECK-NEXT: %[[R:.*]] = "ix.rsqrt"(%arg0)
// CHECK-NEXT: return %[[R]]
func.func @inverse_root(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %k = "ix.constant"() {value = dense<-0.5> : tensor<f32>} : () -> tensor<f32>
  %0 = "ix.pow"(%x, %k) : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @cube_stays
// CHECK: "ix.pow"
func.func @cube_stays(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %k = "ix.constant"() {value = dense<3.0> : tensor<f32>} : () -> tensor<f32>
  %0 = "ix.pow"(%x, %k) : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @quotient_by_a_power_of_two
// CHECK: %[[C:.*]] = "ix.constant"() {value = dense<1.250000e-01>
// CHECK-NEXT: "ix.mul"(%arg0, %[[C]])
func.func @quotient_by_a_power_of_two(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %k = "ix.constant"() {value = dense<8.0> : tensor<f32>} : () -> tensor<f32>
  %0 = "ix.div"(%x, %k) : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @quotient_by_another_number_stays
// CHECK: "ix.div"
func.func @quotient_by_another_number_stays(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %k = "ix.constant"() {value = dense<3.0> : tensor<f32>} : () -> tensor<f32>
  %0 = "ix.div"(%x, %k) : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// The inverse of 2^-149 is no float.
// CHECK-LABEL: func.func @quotient_by_a_tiny_number_stays
// CHECK: "ix.div"
func.func @quotient_by_a_tiny_number_stays(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %k = "ix.constant"() {value = dense<0x00000001> : tensor<f32>} : () -> tensor<f32>
  %0 = "ix.div"(%x, %k) : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @quotient_of_integers_stays
// CHECK: "ix.div"
func.func @quotient_of_integers_stays(%x: tensor<?x4xi32>) -> tensor<?x4xi32> {
  %k = "ix.constant"() {value = dense<2> : tensor<i32>} : () -> tensor<i32>
  %0 = "ix.div"(%x, %k) : (tensor<?x4xi32>, tensor<i32>) -> tensor<?x4xi32>
  return %0 : tensor<?x4xi32>
}

// CHECK-LABEL: func.func @inverse
// CHECK-NEXT: %[[R:.*]] = "ix.reciprocal"(%arg0)
// CHECK-NEXT: return %[[R]]
func.func @inverse(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %i = "ix.constant"() {value = dense<1.0> : tensor<f32>} : () -> tensor<f32>
  %0 = "ix.div"(%i, %x) : (tensor<f32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @minus_one
// CHECK-NEXT: %[[R:.*]] = "ix.neg"(%arg0)
// CHECK-NEXT: return %[[R]]
func.func @minus_one(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %i = "ix.constant"() {value = dense<-1.0> : tensor<f32>} : () -> tensor<f32>
  %0 = "ix.mul"(%x, %i) : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @two_negations
// CHECK-NEXT: return %arg0
func.func @two_negations(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %a = "ix.neg"(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %0 = "ix.neg"(%a) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @negated_difference
// CHECK-NEXT: "ix.sub"(%arg1, %arg0)
func.func @negated_difference(%x: tensor<?x4xf32>, %y: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %a = "ix.sub"(%x, %y) : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  %0 = "ix.neg"(%a) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @sum_with_a_negation
// CHECK-NEXT: "ix.sub"(%arg0, %arg1)
func.func @sum_with_a_negation(%x: tensor<?x4xf32>, %y: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %a = "ix.neg"(%y) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %0 = "ix.add"(%a, %x) : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @maximum_with_zero
// CHECK-NEXT: %[[R:.*]] = "ix.relu"(%arg0)
// CHECK-NEXT: return %[[R]]
func.func @maximum_with_zero(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %z = "ix.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %0 = "ix.max"(%x, %z) : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @minimum_with_zero_stays
// CHECK: "ix.min"
func.func @minimum_with_zero_stays(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %z = "ix.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %0 = "ix.min"(%x, %z) : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @true_and
// CHECK-NEXT: return %arg0
func.func @true_and(%x: tensor<?x4xi1>) -> tensor<?x4xi1> {
  %t = "ix.constant"() {value = dense<true> : tensor<i1>} : () -> tensor<i1>
  %0 = "ix.and"(%x, %t) : (tensor<?x4xi1>, tensor<i1>) -> tensor<?x4xi1>
  return %0 : tensor<?x4xi1>
}

// CHECK-LABEL: func.func @ones_of_integers_stay
// CHECK: "ix.and"
func.func @ones_of_integers_stay(%x: tensor<?x4xi32>) -> tensor<?x4xi32> {
  %t = "ix.constant"() {value = dense<1> : tensor<i32>} : () -> tensor<i32>
  %0 = "ix.and"(%x, %t) : (tensor<?x4xi32>, tensor<i32>) -> tensor<?x4xi32>
  return %0 : tensor<?x4xi32>
}

// CHECK-LABEL: func.func @truth_of_a_flag
// CHECK-NEXT: return %arg0
func.func @truth_of_a_flag(%x: tensor<?x4xi1>) -> tensor<?x4xi1> {
  %a = "ix.cast"(%x) : (tensor<?x4xi1>) -> tensor<?x4xf32>
  %z = "ix.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %0 = "ix.ne"(%a, %z) : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xi1>
  return %0 : tensor<?x4xi1>
}

// CHECK-LABEL: func.func @select_of_the_opposite
// CHECK-NEXT: "ix.select"(%arg0, %arg2, %arg1)
func.func @select_of_the_opposite(%b: tensor<?x4xi1>, %x: tensor<?x4xf32>, %y: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %n = "ix.logical_not"(%b) : (tensor<?x4xi1>) -> tensor<?x4xi1>
  %0 = "ix.select"(%n, %x, %y) : (tensor<?x4xi1>, tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @select_of_true
// CHECK-NEXT: return %arg0
func.func @select_of_true(%x: tensor<?x4xf32>, %y: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %t = "ix.constant"() {value = dense<true> : tensor<i1>} : () -> tensor<i1>
  %0 = "ix.select"(%t, %x, %y) : (tensor<i1>, tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @select_of_equals
// CHECK-NEXT: return %arg1
func.func @select_of_equals(%b: tensor<?x4xi1>, %x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %0 = "ix.select"(%b, %x, %x) : (tensor<?x4xi1>, tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @cast_and_back
// CHECK-NEXT: return %arg0
func.func @cast_and_back(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %a = "ix.cast"(%x) : (tensor<?x4xf32>) -> tensor<?x4xf64>
  %0 = "ix.cast"(%a) : (tensor<?x4xf64>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @cast_that_rounds_stays
// CHECK: "ix.cast"
// CHECK: "ix.cast"
func.func @cast_that_rounds_stays(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %a = "ix.cast"(%x) : (tensor<?x4xf32>) -> tensor<?x4xf16>
  %0 = "ix.cast"(%a) : (tensor<?x4xf16>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @integer_through_a_float
// CHECK-NEXT: "ix.cast"(%arg0) : (tensor<2xi16>) -> tensor<2xi32>
func.func @integer_through_a_float(%x: tensor<2xi16>) -> tensor<2xi32> {
  %a = "ix.cast"(%x) : (tensor<2xi16>) -> tensor<2xf32>
  %0 = "ix.cast"(%a) : (tensor<2xf32>) -> tensor<2xi32>
  return %0 : tensor<2xi32>
}

// CHECK-LABEL: func.func @integer_that_would_saturate_stays
// CHECK: "ix.cast"
// CHECK: "ix.cast"
func.func @integer_that_would_saturate_stays(%x: tensor<2xi16>) -> tensor<2xi8> {
  %a = "ix.cast"(%x) : (tensor<2xi16>) -> tensor<2xf32>
  %0 = "ix.cast"(%a) : (tensor<2xf32>) -> tensor<2xi8>
  return %0 : tensor<2xi8>
}

// CHECK-LABEL: func.func @operand_that_broadcasts
// CHECK-NEXT: "ix.add"(%arg0, %arg1)
func.func @operand_that_broadcasts(%x: tensor<2x4xf32>, %y: tensor<4xf32>) -> tensor<2x4xf32> {
  %a = "ix.broadcast"(%y) {shape = [2, 4]} : (tensor<4xf32>) -> tensor<2x4xf32>
  %0 = "ix.add"(%x, %a) : (tensor<2x4xf32>, tensor<2x4xf32>) -> tensor<2x4xf32>
  return %0 : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @operand_that_makes_the_result_larger_stays
// CHECK: "ix.broadcast"
func.func @operand_that_makes_the_result_larger_stays(%x: tensor<4xf32>, %y: tensor<4xf32>) -> tensor<2x4xf32> {
  %a = "ix.broadcast"(%y) {shape = [2, 4]} : (tensor<4xf32>) -> tensor<2x4xf32>
  %0 = "ix.add"(%x, %a) : (tensor<4xf32>, tensor<2x4xf32>) -> tensor<2x4xf32>
  return %0 : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @constant_of_one_number
// CHECK: "ix.constant"() {value = dense<5.000000e+00> : tensor<f32>}
func.func @constant_of_one_number(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %k = "ix.constant"() {value = dense<5.0> : tensor<4xf32>} : () -> tensor<4xf32>
  %0 = "ix.mul"(%x, %k) : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @whole_slice
// CHECK-NEXT: return %arg0
func.func @whole_slice(%x: tensor<4x6xf32>) -> tensor<4x6xf32> {
  %0 = "ix.slice"(%x) {limits = [4, 6], starts = [0, 0], strides = [1, 1]} : (tensor<4x6xf32>) -> tensor<4x6xf32>
  return %0 : tensor<4x6xf32>
}

// CHECK-LABEL: func.func @slices_merge
// CHECK-NEXT: "ix.slice"(%arg0) {limits = [3, 5], starts = [2, 2], strides = [2, 2]}
func.func @slices_merge(%x: tensor<4x6xf32>) -> tensor<1x2xf32> {
  %a = "ix.slice"(%x) {limits = [4, 6], starts = [1, 0], strides = [1, 2]} : (tensor<4x6xf32>) -> tensor<3x3xf32>
  %0 = "ix.slice"(%a) {limits = [3, 3], starts = [1, 1], strides = [2, 1]} : (tensor<3x3xf32>) -> tensor<1x2xf32>
  return %0 : tensor<1x2xf32>
}

// CHECK-LABEL: func.func @concat_of_one
// CHECK-NEXT: return %arg0
func.func @concat_of_one(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %0 = "ix.concat"(%x) {axis = 1 : i64} : (tensor<?x4xf32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @no_padding
// CHECK-NEXT: return %arg0
func.func @no_padding(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %z = "ix.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %0 = "ix.pad"(%x, %z) {high = [0, 0], low = [0, 0], mode = "constant"} : (tensor<?x4xf32>, tensor<f32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @padding_stays
// CHECK: "ix.pad"
func.func @padding_stays(%x: tensor<4xf32>) -> tensor<5xf32> {
  %z = "ix.constant"() {value = dense<0.0> : tensor<f32>} : () -> tensor<f32>
  %0 = "ix.pad"(%x, %z) {high = [1], low = [0], mode = "constant"} : (tensor<4xf32>, tensor<f32>) -> tensor<5xf32>
  return %0 : tensor<5xf32>
}

// CHECK-LABEL: func.func @one_tile_no_flip_one_part
// CHECK-NEXT: return %arg0
func.func @one_tile_no_flip_one_part(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %a = "ix.tile"(%x) {repeats = [1, 1]} : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %b = "ix.flip"(%a) {axes = []} : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %0 = "ix.split"(%b) {axis = 1 : i64, sizes = [4]} : (tensor<?x4xf32>) -> tensor<?x4xf32>
  return %0 : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @reduction_of_single_axes
// CHECK-NEXT: "ix.reshape"(%arg0) {shape = [4]}
func.func @reduction_of_single_axes(%x: tensor<4x1xf32>) -> tensor<4xf32> {
  %0 = "ix.reduce_mean"(%x) {axes = [1], keepdims = false} : (tensor<4x1xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// CHECK-LABEL: func.func @reduction_of_more_stays
// CHECK: "ix.reduce_sum"
func.func @reduction_of_more_stays(%x: tensor<4x2xf32>) -> tensor<4xf32> {
  %0 = "ix.reduce_sum"(%x) {axes = [1], keepdims = false} : (tensor<4x2xf32>) -> tensor<4xf32>
  return %0 : tensor<4xf32>
}

// CHECK-LABEL: func.func @static_size
// CHECK-NEXT: arith.constant 4 : index
func.func @static_size(%x: tensor<?x4xf32>) -> index {
  %0 = "ix.dim"(%x) {axis = 1 : i64} : (tensor<?x4xf32>) -> index
  return %0 : index
}

// CHECK-LABEL: func.func @unknown_size_stays
// CHECK: "ix.dim"
func.func @unknown_size_stays(%x: tensor<?x4xf32>) -> index {
  %0 = "ix.dim"(%x) {axis = 0 : i64} : (tensor<?x4xf32>) -> index
  return %0 : index
}
