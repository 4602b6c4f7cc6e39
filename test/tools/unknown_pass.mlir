// RUN: not ix-opt %s -p canonicalise 2>&1 | FileCheck %s
// RUN: not ix-opt %s --canonicalise 2>&1 | FileCheck %s
// RUN: not ix-opt %s -p ix-no-such-pass 2>&1 | FileCheck %s --check-prefix=IX
// RUN: not ix-opt %s --verify-eachh 2>&1 | FileCheck %s --check-prefix=FLAG
// RUN: not ix-opt %s --canonicalize=nope=1 2>&1 | FileCheck %s --check-prefix=OPTION
// RUN: not ix-opt %s --pass-pipeline=cse 2>&1 | FileCheck %s --check-prefix=ANCHOR
// RUN: not ix-opt %s --pass-pipeline='func.func(cse)' 2>&1 | FileCheck %s --check-prefix=ROOT
// RUN: not ix-opt %s --pass-pipeline='builtin.module(cse' 2>&1 | FileCheck %s --check-prefix=PAREN
// RUN: not ix-opt %s -p cse --stage=graph 2>&1 | FileCheck %s --check-prefix=BOTH
// RUN: not ix-opt %s --stage=nowhere 2>&1 | FileCheck %s --check-prefix=STAGE
// RUN: not ix-opt no-such-file.mlir 2>&1 | FileCheck %s --check-prefix=FILE
// RUN: not ix-opt %s --irdl-file=x 2>&1 | FileCheck %s --check-prefix=OFFER
// RUN: not ix-opt %s --no-such-flag-anywhere 2>&1 | FileCheck %s --check-prefix=NOWHERE


// CHECK: ix-opt: error: there is no pass 'canonicalise'; did you mean 'canonicalize'?
// IX: ix-opt: error: there is no pass 'ix-no-such-pass'; --list-passes names them all
// FLAG: ix-opt: error: there is no pass 'verify-eachh'; did you mean '--verify-each'?
// OPTION: ix-opt: error: pass 'canonicalize{nope=1}': {{.*}}no such option nope
// ANCHOR: ix-opt: error: pass pipeline 'cse' needs an op around it, such as builtin.module(cse)
// ROOT: ix-opt: error: the pass pipeline is for 'func.func', but the input is 'builtin.module'
// PAREN: ix-opt: error: pass pipeline 'builtin.module(cse' needs ')' at column 19, but found the end
// BOTH: ix-opt: error: --stage and -p or pass flags exclude each other
// STAGE: ix-opt: error: there is no stage 'nowhere'; stages: import, graph,
// FILE: ix-opt: error: 'no-such-file.mlir': No such file or directory
// OFFER: ix-opt: error: --irdl-file is a flag of mlir-opt that ix-opt does not offer
// NOWHERE: ix-opt: error: there is no pass 'no-such-flag-anywhere', nor a flag; --list-passes and --help name them
func.func @f() {
  return
}
