import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../src/engines/onnxruntime.ts'
import { UnsupportedError } from '../../src/errors.ts'
import { writeModel } from '../../src/formats/onnx/write.ts'
import { readPack } from '../../src/formats/pack/read.ts'
import { writePack } from '../../src/formats/pack/write.ts'
import { channelGroups } from '../../src/ir/channel-groups.ts'
import type { Model } from '../../src/ir/model.ts'
import { verify } from '../../src/ir/verify.ts'
import { methods } from '../../src/methods/index.ts'
import { families, type Context, type Method } from '../../src/methods/method.ts'
import { bytesOf, createTensor, elementCount, float32 } from '../../src/tensor/tensor.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { toFloat32 } from '../../src/tensor/half.ts'
import { patternData } from '../support/small-data.ts'
import { tinyModels, type TinyModel } from '../support/tiny-models.ts'

/** A copy whose plain parts are frozen; its tensors' bytes can be compared afterwards. */
function frozen(model: Model): Model {
  const freeze = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value) || Object.isFrozen(value)) return value
    if (value instanceof Map) for (const item of value.values()) freeze(item)
    else for (const item of Object.values(value)) freeze(item)
    return Object.freeze(value)
  }
  return freeze(model) as Model
}

function contextFor(tiny: TinyModel, withData: boolean, skipped: string[] = []): Context {
  const { inputShape, classes } = tiny
  const data = {
    train: patternData({ size: 48, seed: 1, classes, inputShape }),
    validation: patternData({ size: 16, seed: 2, classes, inputShape }),
  }
  return {
    seed: 5,
    engine: onnxruntime,
    skip: (layer, reason) => skipped.push(`${layer}: ${reason}`),
    training: { epochs: 1, batchSize: 16, learningRate: 0.01 },
    ...(withData ? { data } : {}),
  }
}

async function run(model: Model, inputShape: readonly number[]): Promise<Float32Array> {
  const random = createRandom(3)
  const values = Float32Array.from({ length: 3 * elementCount(inputShape) }, () => random.normal())
  const session = await onnxruntime.createSession(model)
  try {
    const outputs = await session.run({ x: float32(values, [3, ...inputShape]) })
    return toFloat32(Object.values(outputs)[0])
  } finally {
    await session.close()
  }
}

const all: Method[] = [...methods.values()]

