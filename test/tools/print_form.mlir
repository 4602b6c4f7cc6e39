// RUN: ix-opt %s --mlir-print-debuginfo | FileCheck %s --check-prefix=LOCATIONS
// RUN: ix-opt %s --mlir-print-debuginfo --mlir-print-local-scope | FileCheck %s --check-prefix=LOCAL
// RUN: ix-opt %s --mlir-print-debuginfo --mlir-pretty-debuginfo | FileCheck %s --check-prefix=PRETTY
// RUN: ix-opt %s --mlir-print-op-generic | FileCheck %s --check-prefix=GENERIC
// RUN: ix-opt %s --mlir-elide-elementsattrs-if-larger=2 | FileCheck %s --check-prefix=ELIDED
// RUN: ix-opt %s --mlir-elide-elementsattrs-if-larger 8 | FileCheck %s --check-prefix=WHOLE
// RUN: ix-opt %s --mlir-elide-resource-strings-if-larger=4 | FileCheck %s --check-prefix=RESOURCE
// RUN: ix-opt %s --mlir-print-skip-regions | FileCheck %s --check-prefix=SKIPPED

// LOCATIONS:  #[[FUNC:.*]] = loc("{{.*}}print_form.mlir":19:1)
// LOCAL-NOT:  #loc
// LOCAL:      return loc("{{.*}}print_form.mlir":22:3)
// PRETTY:     return {{.*}}print_form.mlir:22:3
// GENERIC:    "func.func"() <{
// ELIDED:     arith.constant dense_resource<__elided__> : tensor<4xi32>
// WHOLE:      arith.constant dense<[1, 2, 3, 4]> : tensor<4xi32>
// RESOURCE-NOT: 0x0400000001000000
// SKIPPED:    module {...}
func.func @f() {
  %0 = arith.constant dense<[1, 2, 3, 4]> : tensor<4xi32>
  %1 = arith.constant dense_resource<blob> : tensor<1xi32>
  return
}

{-#
  dialect_resources: {
    builtin: {
      blob: "0x0400000001000000"
    }
  }
#-}
