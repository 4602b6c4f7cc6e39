// Passes of ix and of upstream mix in every spelling.
// RUN: ix-opt %s -p 'ix-decompose-attention{all},ix-lower-to-linalg,canonicalize' | FileCheck %s
// RUN: ix-opt %s --ix-decompose-attention=all=true --ix-lower-to-linalg --canonicalize | FileCheck %s
// RUN: ix-opt %s --pass-pipeline='builtin.module(ix-decompose-attention{all=1},ix-lower-to-linalg,func.func(canonicalize,cse))' | FileCheck %s
// RUN: ix-opt %s -p 'any(cse),ix-decompose-attention' | FileCheck %s --check-prefix=STAYS
// RUN: not ix-opt %s -p 'ix-decompose-attention{every}' 2>&1 | FileCheck %s --check-prefix=OPTION
// RUN: not ix-opt %s -p 'ix-decompose-attentions' 2>&1 | FileCheck %s --check-prefix=NAME

// CHECK-LABEL: func.func @attention
// CHECK-NOT:     ix.attention
// CHECK:         linalg.generic
// STAYS:         "ix.attention"
// OPTION: ix-opt: error: pass 'ix-decompose-attention' has no option 'every'; it has: all
// NAME: ix-opt: error: there is no pass 'ix-decompose-attentions'; did you mean 'ix-decompose-attention'
func.func @attention(%q: tensor<1x2x8x16xf32>, %k: tensor<1x2x8x16xf32>, %v: tensor<1x2x8x16xf32>) -> tensor<1x2x8x16xf32> {
  %0 = "ix.attention"(%q, %k, %v) {scale = 0.25 : f64, causal = true, has_mask = false} : (tensor<1x2x8x16xf32>, tensor<1x2x8x16xf32>, tensor<1x2x8x16xf32>) -> tensor<1x2x8x16xf32>
  return %0 : tensor<1x2x8x16xf32>
}
