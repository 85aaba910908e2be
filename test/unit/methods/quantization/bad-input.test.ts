/**
 * What cannot be quantized, for every registered method of the families quantization and factorization: each case ends in
 * an error that names the layer and says what to do, or in a sound model and a reason for each layer left alone.
 */
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { onnxruntime } from '../../../../src/engines/onnxruntime.ts'
import { EspalierError } from '../../../../src/errors.ts'
import { constantValues } from '../../../../src/ir/constant-values.ts'
import { createDraft } from '../../../../src/ir/draft.ts'
import type { Model } from '../../../../src/ir/model.ts'
import { layers } from '../../../../src/ir/rewrite.ts'
import { verify } from '../../../../src/ir/verify.ts'
import { methods } from '../../../../src/methods/index.ts'
import type { Context, Method, ProofCheck } from '../../../../src/methods/method.ts'
import { ternaryActivations } from '../../../../src/methods/quantization/activations/ternary-activations.ts'
import { withInitializers } from '../../../../src/methods/weights.ts'
import { parseRecipe } from '../../../../src/pipelines/recipe.ts'
import { dtypes } from '../../../../src/tensor/dtype.ts'
import { toFloat32 } from '../../../../src/tensor/half.ts'
import { createRandom } from '../../../../src/tensor/random.ts'
import { createTensor, elementCount, float32, type Tensor } from '../../../../src/tensor/tensor.ts'
import { patternData } from '../../../support/small-data.ts'

const [INPUTS, HIDDEN, CLASSES] = [8, 16, 4]

interface Net {
  /** Inputs, the outputs of 'one' and of 'two', and classes. */
  readonly sizes?: readonly [number, number, number, number]
  /** Other numbers for an initializer, by its name. */
  readonly values?: Readonly<Record<string, (i: number) => number>>
  /** An operator behind the layer 'two'. */
  readonly behind?: string
  /** Whether two further layers lead to a second output. */
  readonly side?: boolean
}

/** one, ReLU, two, ReLU, three: by default only 'two' reads what activation quantizers quantize. */
function net({ sizes = [INPUTS, HIDDEN, HIDDEN, CLASSES], values = {}, behind, side }: Net = {}): Model {
  const draft = createDraft()
  const constant = (name: string, shape: readonly number[], seed: number) => {
    const random = createRandom(seed)
    const drawn = Float32Array.from({ length: elementCount(shape) }, () => random.normal() * 0.4)
    const changed = values[name]
    return draft.constant(name, float32(changed ? drawn.map((value, i) => changed(i) ?? value) : drawn, shape))
  }
  const gemm = (name: string, x: string, shape: readonly number[], seed: number) => {
    const inputs = [x, constant(`${name}.weight`, shape, seed), constant(`${name}.bias`, [shape[0]], seed + 50)]
    return draft.add('Gemm', inputs, { transB: 1 }, { name })
  }
  const x = draft.input('x', 'float32', ['batch', sizes[0]])
  const one = draft.add('Relu', [gemm('one', x, [sizes[1], sizes[0]], 1)])
  const two = draft.add('Relu', [gemm('two', one, [sizes[2], sizes[1]], 2)])
  const three = gemm('three', behind ? draft.add(behind, [two]) : two, [sizes[3], sizes[2]], 3)
  draft.output(three, 'float32', ['batch', sizes[3]])
  if (side) {
    const aside = draft.add('Relu', [gemm('aside', one, [HIDDEN, sizes[1]], 4)])
    draft.output(gemm('end', aside, [HIDDEN, HIDDEN], 5), 'float32', ['batch', HIDDEN])
  }
  return draft.finish()
}

function dataFor(inputs = INPUTS, classes = CLASSES): NonNullable<Context['data']> {
  const part = (size: number, seed: number) => patternData({ size, seed, classes, inputShape: [inputs] })
  return { train: part(32, 1), validation: part(8, 2) }
}

