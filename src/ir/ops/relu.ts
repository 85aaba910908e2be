import { toFloat32, fromFloat32 } from '../../tensor/half.ts'
import { float32 } from '../../tensor/tensor.ts'
import { defineOperator } from '../operator.ts'

export const relu = defineOperator({
  type: 'Relu',
  since: 14,
  summary: 'Sets negative elements to zero: [...any] -> [...any].',
  infer: ({ inputs }) => [inputs[0]],
  evaluate: ({ inputs: [x] }) => [fromFloat32(x!.dtype, x!.shape, toFloat32(x!).map((value) => Math.max(value, 0)))],
  gradient: ({ outputs, outputGradients: [dy], emit }) => [emit('espalier.ReluGrad', [dy, outputs[0]])],
  coupling: ({ inputs: [x] }) =>
    x!.shape.map((_, axis) => ({
      ports: [
        { side: 'input', index: 0, axis },
        { side: 'output', index: 0, axis },
      ],
    })),
  samples: [{ name: 'signs', inputs: [float32([-2, -0.5, 0.5, 3], [2, 2])] }],
})
