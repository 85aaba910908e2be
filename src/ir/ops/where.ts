import { dtypes } from '../../tensor/dtype.ts'
import { allocateElements, elementsOf, fromElements } from '../../tensor/elements.ts'
import { broadcastShape, broadcastStrides, walk } from '../../tensor/shape.ts'
import { elementCount, int64 } from '../../tensor/tensor.ts'
import { required } from '../families/axes.ts'
import { broadcastTies, broadcastType } from '../families/broadcast.ts'
import { spread, spreadOf, truths } from '../families/samples.ts'
import { takeStrided } from '../families/movement.ts'
import { defineOperator } from '../operator.ts'

export const where = defineOperator({
  type: 'Where',
  since: 16,
  summary: 'Takes elements of the second input where the first is true and of the third elsewhere, with broadcasting.',
  infer: ({ node, inputs }) => [broadcastType(node, inputs, inputs[1]?.dtype ?? inputs[2]?.dtype)],
  evaluate: (context) => {
    const [condition, x, y] = [required(context, 0), required(context, 1), required(context, 2)]
    const shape = broadcastShape(condition.shape, x.shape, y.shape)
    const choice = takeStrided(condition, shape, broadcastStrides(condition.shape, shape)).data as Uint8Array
    const [a, b] = [elementsOf(x), elementsOf(y)]
    const result = allocateElements(x.dtype, elementCount(shape))
    walk(shape, broadcastStrides(x.shape, shape), broadcastStrides(y.shape, shape), (index, i, j) => {
      result[index] = choice[index] ? a[i] : b[j]
    })
    return [fromElements(x.dtype, shape, result)]
  },
  gradient: ({ inputs: [condition, x, y], outputGradients: [dz], emit, dtype, literal, shape, unbroadcast, wants }) => {
    if (dtypes[dtype(x!)].kind !== 'float') return [undefined, undefined, undefined]
    const zero = literal(0, dz)
    return [
      undefined,
      wants(1) ? unbroadcast(emit('Where', [condition, dz, zero]), shape(x!)) : undefined,
      wants(2) ? unbroadcast(emit('Where', [condition, zero, dz]), shape(y!)) : undefined,
    ]
  },
  coupling: broadcastTies,
  samples: [
    { name: 'equal shapes', inputs: [truths([1, 0, 0, 1]), spread([4]), spreadOf('float32', [4], 3, 5)] },
    { name: 'broadcast', inputs: [truths([1, 0, 1], [3, 1]), spread([2, 1, 4]), spread([])] },
    { name: 'int64', inputs: [truths([0, 1]), int64([2n ** 60n, 2n]), int64([7])] },
  ],
})
