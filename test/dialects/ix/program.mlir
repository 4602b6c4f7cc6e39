// RUN: ix-opt %s | ix-opt | FileCheck %s

// CHECK-LABEL: func.func @program
func.func @program() {
  // CHECK: "ix.parameter"() {name = "encoder.weight"} : () -> tensor<2x3xbf16>
  %0 = "ix.parameter"() {name = "encoder.weight"} : () -> tensor<2x3xbf16>
  // CHECK: "ix.constant"() {value = dense<2.000000e+00> : tensor<f16>} : () -> tensor<f16>
  %1 = "ix.constant"() {value = dense<2.000000e+00> : tensor<f16>} : () -> tensor<f16>
  // CHECK: "ix.constant"() {value = dense<[1, 255]> : tensor<2xui8>} : () -> tensor<2xui8>
  %2 = "ix.constant"() {value = dense<[1, 255]> : tensor<2xui8>} : () -> tensor<2xui8>
  // CHECK: "ix.constant"() {value = dense<> : tensor<0x3xi1>} : () -> tensor<0x3xi1>
  %3 = "ix.constant"() {value = dense<> : tensor<0x3xi1>} : () -> tensor<0x3xi1>
  // CHECK: "ix.constant"() {value = dense<[-8, 7]> : tensor<2xi4>} : () -> tensor<2xi4>
  %4 = "ix.constant"() {value = dense<[-8, 7]> : tensor<2xi4>} : () -> tensor<2xi4>
  return
}
