import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { float32, scalar, type Tensor } from '../../tensor/tensor.ts'
import { elementType } from '../element-type.ts'
import { required } from '../families/axes.ts'
import { axisTies } from '../families/broadcast.ts'
import { spread, spreadOf } from '../families/samples.ts'
import { defineOperator } from '../operator.ts'

export const clip = defineOperator({
  type: 'Clip',
  since: 13,
  summary: 'Keeps elements between min and max, both optional scalars; on a bound the gradient still passes.',
  infer: ({ inputs: [x] }) => [x],
  evaluate: (context) => {
    const x = required(context, 0)
    const low = bound(context.inputs[1], Number.NEGATIVE_INFINITY)
    const high = bound(context.inputs[2], Number.POSITIVE_INFINITY)
    return [
      fromNumbers(
        x.dtype,
        x.shape,
        toNumbers(x).map((value) => Math.min(Math.max(value, low), high)),
      ),
    ]
  },
  /** Each bound gets the gradient of the elements that lie strictly beyond it (PACT trains its upper one so). */
  gradient: ({
    inputs: [x, low, high],
    outputs: [y],
    outputGradients: [dy],
    emit,
    dtype,
    shape,
    unbroadcast,
    wants,
  }) => {
    const masked = (op: string, other: string) =>
      emit('Mul', [dy, emit('Cast', [emit(op, [x, other])], { to: elementType(dtype(x!)) })])
    return [
      wants(0) ? masked('Equal', y) : undefined,
      low && wants(1) ? unbroadcast(masked('Less', low), shape(low)) : undefined,
      high && wants(2) ? unbroadcast(masked('Greater', high), shape(high)) : undefined,
    ]
  },
  coupling: (context) => axisTies(context, () => true),
  samples: [
    { name: 'both', inputs: [spread([2, 5]), scalar('float32', -0.7), scalar('float32', 0.9)] },
    { name: 'upper', inputs: [spread([2, 3]), undefined, scalar('float32', 0.5)] },
    { name: 'lower', inputs: [spread([2, 3]), scalar('float32', 0)] },
    { name: 'on the bounds', inputs: [float32([0, 3, 6]), scalar('float32', 0), scalar('float32', 6)], gradientOf: [] },
    {
      name: 'int8',
      inputs: [spreadOf('int8', [5], -100, 100), fromNumbers('int8', [], [-50]), fromNumbers('int8', [], [50])],
    },
  ],
})

function bound(tensor: Tensor | undefined, otherwise: number): number {
  return tensor ? toNumbers(tensor)[0] : otherwise
}
