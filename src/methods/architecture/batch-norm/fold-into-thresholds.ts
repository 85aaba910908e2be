/**
 * A normalization in front of comparisons becomes their thresholds, one a channel. So signs, `Where(x >= 0, 1, -1)`,
 * and step functions, `code = Σ (x > t_i)`, need no arithmetic in front of them.
 */
import { intsAttribute, type Node } from '../../../ir/model.ts'
import type { DType } from '../../../tensor/dtype.ts'
import { fromNumbers, toNumbers } from '../../../tensor/elements.ts'
import { createTensor, elementCount, type Tensor } from '../../../tensor/tensor.ts'
import type { ChannelAffine } from './affine.ts'
import type { Folding } from './fold-into-layer.ts'

/** A comparison whose answers are kept, and what it compares the normalization's output with. */
export interface Thresholds {
  /** The value that tells the answers: the same name before and after. */
  readonly answers: string
  /** The compared value of the model as it was: the normalization's output, or the maxima of it, perhaps moved. */
  readonly compared: string
  /** A scalar, or one a channel. */
  readonly threshold: Tensor
}

interface Found extends Thresholds {
  readonly node: Node
  readonly pool?: Node
  /** What only moves values, between them and the comparison: their answers can be moved as well. */
  readonly moves: readonly Node[]
}

const comparisons: ReadonlySet<string> = new Set(['Greater', 'GreaterOrEqual'])
/** They leave the values of an example in their order. */
export const movingNodes: ReadonlySet<string> = new Set(['Identity', 'Flatten', 'Reshape'])

/**
 * Rewrites the draft so that all readers compare what the normalization reads: with a = γ / √(σ² + ε),
 * a (x - μ) + β >= t is x >= τ for a > 0 and x <= τ for a < 0, τ = μ + (t - β) / a; for a = 0 the answer is the same
 * for every x. A maximum between the two commutes with rising functions only; what moves values moves the answers. τ is rounded to the side of it on which no
 * number of the type lies between: no decision changes but by the rounding of the normalization itself.
 * @returns the comparisons; undefined where nothing compares; the reason where one cannot. Then nothing was changed.
 */
export function foldIntoThresholds(
  norm: Node,
  affine: ChannelAffine,
  folding: Folding,
): readonly Thresholds[] | string | undefined {
  const { draft, types } = folding
  const found = comparisonsBehind(norm, folding)
  if (found === undefined || typeof found === 'string') return found
  const type = types.get(norm.inputs[0])
  if (!type?.shape || (type.dtype !== 'float32' && type.dtype !== 'float16'))
    return 'the type of what it normalizes is not known, or neither float32 nor float16'
  if (found.some(({ pool }) => pool) && affine.factor.some((a) => a < 0))
    return 'a factor is negative, and maxima are taken before the comparison'
  const shape = [affine.factor.length, ...type.shape.slice(2).map(() => 1)]
  const [x] = norm.inputs
  const pools = new Map<Node, string>()
  const gone = new Set<Node>([norm])
  const added: Node[] = []
  for (const { node, pool, moves, answers, threshold } of found) {
    for (const one of [node, ...moves]) gone.add(one)
    let value = x
    if (pool) {
      gone.add(pool)
      value = pools.get(pool) ?? draft.fresh(pool.outputs[0])
      if (!pools.has(pool)) added.push({ ...pool, inputs: [x], outputs: [value] })
      pools.set(pool, value)
    }
    const { limits, turned } = limitsOf(affine, threshold, node.op === 'Greater', type.dtype)
    const limit = draft.constant(`${answers}.threshold`, fromNumbers(type.dtype, shape, limits))
    const steps: Node[] = [{ ...node, inputs: [value, limit] }]
    if (turned.includes(1)) {
      const signs = draft.constant(`${answers}.turned`, createTensor('bool', shape, turned))
      const name = `${node.name || answers}.turned`
      steps.push({ name, op: 'Xor', domain: '', inputs: ['', signs], outputs: [], attributes: {} })
    }
    steps.push(...moves.map((one) => ({ ...one, name: '' })))
    for (const [i, step] of steps.entries()) {
      const last = i === steps.length - 1
      const inputs = i === 0 ? step.inputs : [added.at(-1)!.outputs[0], ...step.inputs.slice(1)]
      added.push({ ...step, inputs, outputs: [last ? answers : draft.fresh(`${answers}.${step.op.toLowerCase()}`)] })
    }
  }
  const kept = draft.nodes.filter((node) => !gone.has(node))
  draft.nodes.splice(0, draft.nodes.length, ...kept, ...added)
  return found
}

