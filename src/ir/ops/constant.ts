import { UnsupportedError } from '../../errors.ts'
import { createTensor, float32, int64, scalar, type Tensor } from '../../tensor/tensor.ts'
import { float, floats } from '../draft.ts'
import { nodeError } from '../families/axes.ts'
import { spread } from '../families/samples.ts'
import type { Node } from '../model.ts'
import { defineOperator } from '../operator.ts'

export const constant = defineOperator({
  type: 'Constant',
  since: 21,
  summary: 'Holds a tensor, a number or a text in an attribute.',
  infer: ({ node }) => {
    if (node.attributes['sparse_value']) return [undefined]
    const { dtype, shape } = constantValue(node)
    return [{ dtype, shape }]
  },
  evaluate: ({ node }) => [constantValue(node)],
  differentiable: 'none',
  samples: [
    { name: 'tensor', inputs: [], attributes: { value: spread([2, 3]) } },
    { name: 'integers', inputs: [], attributes: { value_ints: [3, -1, 4] } },
    { name: 'number', inputs: [], attributes: { value_float: float(0.5) } },
    { name: 'numbers', inputs: [], attributes: { value_floats: floats([1, 0.5]) } },
  ],
})

function constantValue(node: Node): Tensor {
  const { value, value_int, value_ints, value_float, value_floats, value_string, value_strings } = node.attributes
  if (value?.kind === 'tensor') return value.value
  if (value_int?.kind === 'int') return scalar('int64', BigInt(value_int.value))
  if (value_ints?.kind === 'ints') return int64(value_ints.value)
  if (value_float?.kind === 'float') return scalar('float32', value_float.value)
  if (value_floats?.kind === 'floats') return float32(value_floats.value)
  if (value_string?.kind === 'string') return createTensor('string', [], [value_string.value])
  if (value_strings?.kind === 'strings')
    return createTensor('string', [value_strings.value.length], [...value_strings.value])
  if (node.attributes['sparse_value'])
    throw new UnsupportedError('sparse-constant', 'sparse constants are not evaluated', { place: node.name })
  throw nodeError(node, 'attribute-missing', 'it holds no value')
}
