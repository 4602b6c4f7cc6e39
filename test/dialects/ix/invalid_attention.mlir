// RUN: ix-opt %s --split-input-file --verify-diagnostics > /dev/null

func.func @operands(%q: tensor<1x2x3x4xf32>) {
  // expected-error @below {{ix.attention: needs 4 operands, as has_mask says, got 3}}
  %0 = "ix.attention"(%q, %q, %q) {scale = 1.0 : f64, causal = false, has_mask = true} : (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>) -> tensor<1x2x3x4xf32>
  return
}

// -----

func.func @rank(%q: tensor<2x3x4xf32>) {
  // expected-error @below {{ix.attention: q, k and v must have four axes, got tensor<2x3x4xf32>, tensor<2x3x4xf32> and tensor<2x3x4xf32>}}
  %0 = "ix.attention"(%q, %q, %q) {scale = 1.0 : f64, causal = false, has_mask = false} : (tensor<2x3x4xf32>, tensor<2x3x4xf32>, tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
  return
}

// -----

func.func @integers(%q: tensor<1x2x3x4xi32>) {
  // expected-error @below {{ix.attention: operand must have floats as elements, got tensor<1x2x3x4xi32>; cast it first}}
  %0 = "ix.attention"(%q, %q, %q) {scale = 1.0 : f64, causal = false, has_mask = false} : (tensor<1x2x3x4xi32>, tensor<1x2x3x4xi32>, tensor<1x2x3x4xi32>) -> tensor<1x2x3x4xi32>
  return
}

// -----

func.func @keys_and_values(%q: tensor<1x2x3x4xf32>, %v: tensor<1x2x5x4xf32>) {
  // expected-error @below {{ix.attention: key sizes must be equal, got tensor<1x2x3x4xf32>, tensor<1x2x5x4xf32>}}
  %0 = "ix.attention"(%q, %q, %v) {scale = 1.0 : f64, causal = false, has_mask = false} : (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x5x4xf32>) -> tensor<1x2x3x4xf32>
  return
}

// -----

func.func @heads(%q: tensor<1x3x3x4xf32>, %k: tensor<1x2x5x4xf32>) {
  // expected-error @below {{ix.attention: query heads must be a multiple of key heads, got 3 and 2}}
  %0 = "ix.attention"(%q, %k, %k) {scale = 1.0 : f64, causal = false, has_mask = false} : (tensor<1x3x3x4xf32>, tensor<1x2x5x4xf32>, tensor<1x2x5x4xf32>) -> tensor<1x3x3x4xf32>
  return
}

// -----

func.func @mask_type(%q: tensor<1x2x3x4xf32>, %m: tensor<3x3xi8>) {
  // expected-error @below {{ix.attention: mask must have elements of i1 or of the operands' type, got tensor<3x3xi8>; cast it}}
  %0 = "ix.attention"(%q, %q, %q, %m) {scale = 1.0 : f64, causal = false, has_mask = true} : (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<3x3xi8>) -> tensor<1x2x3x4xf32>
  return
}

// -----

func.func @mask_shape(%q: tensor<1x2x3x4xf32>, %m: tensor<3x2xi1>) {
  // expected-error @below {{ix.attention: mask must broadcast to 1x2x3x3, got tensor<3x2xi1>}}
  %0 = "ix.attention"(%q, %q, %q, %m) {scale = 1.0 : f64, causal = false, has_mask = true} : (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<3x2xi1>) -> tensor<1x2x3x4xf32>
  return
}
