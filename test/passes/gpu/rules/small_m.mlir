// RUN: ix-opt %s --stage=gpu | FileCheck %s

// Few rows: a block has all of them, so that a weight is read at one place, straight into
// registers; what the rows are read from is in shared memory.

// CHECK:       gpu.launch_func
// CHECK-SAME:    threads in (%c256
// CHECK-NOT:   gpu.launch_func
// CHECK:       ix.family = "small_m"
// CHECK:         scf.for
// CHECK:           gpu.barrier
// CHECK:           scf.for
// CHECK:             memref.load %arg1[{{.*}}] : memref<512x768xf32>
// CHECK:             vector.load %{{.*}} : memref<{{.*}}#gpu.address_space<workgroup>>, vector<4xf32>
// CHECK:             math.fma
// CHECK:         gpu.return
module attributes {ix.target = "sm_90a"} {
  func.func @main(%x: tensor<4x512xf32>, %w: tensor<512x768xf32>) -> tensor<4x768xf32> {
    %0 = "ix.matmul"(%x, %w) {transpose_a = false, transpose_b = false} : (tensor<4x512xf32>, tensor<512x768xf32>) -> tensor<4x768xf32>
    return %0 : tensor<4x768xf32>
  }
}
