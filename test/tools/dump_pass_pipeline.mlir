// RUN: ix-opt %s -p 'cse,func.func(canonicalize{max-iterations=2},cse)' --dump-pass-pipeline 2>&1 >/dev/null | FileCheck %s

// CHECK:      Pass Manager with 2 passes:
// CHECK-NEXT: {{^}}builtin.module(cse,func.func(canonicalize{max-iterations=2},cse)){{$}}
func.func @f() {
  return
}
