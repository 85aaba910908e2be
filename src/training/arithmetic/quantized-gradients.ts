/** Low-bit gradients in a training step, by DoReFa-Net (Zhou et al. 2016, arXiv 1606.06160). */
import { UnsupportedError, UsageError } from '../../errors.ts'
import type { Draft } from '../../ir/draft.ts'
import { neededFor, nodeLabel, reachedFrom } from '../../ir/graph.ts'
import type { Model, Node } from '../../ir/model.ts'
import { inferShapes } from '../../ir/shapes.ts'
import { freshInput, uniformInput, type RandomInput } from '../forward.ts'
import type { TrainingSettings } from '../settings.ts'

const products = new Set(['Conv', 'ConvTranspose', 'Gemm', 'MatMul'])

/**
 * Quantizes the gradients by the outputs of all layers but the first and the last, as the paper does: the gradients by
 * their weights and inputs are computed from these.
 *
 * Differs from the paper: the noise of an element is the fractional part of a number of its place and one of its
 * example, instead of a number of its own. Any two elements are as independent as the paper's, so sums over a batch
 * vary as much, and the random numbers of a step are fewer by a factor of the batch.
 * @param draft of `model` in its training form.
 * @returns the noise.
 * @throws UsageError when there are no layers between, or another arithmetic rounds gradients already.
 * @throws UnsupportedError when a layer's output has a shape that cannot be told, or the batch is not its first axis.
 */
export function quantizeLayerGradients(
  draft: Draft,
  model: Model,
  { images, logits, batchSize }: { readonly images: string; readonly logits: string; readonly batchSize: number },
  { gradientBits, flexpoint }: Partial<Pick<TrainingSettings, 'gradientBits' | 'flexpoint'>>,
): RandomInput[] {
  if (gradientBits === undefined) return []
  if (flexpoint)
    throw new UsageError('gradient-arithmetic', 'flexpoint and gradientBits both say how gradients are rounded', {
      place: 'gradientBits',
      hint: 'Leave one of them out.',
    })
  const found = layersBetween(model, images, logits)
  const inner = found.slice(1, -1)
  if (inner.length === 0)
    throw new UsageError(
      'gradient-layers',
      `the gradients of the first and the last layer stay as they are, and there ${found.length === 1 ? 'is' : 'are'} ${found.length}`,
      { place: 'gradientBits', hint: 'Leave gradientBits out for so small a model.' },
    )
  const types = inferShapes(model)
  return inner.flatMap((layer) => {
    const [output] = layer.outputs
    const shape = types.get(output)?.shape
    if (!isStatic(shape) || shape.length === 0 || shape[0] % batchSize !== 0)
      throw new UnsupportedError(
        'gradient-shape',
        `the output of '${nodeLabel(layer)}' has no axis of examples in front`,
        {
          place: nodeLabel(layer),
          hint: 'Leave gradientBits out for this model.',
        },
      )
    return quantizeGradientOf(draft, output, shape, gradientBits)
  })
}

/**
 * The products of something that depends on the images with something that does not, in order, as far as the logits
 * need them.
 */
function layersBetween({ graph: { nodes } }: Model, images: string, logits: string): Node[] {
  const moving = reachedFrom(nodes, [images])
  const needed = neededFor(nodes, [logits])
  return nodes.filter(({ domain, op, inputs, outputs }) => {
    const operands = inputs.slice(0, 2).filter((input) => moving.has(input))
    return domain === '' && products.has(op) && operands.length === 1 && needed.has(outputs[0])
  })
}

function quantizeGradientOf(draft: Draft, value: string, shape: readonly number[], bits: number): RandomInput[] {
  const one = shape.map(() => 1)
  const ofExamples = [shape[0], ...one.slice(1)]
  const ofPlaces = [1, ...shape.slice(1)]
  const examples = freshInput(draft, `${value}.noise`, 'float32', ofExamples)
  const places = freshInput(draft, `${value}.noise`, 'float32', ofPlaces)
  const sum = draft.add('Add', [examples, places])
  const noise = draft.add('Sub', [sum, draft.add('Floor', [sum])])
  draft.interpose(value, () => draft.add('espalier.QuantizeGradient', [value, noise], { bits }))
  return [{ ...uniformInput(examples, ofExamples), batched: true }, uniformInput(places, ofPlaces)]
}

function isStatic(shape: readonly unknown[] | undefined): shape is readonly number[] {
  return shape !== undefined && shape.every((size) => typeof size === 'number')
}
