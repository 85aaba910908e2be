import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../../../src/engines/onnxruntime.ts'
import { createDraft } from '../../../../../src/ir/draft.ts'
import type { Model } from '../../../../../src/ir/model.ts'
import { layers } from '../../../../../src/ir/rewrite.ts'
import { verify } from '../../../../../src/ir/verify.ts'
import type { Context, Method, ProofCheck } from '../../../../../src/methods/method.ts'
import { hwgq } from '../../../../../src/methods/quantization/activations/hwgq.ts'
import { learnedStepSize } from '../../../../../src/methods/quantization/activations/learned-step-size.ts'
import { pact } from '../../../../../src/methods/quantization/activations/pact.ts'
import { dataInput } from '../../../../../src/methods/quantization/activations/family/placement.ts'
import { binaryWeightNetworks } from '../../../../../src/methods/quantization/weights/binary-weight-networks.ts'
import { toFloat32 } from '../../../../../src/tensor/half.ts'
import { float32 } from '../../../../../src/tensor/tensor.ts'
import { patternData } from '../../../../support/small-data.ts'
import { tinyModels } from '../../../../support/tiny-models.ts'
import { valueOn } from '../../../../support/values.ts'

const [{ model: mlp, inputShape, classes }] = tinyModels()
const data = {
  train: patternData({ size: 96, seed: 1, classes, inputShape, noise: 0.5 }),
  validation: patternData({ size: 32, seed: 2, classes, inputShape, noise: 0.5 }),
}

async function applied(method: Method, options: object, model: Model = mlp, more: Partial<Context> = {}) {
  const skipped: string[] = []
  const checks: ProofCheck[] = []
  const result = await method.apply(model, method.options.parse(options), {
    seed: 1,
    engine: onnxruntime,
    data,
    training: { epochs: 4, batchSize: 16, learningRate: 0.05 },
    skip: (layer, reason) => skipped.push(`${layer}: ${reason}`),
    proved: (check) => checks.push(check),
    ...more,
  })
  expect(verify(result)).toEqual([])
  expect(result.graph.nodes.some(({ domain }) => domain !== '')).toBe(false)
  expect(checks.filter(({ passed }) => !passed)).toEqual([])
  return { result, skipped }
}

/** What the second layer of the network reads, and what the ReLU in front of it would read. */
async function activations(model: Model) {
  const [first, second] = layers(model)
  return {
    before: await valueOn(data.train, model, first.node.outputs[0]),
    read: await valueOn(data.train, model, dataInput(second)),
  }
}

const withEnds = { ends: true, include: ['fc2'] }

describe('half-wave Gaussian quantization', () => {
  /** 2 bits: the paper's step for the unit Gaussian, and thresholds in the middle. */
  const stepped = (x: number, step: number) => (x <= 0 ? 0 : x <= 1.5 * step ? 1 : x <= 2.5 * step ? 2 : 3) * step

  it('takes the quantizer of the unit Gaussian where nothing is to be normalized', async () => {
    const { result } = await applied(hwgq, { ...withEnds, normalize: false, retrain: false })
    const { before, read } = await activations(result)
    expect(result.graph.nodes.map(({ op }) => op)).not.toContain('Relu')
    for (const [i, x] of before.entries()) expect(read[i]).toBeCloseTo(stepped(x, 0.538812), 4)
    expect(new Set(read).size).toBe(4)
  })

  it('stretches it to the positive values that calibration shows', async () => {
    const { result } = await applied(hwgq, { ...withEnds, retrain: false })
    const { before, read } = await activations(result)
    const positive = before.filter((x) => x > 0)
    const scale = Math.sqrt(positive.reduce((sum, x) => sum + x * x, 0) / positive.length)
    for (const [i, x] of before.entries()) expect(read[i]).toBeCloseTo(stepped(x, 0.538812 * scale), 4)
  })

  it('has the levels of Lloyd as a codebook', async () => {
    const { result } = await applied(hwgq, { ...withEnds, levels: 'optimal', normalize: false, retrain: false })
    const { read } = await activations(result)
    const found = [...new Set(read)].sort((a, b) => a - b).map((value) => value.toFixed(4))
    expect(found).toEqual(['0.0000', '0.3177', '1.0001', '1.8936'])
  })

  it.each(['clipped', 'vanilla', 'log-tailed'])('trains what comes before: %s', async (backward) => {
    const still = await applied(hwgq, { ...withEnds, backward, retrain: false })
    const { result } = await applied(hwgq, { ...withEnds, backward })
    const [before, after] = [still, { result }].map((one) => one.result.graph.initializers.get('fc1.weight')!)
    expect(after.data).not.toEqual(before.data)
    expect((await activations(result)).read.every(Number.isFinite)).toBe(true)
  })

  it('leaves a layer alone whose inputs never fire, and says so', async () => {
    const draft = createDraft(mlp)
    draft.initializers.set('fc1.bias', float32(new Float32Array(16).fill(-1000)))
    const { result, skipped } = await applied(hwgq, { ...withEnds, retrain: false }, draft.finish())
    expect(skipped).toContain('fc2: what its ReLU reads is never positive on calibration data')
    expect(result.graph.nodes.map(({ op }) => op)).toContain('Relu')
  })
})

