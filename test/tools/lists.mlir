// RUN: ix-opt --list-passes | FileCheck %s
// RUN: ix-opt --show-dialects | FileCheck %s --check-prefix=DIALECTS
// RUN: ix-opt --version | FileCheck %s --check-prefix=VERSION
// RUN: ix-opt -version | FileCheck %s --check-prefix=VERSION
// RUN: ix-opt --help | FileCheck %s --check-prefix=HELP

// CHECK: {{^}}ix passes, {{[a-z]+}}:
// CHECK: {{^}}  --ix-
// CHECK: {{^}}upstream passes:
// CHECK: {{^}}  --canonicalize
// DIALECTS: {{^}}Available Dialects: acc,{{.*}},arith,{{.*}},ix,{{.*}},xevm
// VERSION: {{^}}ix-opt {{[0-9]+\.[0-9]+\.[0-9]+}} (MLIR of torch-mlir {{[0-9]+}})
// HELP: usage: ix-opt
// HELP: --pass-pipeline
