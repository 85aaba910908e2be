import { z } from 'zod'
import { UnsupportedError } from '../../../errors.ts'
import type { Draft } from '../../../ir/draft.ts'
import { graphIndex } from '../../../ir/graph.ts'
import type { Model } from '../../../ir/model.ts'
import type { Layer } from '../../../ir/rewrite.ts'
import { float32 } from '../../../tensor/tensor.ts'
import { retrainOption, retrains } from '../../retraining.ts'
import { finiteWeights } from '../../weights.ts'
import { defineFilterPruner } from './family/family.ts'
import { retrainMasked } from '../rounds.ts'
import { scopeOption } from '../scope.ts'

/**
 * Network slimming: while training, an L1 penalty on the scales γ of batch normalization makes those of channels that are
 * not needed vanish; then one threshold on |γ| over all layers says which channels go, and what is left is fine-tuned.
 *
 * Differs from the paper: where a residual connection ties layers, their channels go together, by the largest of their
 * scales, and no channel selection layer is put in; and several rounds repeat the cut and the fine-tuning, not the training
 * with the penalty. For the multi-pass scheme the method stands in a recipe several times.
 */
export const networkSlimming = defineFilterPruner({
  name: 'network-slimming',
  summary: 'Trains with a penalty on the scales of batch normalization, and removes the channels with the smallest.',
  paper: {
    title: 'Learning Efficient Convolutional Networks through Network Slimming',
    authors: 'Liu, Li, Shen, Huang, Yan, Zhang',
    venue: 'ICCV',
    year: 2017,
    arxiv: '1708.06519',
  },
  options: {
    lambda: z.number().min(0).default(1e-4).describe('weight of the sum of the absolute scales in the loss'),
    sparse: retrainOption.describe(
      'training settings of the training with the penalty, which comes first, or false for none; default: as the recipe says, where there is data',
    ),
    scope: scopeOption.default('global'),
    combine: z
      .enum(['sum', 'max'])
      .default('max')
      .describe('the score of a channel that several layers make, from its scores in each'),
  },
  scale: 'none',
  async before({ model, layers, options: { lambda, sparse }, context }) {
    const scales = layers.map((layer) => scaleBehind(layer, model))
    if (scales.length === 0 || sparse === false || !retrains(sparse, context)) return model
    const penalties = [(draft: Draft) => sumOfMagnitudes(draft, new Set(scales), lambda)]
    return retrainMasked(model, new Map(), sparse, context, 'sparse training', { penalties })
  },
  score: ({ layer, model }) => {
    const scale = scaleBehind(layer, model)
    return finiteWeights(scale, model.graph.initializers.get(scale)!).map(Math.abs)
  },
})

/** Section 3, equation 1: λ Σ |γ|; its derivative is the subgradient λ sign(γ). */
function sumOfMagnitudes(draft: Draft, scales: ReadonlySet<string>, lambda: number): string {
  const sums = [...scales].map((scale) => draft.add('ReduceSum', [draft.add('Abs', [scale])], { keepdims: 0 }))
  const total = sums.length === 1 ? sums[0] : draft.add('Sum', sums)
  return draft.add('Mul', [total, draft.constant('lambda', float32([lambda], []))])
}

/**
 * The initializer with the scales of the batch normalization that reads what a layer makes, [out], at most behind a bias.
 * @throws UnsupportedError when there is none.
 */
function scaleBehind({ name, node }: Layer, { graph }: Model): string {
  const { consumers } = graphIndex(graph)
  const follow = (value: string): string | undefined => {
    const [reader, ...others] = consumers(value)
    if (reader === undefined || others.length > 0) return undefined
    const constant = reader.inputs.some((input) => graph.initializers.has(input))
    if (reader.op === 'BatchNormalization')
      return graph.initializers.has(reader.inputs[1]) ? reader.inputs[1] : undefined
    return reader.op === 'Identity' || (reader.op === 'Add' && constant) ? follow(reader.outputs[0]) : undefined
  }
  const scale = follow(node.outputs[0])
  if (scale !== undefined) return scale
  throw new UnsupportedError('no-batch-normalization', `no batch normalization follows the layer '${name}'`, {
    place: name,
    hint: 'Exclude the layer, or take the model as it was trained: a folded batch normalization has no scales. Other criteria, such as filter-l1, need none.',
  })
}
