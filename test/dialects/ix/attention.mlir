// RUN: ix-opt %s | ix-opt | FileCheck %s

// CHECK-LABEL: func.func @attention
func.func @attention(%q: tensor<?x8x5x16xf32>, %k: tensor<?x2x?x16xf32>, %v: tensor<?x2x?x4xf32>, %m: tensor<5x1xi1>) {
  // CHECK: "ix.attention"(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) {causal = true, has_mask = true, scale = 2.500000e-01 : f64}
  %0 = "ix.attention"(%q, %k, %v, %m) {scale = 0.25 : f64, causal = true, has_mask = true} : (tensor<?x8x5x16xf32>, tensor<?x2x?x16xf32>, tensor<?x2x?x4xf32>, tensor<5x1xi1>) -> tensor<?x8x5x4xf32>
  return
}
