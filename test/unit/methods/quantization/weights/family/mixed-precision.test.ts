import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../../../../src/engines/onnxruntime.ts'
import { writeModel } from '../../../../../../src/formats/onnx/write.ts'
import { createDraft } from '../../../../../../src/ir/draft.ts'
import type { Model } from '../../../../../../src/ir/model.ts'
import type { Context, Method, ProofCheck, Sensitivity } from '../../../../../../src/methods/method.ts'
import { magnitude } from '../../../../../../src/methods/pruning/weights/magnitude.ts'
import type { QuantizationOptions } from '../../../../../../src/methods/quantization/weights/family/family.ts'
import { shiftCnn } from '../../../../../../src/methods/quantization/weights/shift-cnn.ts'
import { ternaryWeightNetworks } from '../../../../../../src/methods/quantization/weights/ternary-weight-networks.ts'
import { uniform } from '../../../../../../src/methods/quantization/weights/uniform.ts'
import { createRandom } from '../../../../../../src/tensor/random.ts'
import { float32 } from '../../../../../../src/tensor/tensor.ts'
import { evaluate } from '../../../../../../src/training/evaluate.ts'
import { patternData } from '../../../../../support/small-data.ts'

const inputShape = [1, 6, 6]
const classes = 4
const data = {
  train: patternData({ size: 8, seed: 1, classes, inputShape, noise: 0.8 }),
  validation: patternData({ size: 300, seed: 2, classes, inputShape, noise: 0.8 }),
}

/** Compares an input, mixed and unmixed again, with the patterns of the data: classifies well without training. */
async function network(): Promise<Model> {
  const random = createRandom(7)
  const sums = Array.from({ length: classes }, () => new Float32Array(37))
  const examples = patternData({ size: 400, seed: 9, classes, inputShape, noise: 0.8 })
  const { inputs, labels } = await examples.batch(Array.from({ length: 400 }, (_, i) => i))
  for (const [i, label] of labels.entries()) {
    sums[label][36]++
    for (let k = 0; k < 36; k++) sums[label][k] += inputs.data[i * 36 + k]
  }
  const mean = (c: number, k: number) => sums[c][k] / sums[c][36]
  const draft = createDraft()
  const x = draft.add('Flatten', [draft.input('x', 'float32', ['N', ...inputShape])], { axis: 1 })
  const mixing = Float32Array.from({ length: 36 * 36 }, (_, i) => (i % 37 === 0 ? 1 : 0.05 * random.normal()))
  // Nobody reads the last row: what is in it only widens the range of the weights.
  mixing[35 * 36] = 50
  const weights = Float32Array.from({ length: classes * 36 }, (_, i) =>
    i % 36 === 35 ? 0 : 4 * mean(Math.floor(i / 36), i % 36),
  )
  const bias = Float32Array.from({ length: classes }, (_, c) =>
    Array.from({ length: 36 }, (_, k) => -2 * mean(c, k) ** 2).reduce((a, b) => a + b, 0),
  )
  const gemm = (name: string, value: string, rows: number, numbers: Float32Array, own: string[]) =>
    draft.add(
      'Gemm',
      [value, draft.constant(`${name}.weight`, float32(numbers, [rows, 36])), ...own],
      { transB: 1 },
      { name },
    )
  const mixed = gemm('mix', x, 36, mixing, [])
  draft.output(gemm('match', mixed, classes, weights, [draft.constant('bias', float32(bias))]), 'float32', [
    'N',
    classes,
  ])
  return draft.finish()
}

async function apply(
  options: object,
  { withData = true, method = uniform }: { withData?: boolean; method?: Method<string, QuantizationOptions> } = {},
) {
  const model = await network()
  const checks: ProofCheck[] = []
  const skipped: string[] = []
  const tasks = new Set<string>()
  const told: Sensitivity[] = []
  const context: Context = {
    seed: 3,
    engine: onnxruntime,
    skip: (layer) => skipped.push(layer),
    proved: (check) => checks.push(check),
    sensitivity: (found) => told.push(found),
    progress: ({ task }) => tasks.add(task),
    ...(withData ? { data } : {}),
  }
  const untrained = method.options.safeParse({ retrain: false, ...options })
  const parsed = untrained.success ? untrained.data : method.options.parse(options)
  const result = await method.apply(model, parsed, context)
  const precision = (layer: string) =>
    Number(/precision (\d+)/.exec(checks.find(({ check }) => check.endsWith(`'${layer}'`))?.detail ?? '')?.[1])
  const mean = Number(/at ([\d.]+) bits a weight/.exec(checks.find(({ check }) => check.includes('codes'))!.detail)![1])
  return { model, result, checks, tasks, told, mean, precisions: ['mix', 'match'].map(precision) }
}

