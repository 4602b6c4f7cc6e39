// RUN: ix-opt %s --allow-unregistered-dialect | FileCheck %s
// RUN: not ix-opt %s 2>&1 | FileCheck %s --check-prefix=REFUSED

// CHECK: "alien.op"() : () -> ()
// REFUSED: unregistered_dialect.mlir:7:13: error: {{.*}}unregistered
func.func @f() {
  "alien.op"() : () -> ()
  return
}