/** The same with a number in example 5 that is none. */
function damaged({ train, validation }: NonNullable<Context['data']>): NonNullable<Context['data']> {
  const batch = async (indices: ArrayLike<number>) => {
    const { inputs, labels } = await train.batch(indices)
    const size = elementCount(train.inputShape)
    for (let i = 0; i < indices.length; i++) if (indices[i] === 5) inputs.data[i * size] = Number.NaN
    return { inputs, labels }
  }
  return { train: { ...train, name: 'damaged', batch }, validation }
}

interface Outcome {
  readonly error?: EspalierError
  readonly result?: Model
  /** What the method was applied to. */
  readonly before?: Model
  readonly skipped: ReadonlyMap<string, string>
  /** What the model gives for some inputs, and what it gave before. */
  readonly outputs?: readonly [Float32Array, Float32Array]
}

interface Given {
  readonly data?: Context['data']
  readonly options?: object
  /** Set where sums of the network leave the range of floats: then its outputs tell nothing. */
  readonly overflows?: boolean
}

/** The model as the method takes it: students learn from ternary activations. */
async function prepared(method: Method, wanted: Model): Promise<Model> {
  if (method.name !== 'ternary-neural-networks') return wanted
  const { initializers } = wanted.graph
  const zeros = [...initializers].map(([name, { shape }]) => [
    name,
    float32(new Float32Array(elementCount(shape)), shape),
  ])
  const blank = withInitializers(wanted, new Map(zeros as [string, Tensor][]))
  const options = ternaryActivations.options.parse({})
  const teacher = await ternaryActivations.apply(blank, options, { seed: 1, engine: onnxruntime, skip: () => {} })
  return withInitializers(teacher, initializers)
}

/** Applies the method: the error has place and hint, or the result is sound and has no number that is none. */
async function outcome(
  method: Method,
  wanted: Model,
  { data, options = {}, overflows = false }: Given = {},
): Promise<Outcome> {
  const skipped = new Map<string, string>()
  const checks: ProofCheck[] = []
  const context: Context = {
    seed: 1,
    engine: onnxruntime,
    original: wanted,
    training: { epochs: 1, batchSize: 16, learningRate: 0.01 },
    skip: (layer, reason) => skipped.set(layer, reason),
    proved: (check) => checks.push(check),
    ...(data ? { data } : {}),
  }
  let result: Model
  const model = await prepared(method, wanted)
  try {
    result = await method.apply(model, method.options.parse(options), context)
  } catch (thrown) {
    if (!(thrown instanceof EspalierError)) throw thrown
    expect(thrown.place, thrown.message).toBeTruthy()
    expect(thrown.hint, thrown.message).toMatch(/^[A-Z].{10,}[.?]$/)
    return { error: thrown, skipped }
  }
  expect(verify(result)).toEqual([])
  expect(checks.filter(({ passed }) => !passed)).toEqual([])
  for (const [name, tensor] of result.graph.initializers)
    if (dtypes[tensor.dtype].kind === 'float') expect(toFloat32(tensor).every(Number.isFinite), name).toBe(true)
  const outputs = [await run(result), await run(model)] as const
  if (!overflows) expect(outputs[0].every(Number.isFinite)).toBe(true)
  for (const reason of skipped.values()) expect(reason.length).toBeGreaterThan(10)
  return { result, before: model, skipped, outputs }
}

async function run(model: Model): Promise<Float32Array> {
  const size = model.graph.inputs[0].type!.shape![1] as number
  const random = createRandom(9)
  const x = createTensor(
    'float32',
    [3, size],
    Float32Array.from({ length: 3 * size }, () => random.normal()),
  )
  const session = await onnxruntime.createSession(model)
  try {
    return toFloat32(Object.values(await session.run({ x }))[0])
  } finally {
    await session.close()
  }
}

const has = ({ options }: Method, key: string) =>
  options.safeParse({ [key]: Number.NaN }).error?.issues.every(({ code }) => code !== 'unrecognized_keys') ?? true

