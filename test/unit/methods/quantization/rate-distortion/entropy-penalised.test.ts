import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../../../src/engines/onnxruntime.ts'
import { referenceEngine } from '../../../../../src/engines/reference.ts'
import { writePack } from '../../../../../src/formats/pack/write.ts'
import { createDraft } from '../../../../../src/ir/draft.ts'
import type { Model } from '../../../../../src/ir/model.ts'
import { layers } from '../../../../../src/ir/rewrite.ts'
import { verify } from '../../../../../src/ir/verify.ts'
import type { Context } from '../../../../../src/methods/method.ts'
import { entropyPenalised } from '../../../../../src/methods/quantization/rate-distortion/entropy-penalised.ts'
import { ratePenalty } from '../../../../../src/methods/quantization/rate-distortion/rate-penalty.ts'
import { toFloat32 } from '../../../../../src/tensor/half.ts'
import { float32 } from '../../../../../src/tensor/tensor.ts'
import { evaluate } from '../../../../../src/training/evaluate.ts'
import { patternData } from '../../../../support/small-data.ts'
import { tinyModels } from '../../../../support/tiny-models.ts'

const [mlp, cnn] = tinyModels()

function context(tiny: typeof mlp, skipped: string[] = []): Context {
  const { inputShape, classes } = tiny
  return {
    seed: 1,
    engine: onnxruntime,
    original: tiny.model,
    skip: (layer, reason) => skipped.push(`${layer}: ${reason}`),
    data: {
      train: patternData({ size: 256, seed: 1, classes, inputShape }),
      validation: patternData({ size: 64, seed: 2, classes, inputShape }),
    },
  }
}

const settings = { epochs: 6, batchSize: 32, learningRate: 0.05 }
const apply = (model: Model, options: object, where: Context) =>
  entropyPenalised.apply(model, entropyPenalised.options.parse({ retrain: settings, ...options }), where)

async function penaltyOf(weights: Float32Array, shape: readonly number[], step: number, lambda: number) {
  const draft = createDraft()
  draft.constant('w', float32(weights, shape))
  const value = ratePenalty([{ parameter: 'w', shape, step, outAxis: 0, inAxis: 1 }], lambda)(draft, {
    logits: '',
    labels: '',
    parameters: ['w'],
  })
  draft.output(value, 'float32', [])
  const session = await referenceEngine.createSession(draft.finish())
  const outputs = await session.run({})
  await session.close()
  return toFloat32(outputs[value])[0]
}

describe('the rate penalty', () => {
  it('is λ Σ (1 − log₂ odds) h(|q|) + 1.5 log₂(1 + |q|), with odds of rows times columns', async () => {
    // Codes 1 0 / 2 0 with step 0.5: rows have one of two, columns two and none of two.
    const found = await penaltyOf(Float32Array.of(0.5, 0, 1, 0), [2, 2], 0.5, 0.1)
    const density = (count: number, total: number) => (count + 0.4) / (total + 0.8)
    const odds = Math.min(0.7, (density(1, 2) * density(2, 2)) / density(2, 4))
    const h = (a: number) => (1.5 * a) / (a + 0.5)
    const bits = [1, 2].map((q) => (1 - Math.log2(odds)) * h(q) + 1.5 * Math.log2(1 + q))
    expect(found).toBeCloseTo(0.1 * (bits[0] + bits[1]), 5)
  })

  it('makes a weight cost more in an empty row than in a full one', async () => {
    const shape = [4, 4]
    const base = Float32Array.from({ length: 16 }, (_, i) => (i < 4 ? 1 : 0))
    const cost = async (position: number) => {
      const other = base.slice()
      other[position] = 0.4
      return (await penaltyOf(other, shape, 1, 1)) - (await penaltyOf(base, shape, 1, 1))
    }
    const full = Float32Array.from(base, (v, i) => (i === 3 ? 0 : v))
    const inFull = full.slice()
    inFull[3] = 0.4
    const inFullRow = (await penaltyOf(inFull, shape, 1, 1)) - (await penaltyOf(full, shape, 1, 1))
    expect(await cost(12)).toBeGreaterThan(inFullRow)
  })
})

