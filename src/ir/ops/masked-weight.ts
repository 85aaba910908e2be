import { fromNumbers, toNumbers } from '../../tensor/elements.ts'
import { float32 } from '../../tensor/tensor.ts'
import { spread } from '../families/samples.ts'
import { ESPALIER_DOMAIN } from '../model.ts'
import { defineOperator } from '../operator.ts'

/**
 * w * mask, whose gradient reaches all of w, so that a weight that was pruned goes on learning and may come back:
 * dynamic network surgery, Guo, Yao, Chen 2016 (arXiv 1608.04493), equation 3. The mask [shape of w] gets no gradient.
 */
export const maskedWeight = defineOperator({
  type: 'MaskedWeight',
  domain: ESPALIER_DOMAIN,
  since: 1,
  summary: 'Multiplies a weight by a mask of its shape and hands the gradient to all of it, masked or not.',
  parameters: [0],
  infer: ({ inputs: [w] }) => [w],
  evaluate: ({ inputs: [w, mask] }) => {
    const kept = toNumbers(mask!)
    return [
      fromNumbers(
        w!.dtype,
        w!.shape,
        toNumbers(w!).map((value, i) => value * kept[i]),
      ),
    ]
  },
  gradient: ({ outputGradients: [dy] }) => [dy],
  body: ({ inputs: [w, mask], emit }) => [emit('Mul', [w, mask])],
  samples: [{ name: 'half of it', inputs: [spread([2, 3]), float32([1, 0, 0, 1, 0, 1], [2, 3])], gradientOf: [] }],
})
