// Passes as flags, in the order given, with one dash or two, options in two spellings.
// RUN: ix-opt %s --cse --canonicalize | FileCheck %s
// RUN: ix-opt %s -cse -canonicalize="max-iterations=2 region-simplify=normal" | FileCheck %s
// RUN: ix-opt %s --cse=  '--canonicalize={max-iterations=2}' | FileCheck %s
// RUN: ix-opt %s -p cse,canonicalize{max-iterations=2} | FileCheck %s
// RUN: ix-opt %s -p cse -p 'func.func(canonicalize)' | FileCheck %s
// RUN: ix-opt %s --pass-pipeline='builtin.module(func.func(cse, canonicalize{max-iterations=2}), symbol-dce)' | FileCheck %s
// RUN: ix-opt %s --pass-pipeline 'any(cse,canonicalize)' | FileCheck %s
// RUN: ix-opt - --cse --canonicalize < %s | FileCheck %s
// RUN: ix-opt --cse --canonicalize < %s | FileCheck %s
// RUN: ix-opt %s --cse --canonicalize --mlir-disable-threading --verify-each=false | FileCheck %s
// RUN: ix-opt %s --cse --canonicalize -verify-each=1 --debug=false | FileCheck %s

// CHECK-LABEL: func.func @square_of_a_sum
func.func @square_of_a_sum(%a: i32) -> i32 {
  // CHECK-NEXT: %[[SUM:.*]] = arith.addi
  // CHECK-NEXT: %[[SQUARE:.*]] = arith.muli %[[SUM]], %[[SUM]]
  // CHECK-NEXT: return %[[SQUARE]]
  %0 = arith.addi %a, %a : i32
  %1 = arith.addi %a, %a : i32
  %2 = arith.muli %0, %1 : i32
  return %2 : i32
}
