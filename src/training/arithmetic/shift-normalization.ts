/**
 * Shift-based batch normalization (Courbariaux et al. 2016, arXiv 1602.02830, section 1.4): every product of a batch
 * normalization has a power of two as one factor, so that a shift computes it.
 */
import { ModelError, UnsupportedError, UsageError } from '../../errors.ts'
import type { Draft } from '../../ir/draft.ts'
import { axesButChannel, channelShape } from '../../ir/families/channels.ts'
import { nodeLabel } from '../../ir/graph.ts'
import { floatAttribute, type Model, type Node } from '../../ir/model.ts'
import { nearestPowerOfTwo } from '../../tensor/powers-of-two.ts'
import { float32, int64, type Tensor } from '../../tensor/tensor.ts'

/** The batch normalizations whose constants training can reach, in the order of the graph. */
function normalizations({ graph: { nodes, initializers } }: Model): Node[] {
  return nodes.filter(
    ({ domain, op, inputs }) =>
      domain === '' && op === 'BatchNormalization' && inputs.slice(1, 5).every((name) => initializers.has(name)),
  )
}

/**
 * Refuses a model in which nothing can be normalized by shifts: that takes scale, shift and statistics as initializers.
 * @throws UsageError where there is no such batch normalization; UnsupportedError where two of different epsilon share
 * a variance; ModelError where a scale or variance is not finite.
 */
export function checkShiftNormalization(model: Model): void {
  const found = normalizations(model)
  if (found.length === 0)
    throw new UsageError('no-normalization', 'shiftNormalization was asked for, but the model normalizes no batches', {
      place: 'shiftNormalization',
      hint: 'Leave it out, or train a model that has BatchNormalization with its scale and statistics as initializers.',
    })
  const epsilons = new Map<string, number>()
  for (const node of found) {
    const [, , , , variance] = node.inputs
    const known = epsilons.get(variance) ?? epsilonOf(node)
    if (known !== epsilonOf(node))
      throw new UnsupportedError('shared-statistics', `two normalizations share '${variance}' and differ in epsilon`, {
        place: nodeLabel(node),
        hint: 'Give each a variance of its own.',
      })
    epsilons.set(variance, known)
  }
  withPowersOfTwo(model, new Map())
}

/** Statistics of a normalization, each float32 `[channels]`. */
export interface NormalizationStatistics {
  readonly mean: string
  readonly variance: string
}

/**
 * Writes a batch normalization by shifts under the name of the node's output: with C = x - mean,
 * y = C · AP2((variance + epsilon)^-1/2) · AP2(scale) + shift, where the variance is the mean of C · AP2(C) over all
 * axes but the channels. The inverse deviation is at most epsilon^-1/2, rounded down to a power of two.
 *
 * Differs from the paper: that bound, which only channels reach that hardly vary; without it a standard
 * BatchNormalization of the same epsilon could not say the factor.
 * @param shape of x, static.
 * @param statistics those to normalize by; default: those of the batch.
 * @returns the statistics it normalizes by.
 */
export function normalizeByShifts(
  draft: Draft,
  node: Node,
  shape: readonly number[],
  statistics?: NormalizationStatistics,
): NormalizationStatistics {
  const [x, scale, shift] = node.inputs
  const epsilon = epsilonOf(node)
  const broadcast = draft.constant('channels', int64(channelShape(shape)))
  const flat = draft.constant('channels', int64([-1]))
  const axes = draft.constant('axes', int64(axesButChannel(shape.length)))
  const spread = (value: string) => draft.add('Reshape', [value, broadcast])
  const mean = statistics ? spread(statistics.mean) : draft.add('ReduceMean', [x, axes])
  const centred = draft.add('Sub', [x, mean])
  const spreadVariance = statistics
    ? spread(statistics.variance)
    : draft.add('ReduceMean', [draft.add('Mul', [centred, ap2(centred)]), axes])
  const scalar = (value: number) => draft.constant('epsilon', float32([value], []))
  const deviation = draft.add('Sqrt', [draft.add('Add', [spreadVariance, scalar(epsilon)])])
  const inverse = draft.add('Min', [ap2(draft.add('Reciprocal', [deviation])), scalar(largestInverse(epsilon))])
  const scaled = draft.add('Mul', [draft.add('Mul', [centred, inverse]), spread(ap2(scale))])
  draft.nodes.push({
    ...node,
    op: 'Add',
    inputs: [scaled, spread(shift)],
    outputs: [node.outputs[0]],
    attributes: {},
  })
  if (statistics) return statistics
  return { mean: draft.add('Reshape', [mean, flat]), variance: draft.add('Reshape', [spreadVariance, flat]) }

  function ap2(value: string): string {
    return draft.add('espalier.PowerOfTwo', [value])
  }
}

/**
 * The initializers with which the model's own BatchNormalization nodes compute what was trained, exactly: the scale
 * becomes AP2(scale), and the variance what makes 1 / sqrt(variance + epsilon) that power of two. Both are fixed
 * points.
 * @param values of the model's initializers; those that it lacks are the model's own.
 * @returns `values` with the scales and variances of all normalizations replaced or added.
 * @throws ModelError when a scale or variance is not finite, or a variance too negative to have a root.
 */
export function withPowersOfTwo(model: Model, values: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  const result = new Map(values)
  const replace = (node: Node, index: number, rule: (value: number) => number) => {
    const name = node.inputs[index]
    const { data, shape } = values.get(name) ?? model.graph.initializers.get(name)!
    const powers = Float32Array.from(data as Float32Array, rule)
    if (!powers.every(Number.isFinite))
      throw new ModelError('not-finite', `'${name}' gives batch normalization no finite power of two`, {
        place: nodeLabel(node),
        hint: 'Its values must be finite, and variances larger than -epsilon.',
      })
    result.set(name, float32(powers, shape))
  }
  for (const node of normalizations(model)) {
    const epsilon = epsilonOf(node)
    replace(node, 1, nearestPowerOfTwo)
    replace(node, 4, (variance) => {
      const inverse = nearestPowerOfTwo(1 / Math.sqrt(Math.fround(variance + epsilon)))
      return Math.min(inverse, largestInverse(epsilon)) ** -2 - epsilon
    })
  }
  return result
}

function epsilonOf(node: Node): number {
  return Math.fround(floatAttribute(node, 'epsilon', 1e-5))
}

/** The largest power of two that 1 / sqrt(variance + epsilon) can be with a variance of zero or more. */
function largestInverse(epsilon: number): number {
  return epsilon === 0 ? 2 ** 62 : 2 ** Math.floor(-Math.log2(epsilon) / 2)
}
