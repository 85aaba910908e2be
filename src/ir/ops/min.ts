import { float32 } from '../../tensor/tensor.ts'
import { defineVariadicOperator, extremumGradient } from '../families/elementwise.ts'
import { spread, spreadOf } from '../families/samples.ts'

export const min = defineVariadicOperator({
  type: 'Min',
  since: 13,
  summary:
    'Takes the smallest of its inputs element by element, with broadcasting; equal ones share the gradient evenly.',
  join: Math.min,
  gradient: extremumGradient,
  samples: [
    { name: 'two', inputs: [spread([2, 3]), spreadOf('float32', [2, 3], -1.9, 1.8, 0.81)] },
    { name: 'three', inputs: [spread([2, 3]), spreadOf('float32', [3], -1.1, 1, 0.2), float32([0.3], [])] },
    { name: 'ties', inputs: [float32([1, 2]), float32([1, 3])], gradientOf: [] },
  ],
})
