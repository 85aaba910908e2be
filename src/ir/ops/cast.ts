import { UnsupportedError } from '../../errors.ts'
import { dtypes, type DType, type NumericData } from '../../tensor/dtype.ts'
import { elementsOf, fromBigInts, fromElements, fromNumbers, toBigInts, toNumbers } from '../../tensor/elements.ts'
import { fromFloat32, minifloats, toFloat32 } from '../../tensor/half.ts'
import { isMinifloat } from '../../tensor/minifloat.ts'
import { createTensor, elementCount, type Tensor } from '../../tensor/tensor.ts'
import { elementType, fromElementType } from '../element-type.ts'
import { axisTies } from '../families/broadcast.ts'
import { required } from '../families/axes.ts'
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
  if (!dtype)
    throw new UnsupportedError('cast-type', `Cast: element type ${intAttribute(node, 'to', 0)} is not supported`, {
      place: node.name || node.outputs[0],
    })
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
  const [from, into] = [dtypes[x.dtype], dtypes[to]]
  if (from.kind === 'integer' && into.kind === 'integer') {
    if (from.bits === 64) return fromBigInts(to, x.shape, BigInt64Array.from(toBigInts(x)))
    if (from.bits < 64 && into.bits < 64 && into.bits > 4) return fromElements(to, x.shape, narrowed(x, to))
  }
  if (isMinifloat(to) && from.kind === 'float') {
    const saturate = intAttribute(node, 'saturate', 1) === 1
    return createTensor(to, x.shape, minifloats(to, toFloat32(x), saturate))
  }
  const isSmall = from.bits <= 16 || x.dtype === 'float32'
  if (isSmall && into.kind === 'float' && into.bits <= 32) return fromFloat32(to, x.shape, toFloat32(x))
  return fromNumbers(to, x.shape, toNumbers(x))
}

/** Integers of up to 32 bits in another such type: typed arrays wrap around as C does. */
function narrowed(x: Tensor, to: DType): NumericData {
  const result = new dtypes[to].array(elementCount(x.shape)) as Int32Array
  result.set(elementsOf(x) as Int32Array)
  return result
}
