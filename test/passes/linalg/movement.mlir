// RUN: ix-opt %s -p ix-lower-to-linalg --split-input-file | FileCheck %s

// CHECK-DAG: #[[READ:.*]] = affine_map<(d0, d1, d2) -> (d1, d2, d0)>
// CHECK-DAG: #[[WRITE:.*]] = affine_map<(d0, d1, d2) -> (d0, d1, d2)>
// CHECK-LABEL: func.func @transpose_reads_permuted
// CHECK:         linalg.generic {indexing_maps = [#[[READ]], #[[WRITE]]]
func.func @transpose_reads_permuted(%x: tensor<2x3x4xf32>) -> tensor<4x2x3xf32> {
  %0 = "ix.transpose"(%x) {permutation = [2, 0, 1]} : (tensor<2x3x4xf32>) -> tensor<4x2x3xf32>
  return %0 : tensor<4x2x3xf32>
}

// -----

// CHECK-LABEL: func.func @identities_vanish
// CHECK-SAME:    (%[[X:.*]]: tensor<2x3xf32>)
// CHECK-NEXT:    return %[[X]], %[[X]], %[[X]], %[[X]]
func.func @identities_vanish(%x: tensor<2x3xf32>) -> (tensor<2x3xf32>, tensor<2x3xf32>, tensor<2x3xf32>, tensor<2x3xf32>) {
  %0 = "ix.transpose"(%x) {permutation = [0, 1]} : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %1 = "ix.broadcast"(%x) {shape = [2, 3]} : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %2 = "ix.concat"(%x) {axis = 0 : i64} : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %3 = "ix.slice"(%x) {starts = [0, 0], limits = [2, 3], strides = [1, 1]} : (tensor<2x3xf32>) -> tensor<2x3xf32>
  return %0, %1, %2, %3 : tensor<2x3xf32>, tensor<2x3xf32>, tensor<2x3xf32>, tensor<2x3xf32>
}

// -----

// CHECK-LABEL: func.func @chains_of_concats_are_one
// CHECK:         tensor.concat dim(0) %{{.*}}, %{{.*}}, %{{.*}} : (tensor<1xf32>, tensor<2xf32>, tensor<3xf32>) -> tensor<6xf32>
// CHECK-NOT:     tensor.concat
func.func @chains_of_concats_are_one(%x: tensor<1xf32>, %y: tensor<2xf32>, %z: tensor<3xf32>) -> tensor<6xf32> {
  %0 = "ix.concat"(%x, %y) {axis = 0 : i64} : (tensor<1xf32>, tensor<2xf32>) -> tensor<3xf32>
  %1 = "ix.concat"(%0, %z) {axis = 0 : i64} : (tensor<3xf32>, tensor<3xf32>) -> tensor<6xf32>
  return %1 : tensor<6xf32>
}

// -----

// A part that is used itself is copied once.
// CHECK-LABEL: func.func @a_shared_concat_stays
// CHECK-COUNT-2: tensor.concat
func.func @a_shared_concat_stays(%x: tensor<1xf32>, %y: tensor<2xf32>) -> (tensor<3xf32>, tensor<5xf32>) {
  %0 = "ix.concat"(%x, %y) {axis = 0 : i64} : (tensor<1xf32>, tensor<2xf32>) -> tensor<3xf32>
  %1 = "ix.concat"(%0, %y) {axis = 0 : i64} : (tensor<3xf32>, tensor<2xf32>) -> tensor<5xf32>
  return %0, %1 : tensor<3xf32>, tensor<5xf32>
}

// -----

// CHECK-LABEL: func.func @slice_counts_what_it_takes
// CHECK-SAME:    (%[[X:.*]]: tensor<?x8xf32>, %[[N:.*]]: index)
// CHECK:         tensor.extract_slice %[[X]][0, 1] [%[[N]], 3] [1, 2] : tensor<?x8xf32> to tensor<?x3xf32>
func.func @slice_counts_what_it_takes(%x: tensor<?x8xf32>, %n: index) -> tensor<?x3xf32> {
  %0 = "ix.slice"(%x, %n) {starts = [0, 1], limits = [-9223372036854775808, 7], strides = [1, 2]} : (tensor<?x8xf32>, index) -> tensor<?x3xf32>
  return %0 : tensor<?x3xf32>
}