describe('steps that follow in a recipe', () => {
  it.each([hwgq, pact, learnedStepSize])('train weights through the quantized activations: $name', async (method) => {
    const { result: first } = await applied(method, { ...withEnds, retrain: false })
    const { result } = await applied(binaryWeightNetworks, { include: ['fc1'] }, first)
    const { read } = await activations(result)
    expect(new Set(read).size).toBeLessThanOrEqual(16)
    // Only through the activations does a gradient reach the bias of the first layer.
    const [before, after] = [first, result].map(({ graph }) => graph.initializers.get('fc1.bias')!.data)
    expect(after).not.toEqual(before)
  })
})

describe('parameterized clipping', () => {
  /** The scale of the only DequantizeLinear. */
  const stepOf = (model: Model) => {
    const { inputs } = model.graph.nodes.find(({ op }) => op === 'DequantizeLinear')!
    return toFloat32(model.graph.initializers.get(inputs[1])!)[0]
  }

  it('starts at a percentile of what is seen, and rounds below it', async () => {
    const { result } = await applied(pact, { ...withEnds, bits: 3, percentile: 90, retrain: false })
    const { before, read } = await activations(result)
    const alpha = before.toSorted()[Math.floor(before.length * 0.9)]
    expect(stepOf(result)).toBeCloseTo(alpha / 7, 6)
    for (const [i, x] of before.entries()) {
      const clipped = Math.min(Math.max(x, 0), alpha)
      expect(Math.abs(read[i] - clipped)).toBeLessThan((alpha / 7) * 0.501)
    }
    expect(new Set(read).size).toBe(8)
  })

  it('learns the level, and a penalty keeps it small', async () => {
    const start = stepOf((await applied(pact, { ...withEnds, retrain: false })).result)
    const free = stepOf((await applied(pact, { ...withEnds, decay: 0 })).result)
    const small = stepOf((await applied(pact, { ...withEnds, decay: 0.5 })).result)
    expect(free).not.toBe(start)
    expect(small).toBeLessThan(free * 0.9)
    expect(small).toBeGreaterThan(0)
  })
})

describe('learned step sizes', () => {
  it('start at twice the mean, behind a ReLU without negative codes', async () => {
    const { result } = await applied(learnedStepSize, { ...withEnds, bits: 2, retrain: false })
    const { before, read } = await activations(result)
    const mean = before.reduce((sum, x) => sum + Math.max(x, 0), 0) / before.length
    const step = (2 * mean) / Math.sqrt(3)
    for (const [i, x] of before.entries()) {
      const code = Math.min(3, Math.max(0, Math.round(x / step)))
      if (Math.abs(((((x / step) % 1) + 1) % 1) - 0.5) > 1e-3) expect(read[i]).toBeCloseTo(code * step, 4)
    }
    expect(new Set(read).size).toBe(4)
  })

  it('have negative codes where there are negative values', async () => {
    const { result } = await applied(learnedStepSize, { ends: true, include: ['fc1'], bits: 2, retrain: false })
    const read = await valueOn(data.train, result, dataInput(layers(result)[0]))
    const step = [...read].find((value) => value > 0)!
    expect([...new Set(read)].sort((a, b) => a - b).map((value) => Math.round(value / step))).toEqual([-2, -1, 0, 1])
  })

  it('move in training, and the step that is written is the one that was learned', async () => {
    const options = { ...withEnds, bits: 2 }
    const levels = async (more: object) => {
      const { result } = await applied(learnedStepSize, { ...options, ...more })
      return [...new Set((await activations(result)).read)].sort((a, b) => a - b)
    }
    const [before, after] = [await levels({ retrain: false }), await levels({})]
    expect(after[0]).toBe(0)
    expect(after[1]).not.toBe(before[1])
    for (const [i, level] of after.entries()) expect(level).toBeCloseTo(i * after[1], 5)
  })

  it('leave a layer alone that reads nothing but zeros', async () => {
    const draft = createDraft(mlp)
    draft.initializers.set('fc1.bias', float32(new Float32Array(16).fill(-1000)))
    const { skipped } = await applied(learnedStepSize, { ...withEnds, retrain: false }, draft.finish())
    expect(skipped).toContain('fc2: what it reads is 0 on all calibration examples, or nearly so')
  })
})
