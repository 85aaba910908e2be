import { UnsupportedError } from '../../errors.ts'
import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { elementCount, scalar, type Tensor } from '../../tensor/tensor.ts'
import { elementType } from '../element-type.ts'
import { hasInput, required } from '../families/axes.ts'
import { axisTies } from '../families/broadcast.ts'
import { spread } from '../families/samples.ts'
import type { Node } from '../model.ts'
import { defineOperator } from '../operator.ts'

export const dropout = defineOperator({
  type: 'Dropout',
  since: 13,
  summary: 'Hands on its input; in training mode it zeroes a random share and scales up the rest.',
  infer: ({ inputs: [x] }) => [x, x && { dtype: 'bool', shape: x.shape }],
  evaluate: (context) => {
    const x = required(context, 0)
    if (drops(context.inputs[1], context.inputs[2]))
      throw unsupported(context.node, 'its random mask is not defined by the model')
    return [x, fromNumbers('bool', x.shape, new Float64Array(elementCount(x.shape)).fill(1))]
  },
  gradient: (context) => {
    const {
      node,
      inputs,
      outputs,
      outputGradients: [dy],
      constant,
      dtype,
      emit,
      literal,
    } = context
    const [ratio, training] = [1, 2].map((index) => (inputs[index] ? constant(inputs[index]) : undefined))
    if ((hasInput(node, 1) && !ratio) || (hasInput(node, 2) && !training))
      throw unsupported(node, 'its ratio and training mode must be constants to be differentiated')
    if (!drops(ratio, training)) return [dy]
    if (!outputs[1])
      throw unsupported(node, 'in training mode it can only be differentiated when its mask is an output')
    const kept = emit('Mul', [dy, emit('Cast', [outputs[1]], { to: elementType(dtype(dy!)) })])
    return [emit('Mul', [kept, literal(1 / (1 - ratioOf(ratio)), kept)])]
  },
  coupling: (context) => axisTies(context, () => true),
  samples: [
    { name: 'inference', inputs: [spread([2, 3])] },
    {
      name: 'with mask',
      inputs: [spread([2, 3]), scalar('float32', 0.3), scalar('bool', false)],
      outputs: 2,
      gradientOf: [0],
    },
    { name: 'nothing dropped', inputs: [spread([5]), scalar('float32', 0), scalar('bool', true)], gradientOf: [0] },
  ],
})

function ratioOf(ratio: Tensor | undefined): number {
  return ratio ? toNumbers(ratio)[0] : 0.5
}

function drops(ratio: Tensor | undefined, training: Tensor | undefined): boolean {
  return training !== undefined && toNumbers(training)[0] !== 0 && ratioOf(ratio) !== 0
}

function unsupported(node: Node, why: string): UnsupportedError {
  return new UnsupportedError('dropout-training', `Dropout: ${why}`, {
    place: node.name || node.outputs[0],
    hint: 'Switch its training mode off, or feed a mask and multiply by it.',
  })
}
