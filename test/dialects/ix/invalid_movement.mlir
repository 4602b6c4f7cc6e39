// RUN: ix-opt %s --split-input-file --verify-diagnostics > /dev/null

func.func @broadcast_shrinks(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.broadcast: tensor<2x3xf32> must broadcast to the shape 2x4; sizes of aligned axes, counted from the last, must be equal or 1}}
  %0 = "ix.broadcast"(%x) {shape = [2, 4]} : (tensor<2x3xf32>) -> tensor<2x4xf32>
  return
}

// -----

func.func @missing_size(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.broadcast: needs 1 operands of type index (the sizes that are not static), got none}}
  %0 = "ix.broadcast"(%x) {shape = [-9223372036854775808, 2, 3]} : (tensor<2x3xf32>) -> tensor<?x2x3xf32>
  return
}

// -----

func.func @negative_size(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.reshape: sizes must be 0 or more, got [-1, 6]}}
  %0 = "ix.reshape"(%x) {shape = [-1, 6]} : (tensor<2x3xf32>) -> tensor<1x6xf32>
  return
}

// -----

func.func @words_for_numbers(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.reshape: shape must be a list of numbers, got ['six']}}
  %0 = "ix.reshape"(%x) {shape = ["six"]} : (tensor<2x3xf32>) -> tensor<6xf32>
  return
}

// -----

func.func @reshape_loses_elements(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.reshape: shape must hold the 6 elements of tensor<2x3xf32>, got 5 with 5}}
  %0 = "ix.reshape"(%x) {shape = [5]} : (tensor<2x3xf32>) -> tensor<5xf32>
  return
}

// -----

func.func @no_permutation(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.transpose: permutation must reorder 0..1, got [0, 0]}}
  %0 = "ix.transpose"(%x) {permutation = [0, 0]} : (tensor<2x3xf32>) -> tensor<2x2xf32>
  return
}

// -----

func.func @concat_of_unlike_shapes(%x: tensor<2x3xf32>, %y: tensor<2x4xf32>) {
  // expected-error @below {{ix.concat: inputs must agree but for axis 0, got tensor<2x3xf32> and tensor<2x4xf32>}}
  %0 = "ix.concat"(%x, %y) {axis = 0 : i64} : (tensor<2x3xf32>, tensor<2x4xf32>) -> tensor<4x3xf32>
  return
}

// -----

func.func @concat_of_unlike_types(%x: tensor<2x3xf32>, %y: tensor<2x3xf16>) {
  // expected-error @below {{ix.concat: operands must have one element type, got tensor<2x3xf32> and tensor<2x3xf16>; cast them first}}
  %0 = "ix.concat"(%x, %y) {axis = 0 : i64} : (tensor<2x3xf32>, tensor<2x3xf16>) -> tensor<4x3xf32>
  return
}

// -----

func.func @axis_out_of_range(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.concat: axis must lie in 0..1, got 2}}
  %0 = "ix.concat"(%x, %x) {axis = 2 : i64} : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<4x3xf32>
  return
}

// -----

func.func @scalars_have_no_axes(%x: tensor<f32>) {
  // expected-error @below {{ix.dim: axis needs an operand with axes, got 0 for a scalar}}
  %0 = "ix.dim"(%x) {axis = 0 : i64} : (tensor<f32>) -> index
  return
}

// -----

func.func @iota_of_bools() {
  // expected-error @below {{ix.iota: operand must have numbers as elements, got tensor<3xi1>; cast it first}}
  %0 = "ix.iota"() {axis = 0 : i64} : () -> tensor<3xi1>
  return
}

// -----

func.func @iota_without_its_size() {
  // expected-error @below {{ix.iota: needs 1 operands of type index (the sizes that are not static), got none}}
  %0 = "ix.iota"() {axis = 0 : i64} : () -> tensor<?xi64>
  return
}

// -----

func.func @slice_entries(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.slice: starts, limits and strides must have 2 entries each, got 1, 2 and 2}}
  %0 = "ix.slice"(%x) {starts = [0], limits = [2, 3], strides = [1, 1]} : (tensor<2x3xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @slice_beyond_the_end(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.slice: axis 1 needs 0 ≤ start ≤ limit ≤ size, got start 0, limit 4 and size 3}}
  %0 = "ix.slice"(%x) {starts = [0, 0], limits = [2, 4], strides = [1, 1]} : (tensor<2x3xf32>) -> tensor<2x4xf32>
  return
}

// -----