describe('bits a layer', () => {
  it.each([true, false])('keep to an average, with data: %s', async (withData) => {
    const { mean, precisions, checks, tasks } = await apply({ averageBits: 5 }, { withData })
    expect(mean).toBeLessThanOrEqual(5)
    expect(mean).toBeGreaterThan(4)
    for (const bits of precisions) expect(bits).toBeGreaterThanOrEqual(2)
    expect(checks.every(({ passed }) => passed)).toBe(true)
    expect(tasks.has('sensitivity')).toBe(withData)
  })

  it('are the same for the same seed', async () => {
    const [first, second] = [await apply({ averageBits: 4.5 }), await apply({ averageBits: 4.5 })]
    expect(writeModel(first.result)).toEqual(writeModel(second.result))
  })

  it('lose no more than is allowed, in fewer bits than one precision for all', async () => {
    const { model, result, mean } = await apply({ maxLoss: 1 })
    const before = await evaluate(model, data.validation, onnxruntime)
    const after = await evaluate(result, data.validation, onnxruntime)
    expect(before.accuracy).toBeGreaterThan(0.9)
    expect(before.accuracy - after.accuracy).toBeLessThanOrEqual(0.01 + 1e-9)
    const eight = await apply({ bits: 8 })
    expect(mean).toBeLessThan(eight.mean)
    const strict = await apply({ maxLoss: 0.4 })
    expect(strict.mean).toBeGreaterThanOrEqual(mean)
  })

  it('stay where a layer has its own', async () => {
    const { precisions } = await apply({ averageBits: 6, layers: { match: { bits: 7 } } })
    expect(precisions[1]).toBe(7)
  })

  it('are whatever the method counts: powers of two in a sum', async () => {
    const { precisions, mean } = await apply({ averageBits: 6 }, { method: shiftCnn })
    expect(mean).toBeLessThanOrEqual(6)
    for (const codebooks of precisions) expect(codebooks).toBeGreaterThanOrEqual(1)
  })

  it.each([
    ['two budgets', { averageBits: 4, maxLoss: 1 }, true, 'two-budgets'],
    ['less than the fewest bits', { averageBits: 1.5 }, true, 'average-bits'],
    ['less than the fewest bits, without data', { averageBits: 1.5 }, false, 'average-bits'],
    ['a loss that cannot be measured', { maxLoss: 1 }, false, 'no-validation-data'],
    ['a layer that is not there', { averageBits: 4, layers: { other: { bits: 3 } } }, true, 'layer-pattern'],
  ])('refuse %s', async (_, options, withData, code) => {
    await expect(apply(options, { withData })).rejects.toMatchObject({ code })
  })

  it('refuse a loss that the most bits do not keep', async () => {
    const layers = { '*': { bits: 2 } }
    await expect(apply({ maxLoss: 0, layers, granularity: 'tensor' })).rejects.toMatchObject({
      code: 'max-loss',
      place: 'maxLoss',
    })
  })

  it('are options of methods with a precision only', () => {
    expect(uniform.options.safeParse({ averageBits: 3 }).success).toBe(true)
    expect(uniform.options.safeParse({ averageBits: 0 }).success).toBe(false)
    expect(ternaryWeightNetworks.options.safeParse({ averageBits: 3 }).success).toBe(false)
  })

  it('turn with the strength', () => {
    const options = uniform.options.parse({ averageBits: 4 })
    expect(uniform.strength!(options, 2)).toMatchObject({ averageBits: 1 })
    expect(uniform.strength!(options, 1)).toEqual(options)
  })
})

