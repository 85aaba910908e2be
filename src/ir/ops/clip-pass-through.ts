import { scalar } from '../../tensor/tensor.ts'
import { spread } from '../families/samples.ts'
import { ESPALIER_DOMAIN } from '../model.ts'
import { defineOperator } from '../operator.ts'
import { clip } from './clip.ts'

/** Clip whose gradient does not stop at the bounds: what was driven beyond them can be driven back. */
export const clipPassThrough = defineOperator({
  type: 'ClipPassThrough',
  domain: ESPALIER_DOMAIN,
  since: 1,
  summary: 'Keeps elements between min and max, both optional scalars, and lets the gradient through everywhere.',
  infer: ({ inputs: [x] }) => [x],
  evaluate: (context) => clip.evaluate!(context),
  gradient: ({ outputGradients: [dy] }) => [dy],
  body: ({ inputs, emit }) => [emit('Clip', inputs)],
  samples: [
    { name: 'both', inputs: [spread([2, 5]), scalar('float32', -0.7), scalar('float32', 0.9)], gradientOf: [] },
    { name: 'upper', inputs: [spread([2, 3]), undefined, scalar('float32', 0.5)], gradientOf: [] },
  ],
})
