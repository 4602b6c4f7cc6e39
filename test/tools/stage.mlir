// RUN: ix-opt %s --stage=import | FileCheck %s
// RUN: ix-opt %s -stage graph | FileCheck %s

// CHECK: func.func @main
func.func @main(%a: tensor<4xf32>) -> tensor<4xf32> {
  return %a : tensor<4xf32>
}