describe('the sensitivity in bits', () => {
  function facts() {
    const skipped: string[] = []
    const skip = (layer: string, reason: string) => void skipped.push(`${layer}: ${reason}`)
    const context: Context = { seed: 3, engine: onnxruntime, skip }
    return { context, skipped }
  }

  async function measure(
    options: object = {},
    { method = uniform, model }: { method?: Method<string, QuantizationOptions>; model?: Model } = {},
  ) {
    const { context, skipped } = facts()
    const input = model ?? (await network())
    const found = await method.sensitivity!(input, method.options.parse(options), { ...context, data })
    return { found, skipped }
  }

  /** The data with another number in every example, or another label. */
  function changed({ input, label }: { input?: number; label?: number }): NonNullable<Context['data']> {
    const batch = async (indices: ArrayLike<number>) => {
      const { inputs, labels } = await data.validation.batch(indices)
      if (input !== undefined) for (let i = 0; i < indices.length; i++) inputs.data[36 * i] = input
      return { inputs, labels: label === undefined ? labels : labels.map(() => label) }
    }
    return { ...data, validation: { ...data.validation, batch } }
  }

  it('is the accuracy of the network of which one layer alone has so many bits', async () => {
    const { found, skipped } = await measure({ granularity: 'tensor' })
    const model = await network()
    const whole = await evaluate(model, data.validation, onnxruntime)
    expect(skipped).toEqual([])
    expect(found).toMatchObject({ unit: 'bits', parts: 'weights', count: 300, accuracy: whole.accuracy })
    expect(found).not.toHaveProperty('maxLoss')
    expect(found.curves.map(({ layer, size }) => [layer, size])).toEqual([
      ['mix', 36 * 36],
      ['match', 4 * 36],
    ])
    for (const { layer, points, ...rest } of found.curves) {
      expect(rest).not.toHaveProperty('chosen')
      expect(points.map(({ at }) => at)).toEqual([2, 3, 4, 5, 6, 7, 8])
      for (const { at, accuracy, loss } of points) {
        const { result } = await apply({ granularity: 'tensor', include: [layer], bits: at })
        const alone = await evaluate(result, data.validation, onnxruntime)
        expect(accuracy).toBe(alone.accuracy)
        expect(loss).toBeCloseTo(alone.loss, 5)
      }
    }
    // The one wide weight of 'mix' leaves the others no codes of their own.
    const [mix, match] = found.curves.map(({ points }) => points[0].accuracy)
    expect(mix).toBeLessThan(match)
  })

  it('says what a budget gives each layer, as the step that takes it does', async () => {
    for (const budget of [{ maxLoss: 1 }, { averageBits: 5 }]) {
      const { found } = await measure(budget)
      expect(found).toMatchObject(budget)
      const { told, precisions } = await apply(budget)
      expect(told).toEqual([found])
      expect(found.curves.map(({ chosen }) => chosen)).toEqual(precisions)
    }
    expect((await apply({ averageBits: 5 }, { withData: false })).told).toEqual([])
  })

  it('counts what the method counts, and measures where a layer has its own only that', async () => {
    const shifts = await measure({}, { method: shiftCnn })
    expect(shifts.found.unit).toBe('codebooks')
    expect(shifts.found.curves[0].points.map(({ at }) => at)).toEqual([1, 2, 3, 4])
    const own = await measure({ layers: { match: { bits: 7 } }, include: ['match'] })
    expect(own.found.curves.map(({ points }) => points.map(({ at }) => at))).toEqual([[7]])
  })

  it('finds that a layer of zeros loses nothing, and leaves quantized ones alone', async () => {
    const model = await network()
    const zeros = new Map(model.graph.initializers).set('match.weight', float32(new Float32Array(4 * 36), [4, 36]))
    const { found } = await measure({}, { model: { ...model, graph: { ...model.graph, initializers: zeros } } })
    const { points } = found.curves[1]
    expect(points.every(({ accuracy }) => accuracy === found.accuracy)).toBe(true)
    expect(points).toHaveLength(7)
    const { result } = await apply({ include: ['mix'] })
    const again = await measure({}, { model: result })
    expect(again.found.curves.map(({ layer }) => layer)).toEqual(['match'])
    expect(again.skipped).toEqual([expect.stringMatching(/^mix: its weights are not plain floats/)])
    const none = await measure({ include: ['mix'], maxLoss: 1 }, { model: result })
    expect(none.found.curves).toEqual([])
  })

  it.each([
    ['without data', undefined, 'no-validation-data', 'data'],
    ['on examples that are no numbers', changed({ input: Number.NaN }), 'loss-not-finite', 'validation'],
    ['without labels', changed({ label: -1 }), 'label-range', undefined],
  ] as const)('cannot be measured %s, as of pruning', async (_, given, code, place) => {
    const { context } = facts()
    const all = { ...context, ...(given ? { data: given } : {}) }
    for (const method of [uniform, magnitude] as const) {
      const asked = method.sensitivity!(await network(), method.options.parse({ include: ['match'] }) as never, all)
      await expect(asked).rejects.toMatchObject({ code, ...(place ? { place } : {}) })
    }
  })

  it('refuses two budgets before it measures, bits out of range, and methods of one precision have none', async () => {
    await expect(measure({ averageBits: 4, maxLoss: 1 })).rejects.toMatchObject({
      code: 'two-budgets',
    })
    for (const bits of [1, 9, 2.5, Number.NaN]) expect(uniform.options.safeParse({ bits }).success).toBe(false)
    expect(uniform.options.safeParse({ layers: { mix: { bits: 9 } } }).success).toBe(false)
    expect(ternaryWeightNetworks.sensitivity).toBeUndefined()
  })
})