describe.each(all)('the method $name', (method) => {
  it('is documented', () => {
    expect(method.name).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/)
    expect(families).toContain(method.family)
    expect(method.summary).toMatch(/^[A-Z].{20,}\.$/)
    expect(method.paper.title.length).toBeGreaterThan(10)
    expect(method.paper.year).toBeGreaterThan(1980)
    expect(Object.isFrozen(method)).toBe(true)
    expect(method.options.safeParse({}).success).toBe(true)
    expect(method.options.safeParse({ 'no such option': 1 }).success).toBe(false)
  })

  it('has a strength that its own schema accepts, and that is the identity at 1', () => {
    const options = method.options.parse({})
    if (!method.strength) return
    for (const strength of [0, 0.3, 1, 1.7, 2])
      expect(method.options.safeParse(method.strength(options, strength)).success).toBe(true)
    const twice = method.strength(method.strength(options, 1), 1)
    expect(twice).toEqual(method.strength(options, 1))
  })

  const cases = tinyModels().flatMap((tiny) => [
    { tiny, label: `${tiny.name}, without data`, withData: false },
    { tiny, label: `${tiny.name}, with data`, withData: true },
  ])
  it.each(cases)('keeps its promises on: $label', async ({ tiny, withData }) => {
    const model = frozen(tiny.model)
    const before = writeModel(model)
    const options = method.options.parse({})
    const attempt = (seed = 5) => method.apply(model, options, { ...contextFor(tiny, withData), seed })
    if (method.needs.includes('training-data') && !withData) {
      await expect(attempt()).rejects.toMatchObject({ code: 'retrain-without-data' })
      return
    }
    if (method.needs.includes('calibration-data') && !withData) {
      await expect(attempt()).rejects.toMatchObject({ code: 'no-calibration-data' })
      return
    }
    let result: Model
    try {
      result = await attempt()
    } catch (error) {
      // Some graphs cannot be differentiated: then the refusal is typed, and the input is as it was.
      expect(tiny.trainable && !(error instanceof UnsupportedError)).toBe(false)
      expect(error).toBeInstanceOf(UnsupportedError)
      expect(writeModel(model)).toEqual(before)
      return
    }
    expect(writeModel(model), 'the input is unchanged').toEqual(before)
    expect(verify(result), 'the result is valid').toEqual([])
    const bytes = writeModel(result)
    expect(writeModel(await attempt()), 'the same seed gives the same result').toEqual(bytes)
    expect(writeModel(readPack(writePack(result))), 'the pack restores it').toEqual(bytes)
    const outputs = await run(result, tiny.inputShape)
    expect(outputs).toHaveLength(3 * tiny.classes)
    expect(outputs.every(Number.isFinite)).toBe(true)
    expect(result.graph.outputs).toEqual(model.graph.outputs)
    expect(result.graph.inputs).toEqual(model.graph.inputs)
  })

  it('tells how sensitive layers are, and what each channel is worth, where it can', async () => {
    if (!method.sensitivity && !method.scores) return
    const [, tiny] = tinyModels()
    const model = frozen(tiny.model)
    const before = writeModel(model)
    const sizes = new Map(channelGroups(model).map(({ id, size }) => [id, size]))
    const options = method.options.parse({ maxLossSamples: 8 })
    const asked = <T>(ask: () => Promise<T>) =>
      ask().catch((error: unknown) => {
        expect(error).toBeInstanceOf(UnsupportedError)
        return undefined
      })
    const found = await asked(() => method.sensitivity!(model, options, contextFor(tiny, true)))
    for (const { layer, size, points } of found?.curves ?? []) {
      const { unit, parts, accuracy: whole } = found!
      if (parts === 'filters') expect(size, layer).toBe(sizes.get(layer))
      if (unit === 'ratio') expect(points[0]).toMatchObject({ at: 0, accuracy: whole })
      const ats = points.map(({ at }) => at)
      expect(ats, 'ascending').toEqual([...new Set(ats)].sort((a, b) => a - b))
      for (const { at, accuracy, loss } of points) {
        const count = unit === 'ratio' ? at * size : at
        expect(Math.abs(count - Math.round(count)), 'whole numbers').toBeLessThan(1e-9)
        expect(accuracy >= 0 && accuracy <= 1 && Number.isFinite(loss)).toBe(true)
      }
    }
    const scores = method.scores && (await asked(() => method.scores!(model, options, contextFor(tiny, true))))
    for (const [id, values] of scores ?? []) {
      expect(values).toHaveLength(sizes.get(id)!)
      expect(values.every(Number.isFinite)).toBe(true)
    }
    expect(writeModel(model), 'the input is unchanged').toEqual(before)
  })

  it('refuses or survives weights that are not numbers', async () => {
    const [tiny] = tinyModels()
    const initializers = new Map(tiny.model.graph.initializers)
    const weight = initializers.get('fc1.weight')!
    const copy = new Float32Array(bytesOf(weight).slice().buffer)
    copy[3] = Number.NaN
    initializers.set('fc1.weight', createTensor('float32', weight.shape, copy))
    const broken: Model = { ...tiny.model, graph: { ...tiny.model.graph, initializers } }
    const attempt = method.apply(broken, method.options.parse({}), contextFor(tiny, false))
    if (['coding', 'architecture'].includes(method.family)) await expect(attempt).resolves.toBeDefined()
    else await expect(attempt).rejects.toMatchObject({ code: 'weight-not-finite', place: 'fc1.weight' })
  })
})
