import { elementCount, float32, type Tensor } from '../../tensor/tensor.ts'
import { nodeError } from '../families/axes.ts'
import { ESPALIER_DOMAIN, intsAttribute, type Node } from '../model.ts'
import { defineOperator } from '../operator.ts'

/**
 * Random numbers of `shape`, float32, uniform in [0, 1). A training step makes a graph input of the node, which the
 * trainer fills anew in each step from its seed; where nothing is trained, all are 1/2, so that the same model gives
 * the same results.
 */
export const noise = defineOperator({
  type: 'Noise',
  domain: ESPALIER_DOMAIN,
  since: 1,
  summary: 'Gives random numbers, uniform in [0, 1) and new in each step of a training; outside of it, all are 1/2.',
  infer: ({ node }) => [{ dtype: 'float32', shape: shapeOf(node) }],
  evaluate: ({ node }) => [halves(node)],
  differentiable: 'none',
  body: ({ node, literal }) => [literal(halves(node))],
  samples: [
    { name: 'matrix', inputs: [], attributes: { shape: [2, 3] } },
    { name: 'one number', inputs: [], attributes: { shape: [] } },
  ],
})

function halves(node: Node): Tensor<'float32'> {
  const shape = shapeOf(node)
  return float32(new Float32Array(elementCount(shape)).fill(0.5), shape)
}

function shapeOf(node: Node): number[] {
  const shape = intsAttribute(node, 'shape')
  if (!shape) throw nodeError(node, 'attribute-missing', 'it has no shape')
  if (shape.some((size) => size < 0)) throw nodeError(node, 'shape', `its shape is [${shape.join(', ')}]`)
  return shape
}
