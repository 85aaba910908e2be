import { UnsupportedError } from '../../errors.ts'
import { dtypes, type DType } from '../../tensor/dtype.ts'
import { fromBigInts, fromNumbers, toBigInts, toNumbers } from '../../tensor/elements.ts'
import { createTensor, type Tensor } from '../../tensor/tensor.ts'
import { elementType, fromElementType } from '../element-type.ts'
import { axisTies } from '../families/broadcast.ts'
import { nodeError, required } from '../families/axes.ts'
import { spread, spreadOf, truths } from '../families/samples.ts'
import { intAttribute, type Node } from '../model.ts'
import { defineOperator } from '../operator.ts'

export const cast = defineOperator({
  type: 'Cast',
  since: 21,
  summary: 'Converts elements to the type `to`; floats become integers by cutting off: [...any] -> [...any].',
  infer: ({ node, inputs: [x] }) => [{ dtype: targetType(node), shape: x?.shape }],
  evaluate: (context) => [convert(required(context, 0), targetType(context.node), context.node)],
  gradient: ({ inputs: [x], outputs: [y], outputGradients: [dy], dtype, emit }) => [
    dtypes[dtype(x!)].kind === 'float' && dtypes[dtype(y)].kind === 'float'
      ? emit('Cast', [dy], { to: elementType(dtype(x!)) })
      : undefined,
  ],
  coupling: (context) => axisTies(context, () => true),
  samples: [
    { name: 'to half', inputs: [spread([2, 3])], attributes: { to: elementType('float16') }, gradientOf: [] },
    { name: 'to double', inputs: [spread([2, 3])], attributes: { to: elementType('float64') } },
    { name: 'to integers', inputs: [spread([4], -9, 9)], attributes: { to: elementType('int32') }, gradientOf: [] },
    { name: 'from truths', inputs: [truths([1, 0, 1])], attributes: { to: elementType('float32') } },
    { name: 'codes', inputs: [spreadOf('uint8', [3, 3], 0, 255)], attributes: { to: elementType('int64') } },
  ],
})

function targetType(node: Node): DType {
  const dtype = fromElementType(intAttribute(node, 'to', 0))
  if (!dtype) throw nodeError(node, 'cast-type', `no element type has the number ${intAttribute(node, 'to', 0)}`)
  return dtype
}

function convert(x: Tensor, to: DType, node: Node): Tensor {
  if (x.dtype === to) return x
  if (x.dtype === 'string' && to !== 'string') return fromNumbers(to, x.shape, (x.data as string[]).map(Number))
  if (to === 'string') {
    if (dtypes[x.dtype].kind === 'float')
      throw new UnsupportedError('cast-string', 'floats are not written as strings', { place: node.name })
    return createTensor('string', x.shape, Array.from(toBigInts(x), String))
  }
  const integers = dtypes[x.dtype].kind === 'integer' && dtypes[to].kind === 'integer'
  if (integers && dtypes[x.dtype].bits === 64) return fromBigInts(to, x.shape, BigInt64Array.from(toBigInts(x)))
  return fromNumbers(to, x.shape, toNumbers(x))
}
