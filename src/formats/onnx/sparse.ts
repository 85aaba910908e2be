/** Sparse initializers are read as dense ones: nothing else in Espalier knows sparse tensors. */
import { toBinary } from '@bufbuild/protobuf'
import { DataError, UnsupportedError } from '../../errors.ts'
import { dtypes, type NumericData } from '../../tensor/dtype.ts'
import { rowMajorStrides } from '../../tensor/shape.ts'
import { createTensor, elementCount, zeros, type Tensor } from '../../tensor/tensor.ts'
import { TensorProtoSchema, type SparseTensorProto } from './onnx_pb.ts'
import { readTensor, type ExternalData } from './tensors.ts'

/** A dense form beyond this many elements is refused unless the stored values make up a thousandth of it. */
const LARGEST = 2 ** 24

/** @throws DataError when indices and values do not add up, UnsupportedError when the dense form would be huge. */
export function readSparse(
  proto: SparseTensorProto,
  place: string,
  externalData: ExternalData | undefined,
): { name: string; tensor: Tensor } {
  if (!proto.values || !proto.indices)
    throw new DataError('sparse-tensor', 'a sparse tensor has no values or no indices', { place })
  const { name, tensor: values } = readTensor(toBinary(TensorProtoSchema, proto.values), place, externalData)
  const { tensor: indices } = readTensor(toBinary(TensorProtoSchema, proto.indices), place, externalData)
  const where = `${place}, sparse tensor '${name}'`
  const shape = proto.dims.map(Number)
  const count = elementCount(shape)
  const stored = elementCount(values.shape)
  if (shape.some((size) => size < 0) || values.shape.length !== 1 || indices.dtype !== 'int64')
    throw new DataError('sparse-tensor', 'sizes, values or indices are not of the form that ONNX prescribes', {
      place: where,
    })
  if (count > LARGEST && count > 1000 * stored)
    throw new UnsupportedError('sparse-tensor', `${stored} values of ${count} are too few to be written out`, {
      place: where,
    })
  const { bits, kind } = dtypes[values.dtype]
  if (bits < 8 || kind === 'complex')
    throw new UnsupportedError('sparse-tensor', `sparse ${values.dtype} tensors are not supported`, { place: where })
  const positions = flatPositions(indices, stored, shape, where)
  const dense = zeros(values.dtype, shape)
  const data = dense.data as NumericData
  for (let i = 0; i < stored; i++) {
    if (!(positions[i] >= 0 && positions[i] < count))
      throw new DataError('sparse-tensor', `index ${i} lies outside the tensor`, { place: where })
    data[positions[i]] = (values.data as NumericData)[i]
  }
  return { name, tensor: createTensor(values.dtype, shape, data) }
}

/** Indices are flat, [stored], or one an axis, [stored, rank]. */
function flatPositions(indices: Tensor, stored: number, shape: readonly number[], place: string): Float64Array {
  const data = indices.data as BigInt64Array
  const flat = indices.shape.length === 1
  if (indices.shape[0] !== stored || (!flat && (indices.shape.length !== 2 || indices.shape[1] !== shape.length)))
    throw new DataError('sparse-tensor', 'there are not as many indices as values', { place })
  if (flat) return Float64Array.from(data, Number)
  const strides = rowMajorStrides(shape)
  return Float64Array.from({ length: stored }, (_, i) =>
    strides.reduce((sum, stride, axis) => {
      const index = Number(data[i * shape.length + axis])
      return index < 0 || index >= shape[axis] ? Number.NaN : sum + stride * index
    }, 0),
  )
}
