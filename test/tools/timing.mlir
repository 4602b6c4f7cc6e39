// RUN: ix-opt %s -p 'cse,func.func(canonicalize)' --mlir-timing 2>&1 >/dev/null | FileCheck %s
// RUN: ix-opt %s -p 'cse,func.func(canonicalize)' --mlir-timing --mlir-timing-display=list 2>&1 >/dev/null | FileCheck %s --check-prefix=LIST

// CHECK:      ... Execution time report ...
// CHECK:      Total Execution Time: {{[0-9.]+}} seconds
// CHECK:      ----Wall Time----  ----Name----
// CHECK-NEXT: {{[0-9.]+ \( *[0-9.]+%\)}}  Parser
// CHECK-NEXT: %)  cse
// CHECK-NEXT: %)  'func.func' Pipeline
// CHECK-NEXT: %)    canonicalize
// CHECK-NEXT: %)  Output
// CHECK-NEXT: (100.0%)  Total
// LIST-NOT:   Pipeline
// LIST-DAG:   %)  cse
// LIST-DAG:   %)  canonicalize
func.func @f() {
  return
}
func.func @g() {
  return
}
