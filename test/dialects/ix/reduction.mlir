// RUN: ix-opt %s | ix-opt | FileCheck %s

// CHECK-LABEL: func.func @reductions
func.func @reductions(%x: tensor<2x?x4xf16>) {
  // CHECK: "ix.reduce_sum"(%{{.*}}) {axes = [1, 2], keepdims = false} : (tensor<2x?x4xf16>) -> tensor<2xf16>
  %0 = "ix.reduce_sum"(%x) {axes = [1, 2], keepdims = false} : (tensor<2x?x4xf16>) -> tensor<2xf16>
  // CHECK: "ix.reduce_prod"(%{{.*}}) {axes = [1], keepdims = true} : (tensor<2x?x4xf16>) -> tensor<2x1x4xf16>
  %1 = "ix.reduce_prod"(%x) {axes = [1], keepdims = true} : (tensor<2x?x4xf16>) -> tensor<2x1x4xf16>
  // CHECK: "ix.reduce_mean"(%{{.*}}) {axes = [0, 1, 2], keepdims = false} : (tensor<2x?x4xf16>) -> tensor<f16>
  %2 = "ix.reduce_mean"(%x) {axes = [0, 1, 2], keepdims = false} : (tensor<2x?x4xf16>) -> tensor<f16>
  // CHECK: "ix.reduce_max"(%{{.*}}) {axes = [], keepdims = false} : (tensor<2x?x4xf16>) -> tensor<2x?x4xf16>
  %3 = "ix.reduce_max"(%x) {axes = [], keepdims = false} : (tensor<2x?x4xf16>) -> tensor<2x?x4xf16>
  // CHECK: "ix.reduce_min"(%{{.*}}) {axes = [2], keepdims = false} : (tensor<2x?x4xf16>) -> tensor<2x?xf16>
  %4 = "ix.reduce_min"(%x) {axes = [2], keepdims = false} : (tensor<2x?x4xf16>) -> tensor<2x?xf16>
  return
}

// CHECK-LABEL: func.func @reductions_of_bools
func.func @reductions_of_bools(%x: tensor<2x3xi1>) {
  // CHECK: "ix.reduce_any"(%{{.*}}) {axes = [1], keepdims = false} : (tensor<2x3xi1>) -> tensor<2xi1>
  %0 = "ix.reduce_any"(%x) {axes = [1], keepdims = false} : (tensor<2x3xi1>) -> tensor<2xi1>
  // CHECK: "ix.reduce_all"(%{{.*}}) {axes = [0], keepdims = true} : (tensor<2x3xi1>) -> tensor<1x3xi1>
  %1 = "ix.reduce_all"(%x) {axes = [0], keepdims = true} : (tensor<2x3xi1>) -> tensor<1x3xi1>
  return
}

// The extremum of nothing is no error where there is no element to hold it.
// CHECK-LABEL: func.func @extremum_of_nothing_into_nothing
func.func @extremum_of_nothing_into_nothing(%x: tensor<0x0xf32>) {
  // CHECK: "ix.reduce_max"(%{{.*}}) {axes = [0], keepdims = false} : (tensor<0x0xf32>) -> tensor<0xf32>
  %0 = "ix.reduce_max"(%x) {axes = [0], keepdims = false} : (tensor<0x0xf32>) -> tensor<0xf32>
  return
}

// CHECK-LABEL: func.func @places_of_extrema
func.func @places_of_extrema(%x: tensor<2x3xui8>) {
  // CHECK: "ix.argmax"(%{{.*}}) {axis = 1 : i64, keepdims = false, select_last = false} : (tensor<2x3xui8>) -> tensor<2xi64>
  %0 = "ix.argmax"(%x) {axis = 1 : i64, keepdims = false, select_last = false} : (tensor<2x3xui8>) -> tensor<2xi64>
  // CHECK: "ix.argmin"(%{{.*}}) {axis = 0 : i64, keepdims = true, select_last = true} : (tensor<2x3xui8>) -> tensor<1x3xi64>
  %1 = "ix.argmin"(%x) {axis = 0 : i64, keepdims = true, select_last = true} : (tensor<2x3xui8>) -> tensor<1x3xi64>
  return
}

// CHECK-LABEL: func.func @running_totals
func.func @running_totals(%x: tensor<2x?xi32>) {
  // CHECK: "ix.cumsum"(%{{.*}}) {axis = 1 : i64, exclusive = true, reverse = false} : (tensor<2x?xi32>) -> tensor<2x?xi32>
  %0 = "ix.cumsum"(%x) {axis = 1 : i64, exclusive = true, reverse = false} : (tensor<2x?xi32>) -> tensor<2x?xi32>
  // CHECK: "ix.cumprod"(%{{.*}}) {axis = 0 : i64, exclusive = false, reverse = true} : (tensor<2x?xi32>) -> tensor<2x?xi32>
  %1 = "ix.cumprod"(%x) {axis = 0 : i64, exclusive = false, reverse = true} : (tensor<2x?xi32>) -> tensor<2x?xi32>
  return
}

// CHECK-LABEL: func.func @ordering
func.func @ordering(%x: tensor<2x?xbf16>) {
  // CHECK: "ix.sort"(%{{.*}}) {axis = 1 : i64, descending = false} : (tensor<2x?xbf16>) -> (tensor<2x?xbf16>, tensor<2x?xi64>)
  %0:2 = "ix.sort"(%x) {axis = 1 : i64, descending = false} : (tensor<2x?xbf16>) -> (tensor<2x?xbf16>, tensor<2x?xi64>)
  // CHECK: "ix.topk"(%{{.*}}) {axis = 1 : i64, k = 3 : i64, largest = true} : (tensor<2x?xbf16>) -> (tensor<2x3xbf16>, tensor<2x3xi64>)
  %1:2 = "ix.topk"(%x) {axis = 1 : i64, k = 3 : i64, largest = true} : (tensor<2x?xbf16>) -> (tensor<2x3xbf16>, tensor<2x3xi64>)
  return
}
