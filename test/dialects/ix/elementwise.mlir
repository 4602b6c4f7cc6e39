// RUN: ix-opt %s | ix-opt | FileCheck %s

// CHECK-LABEL: func.func @functions_of_floats
func.func @functions_of_floats(%x: tensor<4x?xf32>) {
  // CHECK: "ix.exp"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  %0 = "ix.exp"(%x) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.exp2"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  %1 = "ix.exp2"(%x) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.expm1"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  %2 = "ix.expm1"(%x) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.log"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  %3 = "ix.log"(%x) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.log2"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  %4 = "ix.log2"(%x) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.log10"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  %5 = "ix.log10"(%x) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.log1p"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  %6 = "ix.log1p"(%x) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.sqrt"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  %7 = "ix.sqrt"(%x) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.rsqrt"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  %8 = "ix.rsqrt"(%x) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.cbrt"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  %9 = "ix.cbrt"(%x) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.reciprocal"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  %10 = "ix.reciprocal"(%x) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.sin"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  %11 = "ix.sin"(%x) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.cos"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  %12 = "ix.cos"(%x) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.tan"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  %13 = "ix.tan"(%x) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.asin"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  %14 = "ix.asin"(%x) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.acos"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  %15 = "ix.acos"(%x) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.atan"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  %16 = "ix.atan"(%x) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.sinh"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  %17 = "ix.sinh"(%x) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.cosh"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  %18 = "ix.cosh"(%x) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.tanh"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  %19 = "ix.tanh"(%x) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.asinh"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  %20 = "ix.asinh"(%x) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.acosh"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  %21 = "ix.acosh"(%x) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.atanh"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  %22 = "ix.atanh"(%x) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.erf"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  %23 = "ix.erf"(%x) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.erfc"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  %24 = "ix.erfc"(%x) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.silu"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  %25 = "ix.silu"(%x) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.sigmoid"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  %26 = "ix.sigmoid"(%x) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.softplus"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  %27 = "ix.softplus"(%x) : (tensor<4x?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.gelu"(%{{.*}}) {approximate = "none"} : (tensor<4x?xf32>) -> tensor<4x?xf32>
  %28 = "ix.gelu"(%x) {approximate = "none"} : (tensor<4x?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.gelu"(%{{.*}}) {approximate = "tanh"} : (tensor<4x?xf32>) -> tensor<4x?xf32>
  %29 = "ix.gelu"(%x) {approximate = "tanh"} : (tensor<4x?xf32>) -> tensor<4x?xf32>
  return
}

// CHECK-LABEL: func.func @functions_of_numbers
func.func @functions_of_numbers(%x: tensor<?xf16>, %i: tensor<3x?xi32>, %u: tensor<8xui8>) {
  // CHECK: "ix.neg"(%{{.*}}) : (tensor<?xf16>) -> tensor<?xf16>
  %0 = "ix.neg"(%x) : (tensor<?xf16>) -> tensor<?xf16>
  // CHECK: "ix.abs"(%{{.*}}) : (tensor<?xf16>) -> tensor<?xf16>
  %1 = "ix.abs"(%x) : (tensor<?xf16>) -> tensor<?xf16>
  // CHECK: "ix.sign"(%{{.*}}) : (tensor<?xf16>) -> tensor<?xf16>
  %2 = "ix.sign"(%x) : (tensor<?xf16>) -> tensor<?xf16>
  // CHECK: "ix.ceil"(%{{.*}}) : (tensor<?xf16>) -> tensor<?xf16>
  %3 = "ix.ceil"(%x) : (tensor<?xf16>) -> tensor<?xf16>
  // CHECK: "ix.floor"(%{{.*}}) : (tensor<?xf16>) -> tensor<?xf16>
  %4 = "ix.floor"(%x) : (tensor<?xf16>) -> tensor<?xf16>
  // CHECK: "ix.round"(%{{.*}}) : (tensor<?xf16>) -> tensor<?xf16>
  %5 = "ix.round"(%x) : (tensor<?xf16>) -> tensor<?xf16>
  // CHECK: "ix.trunc"(%{{.*}}) : (tensor<?xf16>) -> tensor<?xf16>
  %6 = "ix.trunc"(%x) : (tensor<?xf16>) -> tensor<?xf16>
  // CHECK: "ix.relu"(%{{.*}}) : (tensor<?xf16>) -> tensor<?xf16>
  %7 = "ix.relu"(%x) : (tensor<?xf16>) -> tensor<?xf16>
  // CHECK: "ix.neg"(%{{.*}}) : (tensor<3x?xi32>) -> tensor<3x?xi32>
  %8 = "ix.neg"(%i) : (tensor<3x?xi32>) -> tensor<3x?xi32>
  // CHECK: "ix.abs"(%{{.*}}) : (tensor<3x?xi32>) -> tensor<3x?xi32>
  %9 = "ix.abs"(%i) : (tensor<3x?xi32>) -> tensor<3x?xi32>
  // CHECK: "ix.sign"(%{{.*}}) : (tensor<3x?xi32>) -> tensor<3x?xi32>
  %10 = "ix.sign"(%i) : (tensor<3x?xi32>) -> tensor<3x?xi32>
  // CHECK: "ix.relu"(%{{.*}}) : (tensor<3x?xi32>) -> tensor<3x?xi32>
  %11 = "ix.relu"(%i) : (tensor<3x?xi32>) -> tensor<3x?xi32>
  // CHECK: "ix.bitwise_not"(%{{.*}}) : (tensor<3x?xi32>) -> tensor<3x?xi32>
  %12 = "ix.bitwise_not"(%i) : (tensor<3x?xi32>) -> tensor<3x?xi32>
  // CHECK: "ix.bitwise_not"(%{{.*}}) : (tensor<8xui8>) -> tensor<8xui8>
  %13 = "ix.bitwise_not"(%u) : (tensor<8xui8>) -> tensor<8xui8>
  return
}

// CHECK-LABEL: func.func @predicates
func.func @predicates(%x: tensor<4x?xf32>, %c: tensor<4x?xi1>) {
  // CHECK: "ix.isnan"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xi1>
  %0 = "ix.isnan"(%x) : (tensor<4x?xf32>) -> tensor<4x?xi1>
  // CHECK: "ix.isinf"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xi1>
  %1 = "ix.isinf"(%x) : (tensor<4x?xf32>) -> tensor<4x?xi1>
  // CHECK: "ix.isfinite"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xi1>
  %2 = "ix.isfinite"(%x) : (tensor<4x?xf32>) -> tensor<4x?xi1>
  // CHECK: "ix.logical_not"(%{{.*}}) : (tensor<4x?xi1>) -> tensor<4x?xi1>
  %3 = "ix.logical_not"(%c) : (tensor<4x?xi1>) -> tensor<4x?xi1>
  return
}

// CHECK-LABEL: func.func @binary_functions_broadcast
func.func @binary_functions_broadcast(%x: tensor<4x?xf32>, %row: tensor<?xf32>, %one: tensor<f32>) {
  // CHECK: "ix.add"(%{{.*}}, %{{.*}}) : (tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xf32>
  %0 = "ix.add"(%x, %row) : (tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.sub"(%{{.*}}, %{{.*}}) : (tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xf32>
  %1 = "ix.sub"(%x, %row) : (tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.mul"(%{{.*}}, %{{.*}}) : (tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xf32>
  %2 = "ix.mul"(%x, %row) : (tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.div"(%{{.*}}, %{{.*}}) : (tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xf32>
  %3 = "ix.div"(%x, %row) : (tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.floor_div"(%{{.*}}, %{{.*}}) : (tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xf32>
  %4 = "ix.floor_div"(%x, %row) : (tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.mod"(%{{.*}}, %{{.*}}) : (tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xf32>
  %5 = "ix.mod"(%x, %row) : (tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.fmod"(%{{.*}}, %{{.*}}) : (tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xf32>
  %6 = "ix.fmod"(%x, %row) : (tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.pow"(%{{.*}}, %{{.*}}) : (tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xf32>
  %7 = "ix.pow"(%x, %row) : (tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.max"(%{{.*}}, %{{.*}}) : (tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xf32>
  %8 = "ix.max"(%x, %row) : (tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.min"(%{{.*}}, %{{.*}}) : (tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xf32>
  %9 = "ix.min"(%x, %row) : (tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.atan2"(%{{.*}}, %{{.*}}) : (tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xf32>
  %10 = "ix.atan2"(%x, %row) : (tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.add"(%{{.*}}, %{{.*}}) : (tensor<f32>, tensor<4x?xf32>) -> tensor<4x?xf32>
  %11 = "ix.add"(%one, %x) : (tensor<f32>, tensor<4x?xf32>) -> tensor<4x?xf32>
  return
}

// CHECK-LABEL: func.func @binary_functions_of_integers
func.func @binary_functions_of_integers(%a: tensor<2x1xi8>, %b: tensor<1x3xi8>, %c: tensor<4x?xi1>) {
  // CHECK: "ix.add"(%{{.*}}, %{{.*}}) : (tensor<2x1xi8>, tensor<1x3xi8>) -> tensor<2x3xi8>
  %0 = "ix.add"(%a, %b) : (tensor<2x1xi8>, tensor<1x3xi8>) -> tensor<2x3xi8>
  // CHECK: "ix.sub"(%{{.*}}, %{{.*}}) : (tensor<2x1xi8>, tensor<1x3xi8>) -> tensor<2x3xi8>
  %1 = "ix.sub"(%a, %b) : (tensor<2x1xi8>, tensor<1x3xi8>) -> tensor<2x3xi8>
  // CHECK: "ix.mul"(%{{.*}}, %{{.*}}) : (tensor<2x1xi8>, tensor<1x3xi8>) -> tensor<2x3xi8>
  %2 = "ix.mul"(%a, %b) : (tensor<2x1xi8>, tensor<1x3xi8>) -> tensor<2x3xi8>
  // CHECK: "ix.div"(%{{.*}}, %{{.*}}) : (tensor<2x1xi8>, tensor<1x3xi8>) -> tensor<2x3xi8>
  %3 = "ix.div"(%a, %b) : (tensor<2x1xi8>, tensor<1x3xi8>) -> tensor<2x3xi8>
  // CHECK: "ix.floor_div"(%{{.*}}, %{{.*}}) : (tensor<2x1xi8>, tensor<1x3xi8>) -> tensor<2x3xi8>
  %4 = "ix.floor_div"(%a, %b) : (tensor<2x1xi8>, tensor<1x3xi8>) -> tensor<2x3xi8>
  // CHECK: "ix.mod"(%{{.*}}, %{{.*}}) : (tensor<2x1xi8>, tensor<1x3xi8>) -> tensor<2x3xi8>
  %5 = "ix.mod"(%a, %b) : (tensor<2x1xi8>, tensor<1x3xi8>) -> tensor<2x3xi8>
  // CHECK: "ix.fmod"(%{{.*}}, %{{.*}}) : (tensor<2x1xi8>, tensor<1x3xi8>) -> tensor<2x3xi8>
  %6 = "ix.fmod"(%a, %b) : (tensor<2x1xi8>, tensor<1x3xi8>) -> tensor<2x3xi8>
  // CHECK: "ix.max"(%{{.*}}, %{{.*}}) : (tensor<2x1xi8>, tensor<1x3xi8>) -> tensor<2x3xi8>
  %7 = "ix.max"(%a, %b) : (tensor<2x1xi8>, tensor<1x3xi8>) -> tensor<2x3xi8>
  // CHECK: "ix.min"(%{{.*}}, %{{.*}}) : (tensor<2x1xi8>, tensor<1x3xi8>) -> tensor<2x3xi8>
  %8 = "ix.min"(%a, %b) : (tensor<2x1xi8>, tensor<1x3xi8>) -> tensor<2x3xi8>
  // CHECK: "ix.and"(%{{.*}}, %{{.*}}) : (tensor<2x1xi8>, tensor<1x3xi8>) -> tensor<2x3xi8>
  %9 = "ix.and"(%a, %b) : (tensor<2x1xi8>, tensor<1x3xi8>) -> tensor<2x3xi8>
  // CHECK: "ix.or"(%{{.*}}, %{{.*}}) : (tensor<2x1xi8>, tensor<1x3xi8>) -> tensor<2x3xi8>
  %10 = "ix.or"(%a, %b) : (tensor<2x1xi8>, tensor<1x3xi8>) -> tensor<2x3xi8>
  // CHECK: "ix.xor"(%{{.*}}, %{{.*}}) : (tensor<2x1xi8>, tensor<1x3xi8>) -> tensor<2x3xi8>
  %11 = "ix.xor"(%a, %b) : (tensor<2x1xi8>, tensor<1x3xi8>) -> tensor<2x3xi8>
  // CHECK: "ix.shift_left"(%{{.*}}, %{{.*}}) : (tensor<2x1xi8>, tensor<1x3xi8>) -> tensor<2x3xi8>
  %12 = "ix.shift_left"(%a, %b) : (tensor<2x1xi8>, tensor<1x3xi8>) -> tensor<2x3xi8>
  // CHECK: "ix.shift_right"(%{{.*}}, %{{.*}}) : (tensor<2x1xi8>, tensor<1x3xi8>) -> tensor<2x3xi8>
  %13 = "ix.shift_right"(%a, %b) : (tensor<2x1xi8>, tensor<1x3xi8>) -> tensor<2x3xi8>
  // CHECK: "ix.and"(%{{.*}}, %{{.*}}) : (tensor<4x?xi1>, tensor<4x?xi1>) -> tensor<4x?xi1>
  %14 = "ix.and"(%c, %c) : (tensor<4x?xi1>, tensor<4x?xi1>) -> tensor<4x?xi1>
  // CHECK: "ix.or"(%{{.*}}, %{{.*}}) : (tensor<4x?xi1>, tensor<4x?xi1>) -> tensor<4x?xi1>
  %15 = "ix.or"(%c, %c) : (tensor<4x?xi1>, tensor<4x?xi1>) -> tensor<4x?xi1>
  // CHECK: "ix.xor"(%{{.*}}, %{{.*}}) : (tensor<4x?xi1>, tensor<4x?xi1>) -> tensor<4x?xi1>
  %16 = "ix.xor"(%c, %c) : (tensor<4x?xi1>, tensor<4x?xi1>) -> tensor<4x?xi1>
  return
}

// CHECK-LABEL: func.func @comparisons
func.func @comparisons(%x: tensor<4x?xf32>, %row: tensor<?xf32>, %u: tensor<8xui8>) {
  // CHECK: "ix.eq"(%{{.*}}, %{{.*}}) : (tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xi1>
  %0 = "ix.eq"(%x, %row) : (tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xi1>
  // CHECK: "ix.ne"(%{{.*}}, %{{.*}}) : (tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xi1>
  %1 = "ix.ne"(%x, %row) : (tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xi1>
  // CHECK: "ix.lt"(%{{.*}}, %{{.*}}) : (tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xi1>
  %2 = "ix.lt"(%x, %row) : (tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xi1>
  // CHECK: "ix.le"(%{{.*}}, %{{.*}}) : (tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xi1>
  %3 = "ix.le"(%x, %row) : (tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xi1>
  // CHECK: "ix.gt"(%{{.*}}, %{{.*}}) : (tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xi1>
  %4 = "ix.gt"(%x, %row) : (tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xi1>
  // CHECK: "ix.ge"(%{{.*}}, %{{.*}}) : (tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xi1>
  %5 = "ix.ge"(%x, %row) : (tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xi1>
  // CHECK: "ix.lt"(%{{.*}}, %{{.*}}) : (tensor<8xui8>, tensor<8xui8>) -> tensor<8xi1>
  %6 = "ix.lt"(%u, %u) : (tensor<8xui8>, tensor<8xui8>) -> tensor<8xi1>
  return
}

// CHECK-LABEL: func.func @choices_and_casts
func.func @choices_and_casts(%c: tensor<?xi1>, %x: tensor<4x?xf32>, %row: tensor<?xf32>, %s: tensor<f32>) {
  // CHECK: "ix.select"(%{{.*}}, %{{.*}}, %{{.*}}) : (tensor<?xi1>, tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xf32>
  %0 = "ix.select"(%c, %x, %row) : (tensor<?xi1>, tensor<4x?xf32>, tensor<?xf32>) -> tensor<4x?xf32>
  // CHECK: "ix.clamp"(%{{.*}}, %{{.*}}, %{{.*}}) : (tensor<4x?xf32>, tensor<f32>, tensor<f32>) -> tensor<4x?xf32>
  %1 = "ix.clamp"(%x, %s, %s) : (tensor<4x?xf32>, tensor<f32>, tensor<f32>) -> tensor<4x?xf32>
  // CHECK: "ix.cast"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xf64>
  %2 = "ix.cast"(%x) : (tensor<4x?xf32>) -> tensor<4x?xf64>
  // CHECK: "ix.cast"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xf16>
  %3 = "ix.cast"(%x) : (tensor<4x?xf32>) -> tensor<4x?xf16>
  // CHECK: "ix.cast"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xbf16>
  %4 = "ix.cast"(%x) : (tensor<4x?xf32>) -> tensor<4x?xbf16>
  // CHECK: "ix.cast"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xf8E4M3FN>
  %5 = "ix.cast"(%x) : (tensor<4x?xf32>) -> tensor<4x?xf8E4M3FN>
  // CHECK: "ix.cast"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xf8E5M2>
  %6 = "ix.cast"(%x) : (tensor<4x?xf32>) -> tensor<4x?xf8E5M2>
  // CHECK: "ix.cast"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xi64>
  %7 = "ix.cast"(%x) : (tensor<4x?xf32>) -> tensor<4x?xi64>
  // CHECK: "ix.cast"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xi32>
  %8 = "ix.cast"(%x) : (tensor<4x?xf32>) -> tensor<4x?xi32>
  // CHECK: "ix.cast"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xi16>
  %9 = "ix.cast"(%x) : (tensor<4x?xf32>) -> tensor<4x?xi16>
  // CHECK: "ix.cast"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xi8>
  %10 = "ix.cast"(%x) : (tensor<4x?xf32>) -> tensor<4x?xi8>
  // CHECK: "ix.cast"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xi4>
  %11 = "ix.cast"(%x) : (tensor<4x?xf32>) -> tensor<4x?xi4>
  // CHECK: "ix.cast"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xui8>
  %12 = "ix.cast"(%x) : (tensor<4x?xf32>) -> tensor<4x?xui8>
  // CHECK: "ix.cast"(%{{.*}}) : (tensor<4x?xf32>) -> tensor<4x?xi1>
  %13 = "ix.cast"(%x) : (tensor<4x?xf32>) -> tensor<4x?xi1>
  return
}
