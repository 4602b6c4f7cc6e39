// RUN: not ix-opt %s -p ix-emit-loops 2>&1 | FileCheck %s

// CHECK: needs the attribute ix.target, but has none
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}