/**
 * All readers of the output, if all of them compare it with constants, perhaps after taking maxima and moving them;
 * undefined if none does.
 */
function comparisonsBehind(norm: Node, folding: Folding): readonly Found[] | string | undefined {
  const { index } = folding
  const found: Found[] = []
  const faults: string[] = []
  let compares = false
  const visit = (made: string, moves: readonly Node[], pool?: Node): void => {
    if (index.isOutput(made)) faults.push('what is compared is an output of the model too')
    for (const node of index.consumers(made)) {
      const isFirst = node.domain === '' && node.inputs[0] === made
      if (isFirst && isPlainMaxPool(node) && !pool && moves.length === 0) visit(node.outputs[0], moves, node)
      else if (isFirst && movingNodes.has(node.op)) visit(node.outputs[0], [...moves, node], pool)
      else if (isFirst && comparisons.has(node.op)) {
        compares = true
        const threshold = thresholdOf(node, norm, folding)
        const answers = node.outputs[0]
        // Behind a move channels lie in another way.
        if (threshold && (moves.length === 0 || elementCount(threshold.shape) === 1))
          found.push({ node, answers, compared: made, threshold, moves, ...(pool ? { pool } : {}) })
        else faults.push('it is compared with more than a number a channel, or with none that is constant')
      } else faults.push('not only comparisons read it')
    }
  }
  visit(norm.outputs[0], [])
  if (!compares) return undefined
  return faults[0] ?? found
}

/** Without the places of the maxima, and without windows that may lie in the padding alone. */
export function isPlainMaxPool(node: Node): boolean {
  const dense = (intsAttribute(node, 'dilations') ?? []).every((step) => step === 1)
  return node.op === 'MaxPool' && node.domain === '' && dense && !node.outputs[1]
}

/** A finite scalar, or one a channel in a shape that broadcasts so. */
function thresholdOf({ inputs }: Node, norm: Node, { constant, types }: Folding): Tensor | undefined {
  const tensor = constant(inputs[1])
  const shape = types.get(norm.inputs[0])?.shape
  if (!tensor || !shape || !toNumbers(tensor).every(Number.isFinite)) return undefined
  const channelAxis = tensor.shape.length - (shape.length - 1)
  const channels = constant(norm.inputs[1])!.shape[0]
  const fits = tensor.shape.every((size, axis) => size === 1 || (axis === channelAxis && size === channels))
  return fits && tensor.shape.length <= shape.length ? tensor : undefined
}

/** What x is compared with, and 1 for the channels in which the answer is turned: [C] each. */
function limitsOf({ factor, mean, shift }: ChannelAffine, threshold: Tensor, strict: boolean, dtype: DType) {
  const thresholds = toNumbers(threshold)
  const turned = new Uint8Array(factor.length)
  const limits = Float64Array.from(factor, (a, c) => {
    const t = thresholds[thresholds.length === 1 ? 0 : c]
    const tau = mean[c] + (t - shift[c]) / a
    const answer = (yes: boolean) => {
      turned[c] = yes ? 1 : 0
      return largest(dtype)
    }
    if (a === 0) return answer(strict ? shift[c] > t : shift[c] >= t)
    if (Math.abs(tau) >= largest(dtype)) return answer(tau > 0 === a < 0)
    turned[c] = a < 0 ? 1 : 0
    // x > τ as it is: nothing between the limit and τ. Turned: x < τ is not x >= τ,
    // which is not x > the number below τ.
    return strict ? -atLeast(-tau, a < 0, dtype) : atLeast(tau, a < 0, dtype)
  })
  return { limits, turned }
}

function largest(dtype: DType): number {
  return dtype === 'float16' ? 65504 : (2 - 2 ** -23) * 2 ** 127
}

/** The smallest number of the type that is at least the bound, or that is above it. */
function atLeast(bound: number, above: boolean, dtype: DType): number {
  const nearest = fromNumbers(dtype, [1], [bound])
  const [value] = toNumbers(nearest)
  if (above ? value > bound : value >= bound) return value
  // The next one up: floats of a sign are in the order of their bits.
  const { data } = nearest as Tensor<'float16' | 'float32'>
  const bits = dtype === 'float16' ? (data as Uint16Array) : new Uint32Array(data.buffer, data.byteOffset, 1)
  const sign = dtype === 'float16' ? 0x8000 : 0x80000000
  if (bits[0] === sign) bits[0] = 1
  else bits[0] += bits[0] >= sign ? -1 : 1
  return toNumbers(nearest)[0]
}
