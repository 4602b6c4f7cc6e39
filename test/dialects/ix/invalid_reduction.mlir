// RUN: ix-opt %s --split-input-file --verify-diagnostics > /dev/null

func.func @axes_out_of_range(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.reduce_sum: axes must lie in 0..1, got 2}}
  %0 = "ix.reduce_sum"(%x) {axes = [2], keepdims = false} : (tensor<2x3xf32>) -> tensor<2xf32>
  return
}

// -----

func.func @axes_not_ascending(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.reduce_sum: axes must be ascending without repeats, got [1, 0]}}
  %0 = "ix.reduce_sum"(%x) {axes = [1, 0], keepdims = false} : (tensor<2x3xf32>) -> tensor<f32>
  return
}

// -----

func.func @axis_stays_in_the_result(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.reduce_prod: result must be tensor<2x1xf32>, got tensor<2xf32>}}
  %0 = "ix.reduce_prod"(%x) {axes = [1], keepdims = true} : (tensor<2x3xf32>) -> tensor<2xf32>
  return
}

// -----

func.func @sum_of_bools(%x: tensor<2x3xi1>) {
  // expected-error @below {{ix.reduce_sum: operand must have numbers as elements, got tensor<2x3xi1>; cast it first}}
  %0 = "ix.reduce_sum"(%x) {axes = [1], keepdims = false} : (tensor<2x3xi1>) -> tensor<2xi1>
  return
}

// -----

func.func @mean_of_integers(%x: tensor<2x3xi32>) {
  // expected-error @below {{ix.reduce_mean: operand must have floats as elements, got tensor<2x3xi32>; cast it first}}
  %0 = "ix.reduce_mean"(%x) {axes = [1], keepdims = false} : (tensor<2x3xi32>) -> tensor<2xi32>
  return
}

// -----

func.func @any_of_floats(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.reduce_any: operand must have i1 as elements, got tensor<2x3xf32>; cast it first}}
  %0 = "ix.reduce_any"(%x) {axes = [1], keepdims = false} : (tensor<2x3xf32>) -> tensor<2xf32>
  return
}

// -----

func.func @extremum_of_nothing(%x: tensor<2x0xf32>) {
  // expected-error @below {{ix.reduce_max: reduced axes must not be empty, but axes [1] of tensor<2x0xf32> are; an empty tensor has no extremum}}
  %0 = "ix.reduce_max"(%x) {axes = [1], keepdims = false} : (tensor<2x0xf32>) -> tensor<2xf32>
  return
}

// -----

func.func @place_of_nothing(%x: tensor<0xf32>) {
  // expected-error @below {{ix.argmin: reduced axes must not be empty}}
  %0 = "ix.argmin"(%x) {axis = 0 : i64, keepdims = false, select_last = false} : (tensor<0xf32>) -> tensor<i64>
  return
}

// -----

func.func @axis_of_a_scalar(%x: tensor<f32>) {
  // expected-error @below {{ix.argmax: axis needs an operand with axes, got 0 for a scalar}}
  %0 = "ix.argmax"(%x) {axis = 0 : i64, keepdims = false, select_last = false} : (tensor<f32>) -> tensor<i64>
  return
}

// -----

func.func @place_is_i64(%x: tensor<3xf32>) {
  // expected-error @below {{ix.argmax: result must be tensor<i64>, got tensor<i32>}}
  %0 = "ix.argmax"(%x) {axis = 0 : i64, keepdims = false, select_last = false} : (tensor<3xf32>) -> tensor<i32>
  return
}

// -----

func.func @running_total_of_bools(%x: tensor<3xi1>) {
  // expected-error @below {{ix.cumsum: operand must have numbers as elements, got tensor<3xi1>; cast it first}}
  %0 = "ix.cumsum"(%x) {axis = 0 : i64, exclusive = false, reverse = false} : (tensor<3xi1>) -> tensor<3xi1>
  return
}

// -----

func.func @sort_keeps_the_type(%x: tensor<3xf32>) {
  // expected-error @below {{ix.sort: result must be tensor<3xf32>, tensor<3xi64>, got tensor<3xf32>, tensor<3xi32>}}
  %0:2 = "ix.sort"(%x) {axis = 0 : i64, descending = false} : (tensor<3xf32>) -> (tensor<3xf32>, tensor<3xi32>)
  return
}

// -----

func.func @k_above_the_size(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.topk: k must lie in 0..3, the size of axis 1, got 4}}
  %0:2 = "ix.topk"(%x) {axis = 1 : i64, k = 4 : i64, largest = true} : (tensor<2x3xf32>) -> (tensor<2x4xf32>, tensor<2x4xi64>)
  return
}
