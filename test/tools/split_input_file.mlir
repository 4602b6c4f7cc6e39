// RUN: ix-opt %s --split-input-file | FileCheck %s
// RUN: ix-opt %s --split-input-file --output-split-marker="// and then" | FileCheck %s --check-prefix=AND
// RUN: not ix-opt %s 2>&1 | FileCheck %s --check-prefix=WHOLE

// One symbol twice: only chunks of their own make that right.
// CHECK:      func.func @f(%{{.*}}: i32)
// CHECK:      {{^}}// -----
// CHECK:      func.func @f(%{{.*}}: i64)
// AND:        {{^}}// and then
// WHOLE:      split_input_file.mlir:15:1: error: redefinition of symbol named 'f'
func.func @f(%a: i32) {
  return
}
// -----
func.func @f(%a: i64) {
  return
}
