/** The check that the student is ternary, and how often it does what the teacher does. */
import type { Model } from '../../../ir/model.ts'
import { layers } from '../../../ir/rewrite.ts'
import { toNumbers } from '../../../tensor/elements.ts'
import type { Context } from '../../method.ts'
import { watchValues } from '../activations/family/statistics.ts'

/** A layer of neurons in both models. */
export interface Pair {
  readonly layer: string
  /** What the teacher's activation puts out, a value of the teacher, */
  readonly teacher: string
  /** and the value of the student that stands for it. */
  readonly student: string
  /** What the search found by the teacher's probabilities, and the most that was possible. */
  readonly agreement: number
  readonly most: number
  /** Neurons that put out the same on all observations. */
  readonly constant: number
}

/** A layer of sums with scales. */
export interface Scaled {
  readonly layer: string
  /** Mean share of the variance of its outputs that is explained. */
  readonly explained: number
}

/** Examples that the two models are compared on. */
const EXAMPLES = 64

/**
 * Runs both models on examples, validation ones where there are any, and tells which share of each layer's activations
 * is the same. It passes where all weights that were to be, and all activations, are -1, 0 or 1.
 */
export async function proveTernary(
  name: string,
  teacher: Model,
  student: Model,
  pairs: readonly Pair[],
  scaled: readonly Scaled[],
  context: Context,
): Promise<void> {
  if (!context.proved) return
  const { train, validation } = context.data!
  const data = validation.size > 0 ? validation : train
  const expected = new Map<string, number[]>()
  const keep = (value: string, numbers: Float32Array) =>
    expected.set(value, [...(expected.get(value) ?? []), ...numbers])
  const same = new Map(pairs.map(({ student: value }) => [value, { equal: 0, count: 0, other: 0 }]))
  if (pairs.length > 0) {
    const values = pairs.map((pair) => pair.teacher)
    await watchValues(teacher, [...new Set(values)], data, EXAMPLES, context, keep)
    const counterpart = new Map(pairs.map((pair) => [pair.student, pair.teacher]))
    await watchValues(student, [...counterpart.keys()], data, EXAMPLES, context, (value, numbers) => {
      const own = same.get(value)!
      const of = expected.get(counterpart.get(value)!)!
      for (const number of numbers) {
        if (number === of[own.count]) own.equal++
        if (!isTernary(number)) own.other++
        own.count++
      }
    })
  }
  const treated = new Set([...pairs, ...scaled].map(({ layer }) => layer))
  const wrong = layers(student).find(
    (layer) => treated.has(layer.name) && !toNumbers(student.graph.initializers.get(layer.weight)!).every(isTernary),
  )
  const strange = pairs.find((pair) => same.get(pair.student)!.other > 0)
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`
  const told = pairs.map(({ layer, student: value, agreement, most, constant }) => {
    const { equal, count } = same.get(value)!
    const still = constant > 0 ? `, ${constant} neurons never change` : ''
    return `${layer} ${percent(equal / count)} (expected ${percent(agreement)} of at most ${percent(most)}${still})`
  })
  const rest = scaled.map(({ layer, explained }) => `${layer} ${percent(explained)} of its outputs by scales`)
  const problem = wrong
    ? `layer '${wrong.name}' has other weights`
    : strange && `the activation behind layer '${strange.layer}' has other values`
  context.proved({
    check: `${name}: weights and activations are -1, 0 and 1`,
    passed: problem === undefined,
    detail: problem ?? `agreement with the teacher: ${[...told, ...rest].join('; ')}`,
  })
}

function isTernary(value: number): boolean {
  return value === 0 || value === 1 || value === -1
}
