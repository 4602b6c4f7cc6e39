// RUN: ix-opt %s | ix-opt | FileCheck %s

// CHECK-LABEL: func.func @matmuls
func.func @matmuls(%a: tensor<3x1x4x5xf32>, %b: tensor<2x6x5xf32>, %h: tensor<5x?xf16>) {
  // CHECK: "ix.matmul"(%{{.*}}, %{{.*}}) {transpose_a = false, transpose_b = true} : (tensor<3x1x4x5xf32>, tensor<2x6x5xf32>) -> tensor<3x2x4x6xf32>
  %0 = "ix.matmul"(%a, %b) {transpose_a = false, transpose_b = true} : (tensor<3x1x4x5xf32>, tensor<2x6x5xf32>) -> tensor<3x2x4x6xf32>
  // Short floats may keep the precision of the sum.
  // CHECK: "ix.matmul"(%{{.*}}, %{{.*}}) {transpose_a = true, transpose_b = false} : (tensor<5x?xf16>, tensor<5x?xf16>) -> tensor<?x?xf32>
  %1 = "ix.matmul"(%h, %h) {transpose_a = true, transpose_b = false} : (tensor<5x?xf16>, tensor<5x?xf16>) -> tensor<?x?xf32>
  return
}

// CHECK-LABEL: func.func @bytes_give_words
func.func @bytes_give_words(%a: tensor<2x3xi8>, %b: tensor<3x4xui8>) {
  // CHECK: "ix.matmul"(%{{.*}}, %{{.*}}) {transpose_a = false, transpose_b = false} : (tensor<2x3xi8>, tensor<3x4xui8>) -> tensor<2x4xi32>
  %0 = "ix.matmul"(%a, %b) {transpose_a = false, transpose_b = false} : (tensor<2x3xi8>, tensor<3x4xui8>) -> tensor<2x4xi32>
  return
}

// CHECK-LABEL: func.func @dot_general
func.func @dot_general(%a: tensor<2x3x4x5xf32>, %b: tensor<5x6x4xf32>) {
  // CHECK: "ix.dot_general"(%{{.*}}, %{{.*}}) {batch_a = [2], batch_b = [2], contract_a = [3], contract_b = [0]} : (tensor<2x3x4x5xf32>, tensor<5x6x4xf32>) -> tensor<4x2x3x6xf32>
  %0 = "ix.dot_general"(%a, %b) {batch_a = [2], batch_b = [2], contract_a = [3], contract_b = [0]} : (tensor<2x3x4x5xf32>, tensor<5x6x4xf32>) -> tensor<4x2x3x6xf32>
  return
}