describe('entropy-penalised', () => {
  it('gives integer codes that its own rounding trained, and reports nothing skipped', async () => {
    const skipped: string[] = []
    const result = await apply(mlp.model, { lambda: 0, rounds: 1 }, context(mlp, skipped))
    expect(verify(result)).toEqual([])
    expect(skipped).toEqual([])
    for (const layer of layers(result)) {
      expect(layer.source.map(({ op }) => op)).toEqual(['DequantizeLinear'])
      expect(result.graph.initializers.get(layer.weight)!.dtype).toBe('int8')
      expect(result.graph.initializers.get(layer.bias!)!.dtype).toBe('int8')
    }
  })

  it.each([
    ['a dense network', mlp],
    ['a convolutional one', cnn],
  ])('makes %s smaller with more lambda, and keeps it right where little is asked', async (_, tiny) => {
    const where = context(tiny)
    const bytes: number[] = []
    for (const lambda of [0, 1e-3, 1e-2])
      bytes.push(writePack(await apply(tiny.model, { lambda, finish: { epochs: 12 } }, where)).length)
    expect(bytes[1]).toBeLessThan(bytes[0])
    expect(bytes[2]).toBeLessThan(bytes[1])
    const mild = await apply(tiny.model, { lambda: 1e-5, step: 0.3, finish: { epochs: 40, learningRate: 0.1 } }, where)
    const { accuracy } = await evaluate(mild, where.data!.train, onnxruntime)
    expect(accuracy).toBeGreaterThan(0.7)
  })

  it('cuts what has died, unless told not to', async () => {
    const where = context(mlp)
    const sizeOf = async (cut: boolean) => {
      const result = await apply(mlp.model, { lambda: 5e-3, cut, finish: { epochs: 12 } }, where)
      return toFloat32(result.graph.initializers.get('fc1.weight.codes')!).length
    }
    expect(await sizeOf(true)).toBeLessThan(await sizeOf(false))
  })

  it('follows the original where the loss asks for a teacher', async () => {
    const options = { rounds: 1, retrain: { ...settings, loss: 'kullback-leibler' } }
    await expect(apply(mlp.model, options, context(mlp))).resolves.toBeDefined()
    const { original: _, ...without } = context(mlp)
    await expect(apply(mlp.model, options, without)).rejects.toMatchObject({ code: 'no-teacher' })
  })

  it('goes on from integer codes, with the steps that they have', async () => {
    const where = context(mlp)
    const first = await apply(mlp.model, { lambda: 1e-4, rounds: 1 }, where)
    const still = { ...settings, learningRate: 1e-9, epochs: 1 }
    const again = await apply(first, { lambda: 0, rounds: 1, step: 3, cut: false, retrain: still }, where)
    const constants = (model: Model) => layers(model).map(({ weight }) => model.graph.initializers.get(weight)!.data)
    expect(constants(again)).toEqual(constants(first))
    const further = await apply(first, { lambda: 1e-2 }, where)
    expect(verify(further)).toEqual([])
    expect(writePack(further).length).toBeLessThan(writePack(first).length)
  })

  it('says which layers it leaves alone', async () => {
    const skipped: string[] = []
    const initializers = new Map(mlp.model.graph.initializers)
    const { shape } = initializers.get('fc1.weight')!
    initializers.set('fc1.weight', float32(new Float32Array(shape[0] * shape[1]), shape))
    const model = { ...mlp.model, graph: { ...mlp.model.graph, initializers } }
    await apply(model, { rounds: 1 }, context(mlp, skipped))
    expect(skipped).toEqual(['fc1: all of its weights are zero, or as good as that in their type'])
  })
})
