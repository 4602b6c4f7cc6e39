// RUN: ix-opt %s --split-input-file="// cut here" --output-split-marker="" | FileCheck %s

// CHECK: func.func @f(%{{.*}}: i32)
// CHECK-NOT: // -----
// CHECK: func.func @f(%{{.*}}: i64)
func.func @f(%a: i32) {
  return
}
// cut here
func.func @f(%a: i64) {
  return
}