// -----

// CHECK-LABEL: func.func @split_is_slices
// CHECK:         tensor.extract_slice %{{.*}}[0, 0] [2, 2] [1, 1]
// CHECK:         tensor.extract_slice %{{.*}}[0, 2] [2, 2] [1, 1]
func.func @split_is_slices(%x: tensor<2x4xf32>) -> (tensor<2x2xf32>, tensor<2x2xf32>) {
  %0:2 = "ix.split"(%x) {axis = 1 : i64, sizes = [2, 2]} : (tensor<2x4xf32>) -> (tensor<2x2xf32>, tensor<2x2xf32>)
  return %0#0, %0#1 : tensor<2x2xf32>, tensor<2x2xf32>
}

// -----

// CHECK-DAG: #[[READ:.*]] = affine_map<(d0, d1) -> (-d0 + 3, d1)>
// CHECK-LABEL: func.func @flip_reads_backwards
// CHECK:         linalg.generic {indexing_maps = [#[[READ]], #{{.*}}]
func.func @flip_reads_backwards(%x: tensor<4x5xf32>) -> tensor<4x5xf32> {
  %0 = "ix.flip"(%x) {axes = [0]} : (tensor<4x5xf32>) -> tensor<4x5xf32>
  return %0 : tensor<4x5xf32>
}

// -----

// CHECK-DAG: #[[READ:.*]] = affine_map<(d0, d1, d2) -> (d1, d2)>
// CHECK-LABEL: func.func @tile_repeats_without_division
// CHECK:         linalg.generic {indexing_maps = [#[[READ]], #{{.*}}]{{.*}} outs(%{{.*}} : tensor<3x4x5xf32>)
// CHECK:         tensor.collapse_shape %{{.*}} {{\[}}[0, 1], [2]] : tensor<3x4x5xf32> into tensor<12x5xf32>
func.func @tile_repeats_without_division(%x: tensor<4x5xf32>) -> tensor<12x5xf32> {
  %0 = "ix.tile"(%x) {repeats = [3, 1]} : (tensor<4x5xf32>) -> tensor<12x5xf32>
  return %0 : tensor<12x5xf32>
}

// -----

// CHECK-LABEL: func.func @gather_cannot_read_outside
// CHECK:           %[[I:.*]] = arith.index_cast %{{.*}} : i32 to index
// CHECK:           arith.select
// CHECK:           arith.minsi
// CHECK:           %[[P:.*]] = arith.maxsi
// CHECK:           tensor.extract %{{.*}}[%[[P]], %{{.*}}]
func.func @gather_cannot_read_outside(%x: tensor<9x4xf32>, %i: tensor<3xi32>) -> tensor<3x4xf32> {
  %0 = "ix.gather"(%x, %i) {axis = 0 : i64} : (tensor<9x4xf32>, tensor<3xi32>) -> tensor<3x4xf32>
  return %0 : tensor<3x4xf32>
}

// -----

// CHECK-LABEL: func.func @slice_keeps_the_sizes_of_its_result
// CHECK-SAME:    (%[[X:.*]]: tensor<?x8xf32>, %[[I:.*]]: index, %[[J:.*]]: index)
// CHECK:         tensor.extract_slice %[[X]][%[[I]], 0] [1, 8] [1, 1] : tensor<?x8xf32> to tensor<1x8xf32>
func.func @slice_keeps_the_sizes_of_its_result(%x: tensor<?x8xf32>, %i: index, %j: index) -> tensor<1x8xf32> {
  %0 = "ix.slice"(%x, %i, %j) {starts = [-9223372036854775808, 0], limits = [-9223372036854775808, 8], strides = [1, 1]} : (tensor<?x8xf32>, index, index) -> tensor<1x8xf32>
  return %0 : tensor<1x8xf32>
}