const retrains = (method: Method) => has(method, 'retrain') && method.options.safeParse({ retrain: false }).success
const untrained = (method: Method) => (retrains(method) ? { retrain: false } : {})
/** Whether the method looks at inputs of layers before any training. */
const measures = (method: Method) => method.needs.includes('calibration-data')
const trainsOnly = (method: Method) => method.needs.includes('training-data')

const all = [...methods.values()].filter(({ family }) => family === 'quantization' || family === 'factorization')

interface JsonSchema {
  readonly type?: string
  readonly minimum?: number
  readonly maximum?: number
  readonly exclusiveMinimum?: number
  readonly exclusiveMaximum?: number
  readonly properties?: Readonly<Record<string, JsonSchema>>
}

describe.each(all)('$name', (method) => {
  it('refuses numbers out of range, at the option', () => {
    const { properties = {} } = z.toJSONSchema(method.options, { io: 'input' }) as JsonSchema
    const numbers = Object.entries(properties).filter(([, { type }]) => type === 'integer' || type === 'number')
    for (const [key, own] of numbers) {
      const wrong: unknown[] = [Number.NaN, Number.POSITIVE_INFINITY, 'many', null]
      if (own.type === 'integer') wrong.push(2.5)
      if (own.minimum !== undefined) wrong.push(own.minimum - 1)
      if (own.maximum !== undefined) wrong.push(own.maximum + 1)
      if (own.exclusiveMinimum !== undefined) wrong.push(own.exclusiveMinimum)
      if (own.exclusiveMaximum !== undefined) wrong.push(own.exclusiveMaximum)
      expect(own.minimum ?? own.exclusiveMinimum, `${key} has a lower bound`).toBeDefined()
      for (const value of wrong)
        expect(method.options.safeParse({ [key]: value }).error?.issues[0].path, `${key}: ${String(value)}`).toEqual([
          key,
        ])
    }
    const { bits } = properties
    if (bits?.maximum === undefined) return
    const most = bits.maximum
    const recipe = `steps:\n  - method: ${method.name}\n    bits: ${most + 1}\n`
    expect(() => parseRecipe(recipe)).toThrow(expect.objectContaining({ place: 'recipe:3:11' }))
  })

  it('refuses weights and biases that are no numbers, at the layer', async () => {
    const data = dataFor()
    for (const [place, value] of [
      ['two.weight', Number.NaN],
      ['two.weight', Number.NEGATIVE_INFINITY],
      ['two.bias', Number.NaN],
    ] as const) {
      const model = net({ values: { [place]: (i) => (i === 3 ? value : 0.1 * i) } })
      for (const given of [{ data }, { data, options: untrained(method) }])
        expect((await outcome(method, model, given)).error).toMatchObject({ code: 'weight-not-finite', place })
    }
  })

  it('says what it needs where there is no data', async () => {
    if (!retrains(method) && !trainsOnly(method) && !measures(method)) return
    const code = measures(method) ? 'no-calibration-data' : 'retrain-without-data'
    const options = trainsOnly(method) ? {} : { retrain: {} }
    expect(
      (await outcome(method, net(), retrains(method) || trainsOnly(method) ? { options } : {})).error,
    ).toMatchObject({ code })
  })

  it('refuses examples that are no numbers', async () => {
    const data = damaged(dataFor())
    const { error } = await outcome(method, net(), { data })
    if (measures(method)) expect(['calibration-not-finite', 'input-not-finite']).toContain(error?.code)
    else if (retrains(method) || trainsOnly(method))
      expect(error).toMatchObject({ code: 'input-not-finite', place: 'damaged' })
    if (!trainsOnly(method)) await outcome(method, net(), { data, options: untrained(method) })
  })

  it('leaves layers alone that are too small, or says them exactly', async () => {
    const data = dataFor(2, 2)
    const model = net({ sizes: [2, 1, 1, 2] })
    const { skipped, error, result, before, outputs } = await outcome(method, model, {
      data,
      options: untrained(method),
    })
    expect(error).toBeUndefined()
    if (result === before) expect([...skipped.keys()].toSorted()).toEqual(['one', 'three', 'two'])
    else expect(outputs![0]).toHaveLength(outputs![1].length)
    await outcome(method, model, { data })
  })

  it('keeps layers of zeros', async () => {
    const zeros = { 'one.weight': () => 0, 'two.weight': () => 0, 'three.weight': () => 0 }
    const model = net({ values: zeros })
    const data = dataFor()
    // What is left are the biases of the last layer.
    if (!trainsOnly(method)) {
      const options = untrained(method)
      const { outputs, error } = await outcome(method, model, measures(method) ? { data, options } : { options })
      expect(error).toBeUndefined()
      expect([...outputs![0]]).toEqual([...outputs![1]])
    }
    expect((await outcome(method, model, { data })).error).toBeUndefined()
  })

  it('computes with layers whose weights are all the same', async () => {
    const same = { 'one.weight': () => 0.25, 'two.weight': () => 0.25, 'three.weight': () => -0.25 }
    const model = net({ values: same })
    const data = dataFor()
    expect((await outcome(method, model, { data, options: untrained(method) })).error).toBeUndefined()
    expect((await outcome(method, model, { data })).error).toBeUndefined()
  })

  it('computes with activations that never fire', async () => {
    const model = net({ values: { 'one.bias': () => -1000 } })
    const data = dataFor()
    for (const given of [{ data, options: untrained(method) }, { data }]) {
      const { error, skipped, result, before } = await outcome(method, model, given)
      expect(error).toBeUndefined()
      if (result === before) expect(skipped.get('two')).toMatch(/never positive|is 0 on all/)
    }
  })

  it('names a layer that is to learn where no gradient comes', async () => {
    const data = dataFor()
    for (const [model, names] of [
      [net({ behind: 'Floor' }), ['one', 'two']],
      [net({ side: true }), ['aside', 'end']],
    ] as const) {
      const { error } = await outcome(method, model, { data })
      if (retrains(method) || error) {
        expect(error?.code).toBe('no-gradient-reaches')
        expect(names).toContain(error?.place)
      }
      if (!trainsOnly(method)) {
        const as = await outcome(method, model, { data, options: untrained(method) })
        expect(as.error).toBeUndefined()
      }
    }
  })

  it('makes no numbers that are none of huge weights', async () => {
    const data = dataFor()
    const random = createRandom(3)
    const drawn = Float32Array.from({ length: HIDDEN * HIDDEN }, () => random.uniform() * 2 - 1)
    const one = (size: number) => (i: number) => (i === 5 ? size : drawn[i])
    const all = (size: number) => (i: number) => (i % 2 === 0 ? size : size * drawn[i])
    const nearLimit = 3.4e38
    for (const [huge, given] of [
      [one(1e30), { data, options: untrained(method) }],
      [one(1e30), { data, overflows: true }],
      [all(1e30), { data, options: untrained(method) }],
      [one(nearLimit), { data, options: untrained(method), overflows: true }],
      [all(nearLimit), { data, options: untrained(method), overflows: true }],
      [all(nearLimit), { options: untrained(method), overflows: true }],
      [all(nearLimit), { data, overflows: true }],
    ] as const) {
      const { result } = await outcome(method, net({ values: { 'two.weight': huge } }), given)
      if (!result) continue
      const value = constantValues(result)
      for (const { name, node, input } of layers(result))
        expect(toFloat32(value(node.inputs[input])!).every(Number.isFinite), name).toBe(true)
    }
  })

  it('says which groups do not divide the inputs', async () => {
    if (!has(method, 'groupSize')) return
    const options = { granularity: 'group', groupSize: 5 }
    const { skipped, error } = await outcome(method, net(), { options })
    expect(error).toBeUndefined()
    for (const reason of skipped.values()) expect(reason).toContain('a codebook a group is not possible')
    const trained = await outcome(method, net(), { options, data: dataFor() })
    if (trained.error) expect(trained.error).toMatchObject({ code: 'group-size', place: 'one' })
  })
})