func.func @slice_backwards(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.slice: strides must be ≥ 1, got [1, -1]}}
  %0 = "ix.slice"(%x) {starts = [0, 0], limits = [2, 3], strides = [1, -1]} : (tensor<2x3xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @slice_without_its_bound(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.slice: needs 1 operands of type index (the bounds that are not static), got none}}
  %0 = "ix.slice"(%x) {starts = [0, 0], limits = [-9223372036854775808, 3], strides = [1, 1]} : (tensor<2x3xf32>) -> tensor<?x3xf32>
  return
}

// -----

func.func @split_unequal(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.split: sizes must be one or more equal numbers ≥ 0, got [1, 2]}}
  %0:2 = "ix.split"(%x) {axis = 1 : i64, sizes = [1, 2]} : (tensor<2x3xf32>) -> (tensor<2x1xf32>, tensor<2x1xf32>)
  return
}

// -----

func.func @split_too_short(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.split: sizes must add up to the size of axis 1 of tensor<2x3xf32>, got [1, 1]}}
  %0:2 = "ix.split"(%x) {axis = 1 : i64, sizes = [1, 1]} : (tensor<2x3xf32>) -> (tensor<2x1xf32>, tensor<2x1xf32>)
  return
}

// -----

func.func @pad_value_of_rank_1(%x: tensor<2x3xf32>, %v: tensor<1xf32>) {
  // expected-error @below {{ix.pad: value must be a scalar tensor, got tensor<1xf32>}}
  %0 = "ix.pad"(%x, %v) {low = [0, 0], high = [0, 0], mode = "constant"} : (tensor<2x3xf32>, tensor<1xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @pad_entries(%x: tensor<2x3xf32>, %v: tensor<f32>) {
  // expected-error @below {{ix.pad: low and high must have 2 entries each, got 1 and 2}}
  %0 = "ix.pad"(%x, %v) {low = [0], high = [0, 0], mode = "constant"} : (tensor<2x3xf32>, tensor<f32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @pad_crops(%x: tensor<2x3xf32>, %v: tensor<f32>) {
  // expected-error @below {{ix.pad: low and high must be 0 or more, got [0, -1] and [0, 0]; slice to crop}}
  %0 = "ix.pad"(%x, %v) {low = [0, -1], high = [0, 0], mode = "constant"} : (tensor<2x3xf32>, tensor<f32>) -> tensor<2x2xf32>
  return
}

// -----

func.func @unknown_padding(%x: tensor<2x3xf32>, %v: tensor<f32>) {
  // expected-error @below {{ix.pad: mode must be one of constant, reflect, edge, wrap, got "mirror"}}
  %0 = "ix.pad"(%x, %v) {low = [0, 0], high = [0, 0], mode = "mirror"} : (tensor<2x3xf32>, tensor<f32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @reflects_too_far(%x: tensor<2x3xf32>, %v: tensor<f32>) {
  // expected-error @below {{ix.pad: mode reflect pads axis 1 of size 3 by 2 at most, got 3}}
  %0 = "ix.pad"(%x, %v) {low = [0, 3], high = [0, 0], mode = "reflect"} : (tensor<2x3xf32>, tensor<f32>) -> tensor<2x6xf32>
  return
}

// -----

func.func @flip_twice(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.flip: axes must be ascending without repeats, got [1, 1]}}
  %0 = "ix.flip"(%x) {axes = [1, 1]} : (tensor<2x3xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @tile_entries(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.tile: repeats must be 2 numbers ≥ 0, got [2]}}
  %0 = "ix.tile"(%x) {repeats = [2]} : (tensor<2x3xf32>) -> tensor<4x3xf32>
  return
}

// -----

func.func @float_indices(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.gather: indices must be integers, got tensor<2x3xf32>; cast them first}}
  %0 = "ix.gather"(%x, %x) {axis = 0 : i64} : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3x3xf32>
  return
}

// -----

func.func @ranks_differ(%x: tensor<2x3xf32>, %i: tensor<4xi64>) {
  // expected-error @below {{ix.take_along_axis: indices must have the rank of the input, got tensor<2x3xf32> and tensor<4xi64>}}
  %0 = "ix.take_along_axis"(%x, %i) {axis = 0 : i64} : (tensor<2x3xf32>, tensor<4xi64>) -> tensor<4x3xf32>
  return
}

// -----

func.func @take_does_not_broadcast(%x: tensor<2x3xf32>, %i: tensor<4x2xi64>) {
  // expected-error @below {{ix.take_along_axis: shapes 1x3 and 1x2 do not broadcast}}
  %0 = "ix.take_along_axis"(%x, %i) {axis = 0 : i64} : (tensor<2x3xf32>, tensor<4x2xi64>) -> tensor<4x3xf32>
  return
}

// -----

func.func @tuple_too_long(%x: tensor<2x3xf32>, %i: tensor<4x3xi64>) {
  // expected-error @below {{ix.gather_nd: batch_dims 0 and index tuples of 3 must fit tensor<2x3xf32> and tensor<4x3xi64>}}
  %0 = "ix.gather_nd"(%x, %i) {batch_dims = 0 : i64} : (tensor<2x3xf32>, tensor<4x3xi64>) -> tensor<4xf32>
  return
}

// -----

func.func @batches_differ(%x: tensor<2x3xf32>, %i: tensor<4x1xi64>) {
  // expected-error @below {{ix.gather_nd: the first 1 axes must agree, got tensor<2x3xf32> and tensor<4x1xi64>}}
  %0 = "ix.gather_nd"(%x, %i) {batch_dims = 1 : i64} : (tensor<2x3xf32>, tensor<4x1xi64>) -> tensor<4xf32>
  return
}

// -----

func.func @tuples_of_unknown_length(%x: tensor<2x3xf32>, %i: tensor<4x?xi64>) {
  // expected-error @below {{ix.gather_nd: the last axis of the indices must be static, got tensor<4x?xi64>}}
  %0 = "ix.gather_nd"(%x, %i) {batch_dims = 0 : i64} : (tensor<2x3xf32>, tensor<4x?xi64>) -> tensor<4xf32>
  return
}

// -----

func.func @unknown_reduction(%x: tensor<2x3xf32>, %i: tensor<4x1xi64>, %u: tensor<4x1xf32>) {
  // expected-error @below {{ix.scatter: reduction must be one of none, add, mul, max, min, got "mean"}}
  %0 = "ix.scatter"(%x, %i, %u) {axis = 0 : i64, reduction = "mean"} : (tensor<2x3xf32>, tensor<4x1xi64>, tensor<4x1xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @sum_of_bools(%x: tensor<2xi1>, %i: tensor<2xi64>) {
  // expected-error @below {{ix.scatter: operand must have numbers as elements, got tensor<2xi1>; cast it first}}
  %0 = "ix.scatter"(%x, %i, %x) {axis = 0 : i64, reduction = "add"} : (tensor<2xi1>, tensor<2xi64>, tensor<2xi1>) -> tensor<2xi1>
  return
}

// -----

func.func @scatter_shapes(%x: tensor<2x3xf32>, %i: tensor<4x1xi64>, %u: tensor<4x2xf32>) {
  // expected-error @below {{ix.scatter: indices and updates must have one shape and the rank of the input, got tensor<2x3xf32>, tensor<4x1xi64> and tensor<4x2xf32>}}
  %0 = "ix.scatter"(%x, %i, %u) {axis = 0 : i64, reduction = "none"} : (tensor<2x3xf32>, tensor<4x1xi64>, tensor<4x2xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @scatter_beyond_the_input(%x: tensor<2x3xf32>, %i: tensor<4x1xi64>, %u: tensor<4x1xf32>) {
  // expected-error @below {{ix.scatter: indices must not exceed the input on axis 0, got tensor<2x3xf32> and tensor<4x1xi64>}}
  %0 = "ix.scatter"(%x, %i, %u) {axis = 1 : i64, reduction = "none"} : (tensor<2x3xf32>, tensor<4x1xi64>, tensor<4x1xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @scatter_nd_tuple_too_long(%x: tensor<2x3xf32>, %i: tensor<4x3xi64>, %u: tensor<4xf32>) {
  // expected-error @below {{ix.scatter_nd: index tuples of 3 must fit tensor<2x3xf32>; its rank is 2}}
  %0 = "ix.scatter_nd"(%x, %i, %u) {reduction = "none"} : (tensor<2x3xf32>, tensor<4x3xi64>, tensor<4xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @scatter_nd_updates(%x: tensor<2x3xf32>, %i: tensor<4x1xi64>, %u: tensor<4x2xf32>) {
  // expected-error @below {{ix.scatter_nd: updates must have the shape [4, 3] for tensor<2x3xf32> and tensor<4x1xi64>, got tensor<4x2xf32>}}
  %0 = "ix.scatter_nd"(%x, %i, %u) {reduction = "none"} : (tensor<2x3xf32>, tensor<4x1xi64>, tensor<4x2xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @resize_entries(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.resize: shape and scales must have 2 entries each, got 1 and 2}}
  %0 = "ix.resize"(%x) {shape = [4], scales = [0.0, 0.0], mode = "linear", coordinates = "half_pixel", nearest = "floor", cubic_coefficient = -0.75 : f64, antialias = false} : (tensor<2x3xf32>) -> tensor<4x3xf32>
  return
}

// -----

func.func @negative_scale(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.resize: scales must be positive, or 0 to take them from the sizes, got [-1.0, 0.0]}}
  %0 = "ix.resize"(%x) {shape = [4, 3], scales = [-1.0, 0.0], mode = "linear", coordinates = "half_pixel", nearest = "floor", cubic_coefficient = -0.75 : f64, antialias = false} : (tensor<2x3xf32>) -> tensor<4x3xf32>
  return
}

// -----

func.func @unknown_mode(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.resize: mode must be one of nearest, linear, cubic, got "area"}}
  %0 = "ix.resize"(%x) {shape = [4, 3], scales = [0.0, 0.0], mode = "area", coordinates = "half_pixel", nearest = "floor", cubic_coefficient = -0.75 : f64, antialias = false} : (tensor<2x3xf32>) -> tensor<4x3xf32>
  return
}

// -----

func.func @unknown_coordinates(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.resize: coordinates must be one of half_pixel, pytorch_half_pixel, align_corners, asymmetric, got "centre"}}
  %0 = "ix.resize"(%x) {shape = [4, 3], scales = [0.0, 0.0], mode = "linear", coordinates = "centre", nearest = "floor", cubic_coefficient = -0.75 : f64, antialias = false} : (tensor<2x3xf32>) -> tensor<4x3xf32>
  return
}

// -----

func.func @unknown_rounding(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.resize: nearest must be one of round_prefer_floor, round_prefer_ceil, floor, ceil, got "even"}}
  %0 = "ix.resize"(%x) {shape = [4, 3], scales = [0.0, 0.0], mode = "linear", coordinates = "half_pixel", nearest = "even", cubic_coefficient = -0.75 : f64, antialias = false} : (tensor<2x3xf32>) -> tensor<4x3xf32>
  return
}

// -----

func.func @weights_of_integers(%x: tensor<2x3xi8>) {
  // expected-error @below {{ix.resize: operand must have floats as elements, got tensor<2x3xi8>; cast it first}}
  %0 = "ix.resize"(%x) {shape = [4, 3], scales = [0.0, 0.0], mode = "linear", coordinates = "half_pixel", nearest = "floor", cubic_coefficient = -0.75 : f64, antialias = false} : (tensor<2x3xi8>) -> tensor<4x3xi8>
  return
}

// -----

func.func @nearest_has_no_kernel(%x: tensor<2x3xf32>) {
  // expected-error @below {{ix.resize: antialias needs mode "linear" or "cubic", got "nearest"}}
  %0 = "ix.resize"(%x) {shape = [4, 3], scales = [0.0, 0.0], mode = "nearest", coordinates = "half_pixel", nearest = "floor", cubic_coefficient = -0.75 : f64, antialias = true} : (tensor<2x3xf32>) -> tensor<4x3xf32>
  return
}

// -----

func.func @nothing_to_sample(%x: tensor<0x3xf32>) {
  // expected-error @below {{ix.resize: axis 0 has no elements to sample, got tensor<0x3xf32> to 4}}
  %0 = "ix.resize"(%x) {shape = [4, 3], scales = [0.0, 0.0], mode = "linear", coordinates = "half_pixel", nearest = "floor", cubic_coefficient = -0.75 : f64, antialias = false} : (tensor<0x3xf32>) -> tensor<4x3xf32>
  return
}

// -----

func.func @take_from_nothing(%x: tensor<0x3xf32>, %i: tensor<2xi64>) {
  // expected-error @below {{ix.gather: axis 0 has no elements to take, got tensor<0x3xf32> for the result 2x3}}
  %0 = "ix.gather"(%x, %i) {axis = 0 : i64} : (tensor<0x3xf32>, tensor<2xi64>) -> tensor<2x3xf32>
  return
}

// -----

func.func @take_along_nothing(%x: tensor<0x3xf32>, %i: tensor<2x3xi64>) {
  // expected-error @below {{ix.take_along_axis: axis 0 has no elements to take, got tensor<0x3xf32> for the result 2x3}}
  %0 = "ix.take_along_axis"(%x, %i) {axis = 0 : i64} : (tensor<0x3xf32>, tensor<2x3xi64>) -> tensor<2x3xf32>
  return
}
