import { beforeAll, describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../../../../src/engines/onnxruntime.ts'
import { constantValues } from '../../../../../../src/ir/constant-values.ts'
import { createDraft } from '../../../../../../src/ir/draft.ts'
import type { Model } from '../../../../../../src/ir/model.ts'
import { layers } from '../../../../../../src/ir/rewrite.ts'
import { verify } from '../../../../../../src/ir/verify.ts'
import type { Context, Method, ProofCheck } from '../../../../../../src/methods/method.ts'
import { binarizedNeuralNetworks } from '../../../../../../src/methods/quantization/weights/binarized-neural-networks.ts'
import { binaryConnect } from '../../../../../../src/methods/quantization/weights/binary-connect.ts'
import { binaryWeightNetworks } from '../../../../../../src/methods/quantization/weights/binary-weight-networks.ts'
import { dorefaWeights } from '../../../../../../src/methods/quantization/weights/dorefa-weights.ts'
import { quantizedNeuralNetworks } from '../../../../../../src/methods/quantization/weights/quantized-neural-networks.ts'
import { ternaryWeightNetworks } from '../../../../../../src/methods/quantization/weights/ternary-weight-networks.ts'
import { trainedTernaryQuantization } from '../../../../../../src/methods/quantization/weights/trained-ternary-quantization.ts'
import { uniform } from '../../../../../../src/methods/quantization/weights/uniform.ts'
import { withInitializers } from '../../../../../../src/methods/weights.ts'
import { toFloat32 } from '../../../../../../src/tensor/half.ts'
import { float32 } from '../../../../../../src/tensor/tensor.ts'
import type { CheckpointStore } from '../../../../../../src/training/checkpoint.ts'
import { patternData } from '../../../../../support/small-data.ts'
import { tinyModels, type TinyModel } from '../../../../../support/tiny-models.ts'

const [mlp, cnn] = tinyModels()

function patterns({ inputShape, classes }: Pick<TinyModel, 'inputShape' | 'classes'>) {
  return {
    train: patternData({ size: 96, seed: 1, classes, inputShape, noise: 0.5 }),
    validation: patternData({ size: 32, seed: 2, classes, inputShape, noise: 0.5 }),
  }
}

interface Trained {
  readonly result: Model
  readonly skipped: readonly string[]
  readonly checks: readonly ProofCheck[]
}

async function trained(
  method: Method,
  tiny: Pick<TinyModel, 'model' | 'inputShape' | 'classes'>,
  options: object = {},
  more: Partial<Context> = {},
): Promise<Trained> {
  const skipped: string[] = []
  const checks: ProofCheck[] = []
  const context: Context = {
    seed: 1,
    engine: onnxruntime,
    data: patterns(tiny),
    training: { epochs: 0.5, batchSize: 16, learningRate: 0.05 },
    skip: (layer, reason) => skipped.push(`${layer}: ${reason}`),
    proved: (check) => checks.push(check),
    ...more,
  }
  const result = await method.apply(tiny.model, method.options.parse(options), context)
  expect(verify(result)).toEqual([])
  return { result, skipped, checks }
}

/** The weight of a layer, as the graph computes it. */
function weightOf(model: Model, name: string): Float32Array {
  const { node, input } = layers(model).find((layer) => layer.name === name)!
  return toFloat32(constantValues(model)(node.inputs[input])!)
}

/** x [2] times one weight [2, 2] without a bias: y_k = Σ_j W[k, j] x_j. */
function pair(weights: readonly number[]): TinyModel['model'] {
  const draft = createDraft()
  const inputs = [draft.input('x', 'float32', ['batch', 2]), draft.constant('w', float32([...weights], [2, 2]))]
  draft.output(draft.add('Gemm', inputs, { transB: 1 }, { name: 'layer' }), 'float32', ['batch', 2])
  return draft.finish()
}

/** One example, of class 0. */
function oneExample(x: readonly [number, number]) {
  const set = {
    name: 'one',
    size: 1,
    inputShape: [2],
    classes: 2,
    batch: async (indices: ArrayLike<number>) => ({
      inputs: float32(
        Array.from({ length: 2 * indices.length }, (_, i) => x[i % 2]),
        [indices.length, 2],
      ),
      labels: new Int32Array(indices.length),
    }),
  }
  return { train: set, validation: set }
}

/** ∂loss/∂Q of softmax cross-entropy with label 0 for y = Q x: [out, in] row by row. */
function gradientOf(q: readonly number[], x: readonly [number, number]): number[] {
  const y = [q[0] * x[0] + q[1] * x[1], q[2] * x[0] + q[3] * x[1]]
  const p1 = 1 / (1 + Math.exp(y[0] - y[1]))
  return [-p1 * x[0], -p1 * x[1], p1 * x[0], p1 * x[1]]
}

/** What one step of plain descent at rate 1 leaves as checkpoint-free trained initializers. */
async function afterOneStep(method: Method, weights: readonly number[], x: readonly [number, number], options = {}) {
  let after: ReadonlyMap<string, unknown> | undefined
  const store: CheckpointStore = {
    read: async () => undefined,
    write: async (bytes) => {
      const { readCheckpoint } = await import('../../../../../../src/training/checkpoint.ts')
      after = readCheckpoint(bytes).state
    },
  }
  await trained(method, { model: pair(weights), inputShape: [2], classes: 2 }, options, {
    data: oneExample(x),
    training: { epochs: 1, batchSize: 1, learningRate: 1, momentum: 0 },
    checkpoints: () => store,
  })
  return (name: string) => [...toFloat32(after!.get(name) as Parameters<typeof toFloat32>[0])]
}

const x = [0.6, -1.1] as const

describe('the gradient of a latent weight', () => {
  it('is that of the quantized one, times 1/n + α within [-1, 1], in binary weight networks', async () => {
    const w = [0.5, -0.25, -1.5, 0.75]
    const state = await afterOneStep(binaryWeightNetworks, w, x, { granularity: 'tensor' })
    const alpha = 0.75
    const g = gradientOf([alpha, -alpha, -alpha, alpha], x)
    const expected = w.map((value, i) => value - g[i] * (1 / 4 + (Math.abs(value) <= 1 ? alpha : 0)))
    for (const [i, value] of state('w').entries()) expect(value).toBeCloseTo(expected[i], 5)
  })

  it('is that of the ternary one as it is, in ternary weight networks', async () => {
    const w = [0.5, -0.1, -1.5, 0.75]
    const state = await afterOneStep(ternaryWeightNetworks, w, x)
    const [mean] = [(0.5 + 1.5 + 0.75) / 3]
    // 0.7 of the mean size 0.7125 is 0.499, so that 0.5 just stays.
    const g = gradientOf([mean, 0, -mean, mean], x)
    for (const [i, value] of state('w').entries()) expect(value).toBeCloseTo(w[i] - g[i], 5)
  })

  it('is scaled by the value taken, whose own gradient is the sum, in trained ternary quantization', async () => {
    const w = [0.5, -0.01, -1.5, 0.75]
    const state = await afterOneStep(trainedTernaryQuantization, w, x)
    const [up, down] = [(0.5 + 0.75) / 2, 1.5]
    const g = gradientOf([up, 0, -down, up], x)
    const slopes = [up, 1, down, up]
    for (const [i, value] of state('w').entries()) expect(value).toBeCloseTo(w[i] - g[i] * slopes[i], 5)
    expect(state('w.positive')[0]).toBeCloseTo(up - (g[0] + g[3]), 5)
    expect(state('w.negative')[0]).toBeCloseTo(down + g[2], 5)
  })

  it('is that of the sign within [-1, 1], to which weights are clipped, in BinaryConnect', async () => {
    const w = [0.5, -0.25, -0.999, 0.75]
    const state = await afterOneStep(binaryConnect, w, [0.6, 1.1])
    const g = gradientOf([1, -1, -1, 1], [0.6, 1.1])
    const expected = w.map((value, i) => Math.max(-1, Math.min(1, value - g[i])))
    expect(expected[2]).toBe(-1)
    for (const [i, value] of state('w').entries()) expect(value).toBeCloseTo(expected[i], 5)
  })

  it("is the derivative of DoReFa's smooth part, by finite differences", async () => {
    const w = [0.5, -0.25, -0.9, 0.7]
    const state = await afterOneStep(dorefaWeights, w, x, { bits: 3, rescale: false })
    const smooth = (values: readonly number[]) => {
      const squeezed = values.map(Math.tanh)
      const top = Math.max(...squeezed.map(Math.abs))
      return squeezed.map((value) => value / top)
    }
    const most = 7
    const q = smooth(w).map((value) => (2 * Math.round(most * (value / 2 + 0.5))) / most - 1)
    const g = gradientOf(q, x)
    for (const [i, value] of state('w').entries()) {
      const step = 1e-5
      const moved = (by: number) => smooth(w.map((one, at) => (at === i ? one + by : one)))
      const [high, low] = [moved(step), moved(-step)]
      const slope = g.reduce((sum, gradient, k) => sum + (gradient * (high[k] - low[k])) / (2 * step), 0)
      expect(value).toBeCloseTo(w[i] - slope, 4)
    }
  })
})

const cases: readonly [Method, object][] = [
  [binaryConnect, { stochastic: true }],
  [binarizedNeuralNetworks, {}],
  [binaryWeightNetworks, {}],
  [binaryWeightNetworks, { granularity: 'group', groupSize: 4, include: ['fc1'] }],
  [ternaryWeightNetworks, { granularity: 'channel' }],
  [ternaryWeightNetworks, { threshold: 'exact' }],
  [trainedTernaryQuantization, {}],
  [trainedTernaryQuantization, { sparsity: 0.4 }],
  [dorefaWeights, { bits: 1 }],
  [dorefaWeights, { bits: 3 }],
  [dorefaWeights, { bits: 2, rescale: false }],
  [quantizedNeuralNetworks, { bits: 4 }],
  [quantizedNeuralNetworks, { bits: 4, scheme: 'logarithmic', granularity: 'channel' }],
  [uniform, { bits: 3 }],
  [uniform, { bits: 2, symmetric: false, range: 'mse' }],
  [uniform, { bits: 2, range: 'mse', granularity: 'group', groupSize: 4, include: ['fc1'] }],
]

/** Each method once. */
const few = cases.filter(([method], i) => cases.findIndex(([other]) => other === method) === i)

describe('weights trained through their quantization', () => {
  it.each(cases.map(([method, options]) => ({ method, options, label: `${method.name} ${JSON.stringify(options)}` })))(
    'compute, frozen, what was trained: $label',
    async ({ method, options }) => {
      // Of the two, the second has convolutions as well as products.
      const tiny = 'include' in options ? mlp : cnn
      const { result, skipped, checks } = await trained(method, tiny, options)
      expect(checks.map(({ check, passed, detail }) => [check, passed, detail])).toEqual([
        [expect.stringContaining('codes say'), true, expect.any(String)],
        [expect.stringContaining('computes what was trained'), true, expect.any(String)],
      ])
      const untouched = await trained(method, tiny, { ...options, retrain: false })
      expect(skipped).toEqual(untouched.skipped)
      const biases = (model: Model) => toFloat32(model.graph.initializers.get(layers(tiny.model)[0].bias!)!)
      expect([...biases(result)]).not.toEqual([...biases(untouched.result)])
    },
  )

  it('leaves parts that are all zero, and the zeros of a pruned layer', async () => {
    const weight = toFloat32(mlp.model.graph.initializers.get('fc1.weight')!).slice()
    weight.fill(0, 0, 8)
    for (let i = 8; i < weight.length; i += 3) weight[i] = 0
    const model = withInitializers(mlp.model, new Map([['fc1.weight', float32(weight, [16, 8])]]))
    for (const [method, options] of few) {
      const keepsZero = !/binar|dorefa/.test(method.name) && !('symmetric' in options)
      const { result } = await trained(method, { ...mlp, model }, { granularity: 'channel', ...options })
      const after = weightOf(result, 'fc1')
      if ('granularity' in options || keepsZero) expect([...after.subarray(0, 8)]).toEqual(Array(8).fill(0))
      for (const [i, value] of weight.entries())
        if (keepsZero && value === 0) expect(after[i], `${method.name} ${i}`).toBe(0)
      expect(after.every(Number.isFinite)).toBe(true)
    }
  })

  it('trains constant weights, and all-zero layers stay what they are', async () => {
    const constant = float32(new Float32Array(128).fill(0.5), [16, 8])
    const nothing = float32(new Float32Array(64), [4, 16])
    const changed = new Map([
      ['fc1.weight', constant],
      ['fc2.weight', nothing],
    ])
    for (const [method, options] of few) {
      const model = withInitializers(mlp.model, changed)
      const { result, checks } = await trained(method, { ...mlp, model }, options)
      expect(checks.filter(({ passed }) => !passed)).toEqual([])
      if (!('include' in options)) expect(weightOf(result, 'fc2').every((value) => value === 0)).toBe(true)
      expect(weightOf(result, 'fc1').every(Number.isFinite)).toBe(true)
    }
  })

  it('compares what was trained with the codes before biases are rounded', async () => {
    const { result, checks } = await trained(ternaryWeightNetworks, cnn, { biasBits: 2 })
    expect([...result.graph.initializers.keys()].some((name) => name.endsWith('bias.codes'))).toBe(true)
    const found = checks.find(({ check }) => check.endsWith('the frozen network computes what was trained'))
    expect(found).toMatchObject({
      passed: true,
      detail: expect.stringMatching(/of the largest, before biases are rounded$/),
    })
    expect(found!.leftOut).toBeUndefined()
  })

  it('refuses weights that are no numbers, groups that do not fit, and layers that no gradient reaches', async () => {
    const wrong = toFloat32(mlp.model.graph.initializers.get('fc1.weight')!).slice()
    wrong[3] = NaN
    const model = withInitializers(mlp.model, new Map([['fc1.weight', float32(wrong, [16, 8])]]))
    await expect(trained(trainedTernaryQuantization, { ...mlp, model })).rejects.toMatchObject({ place: 'fc1.weight' })
    await expect(trained(uniform, mlp, { granularity: 'group', groupSize: 3, bits: 2 })).rejects.toMatchObject({
      code: 'group-size',
      place: 'fc1',
    })
    const draft = createDraft(mlp.model)
    const aside = draft.add(
      'Gemm',
      [
        'x',
        draft.constant(
          'aside.weight',
          float32(
            wrong.map((_, i) => i),
            [16, 8],
          ),
        ),
      ],
      { transB: 1 },
      { name: 'aside' },
    )
    draft.output(aside, 'float32', ['batch', 16])
    await expect(trained(binaryWeightNetworks, { ...mlp, model: draft.finish() })).rejects.toMatchObject({
      code: 'no-gradient-reaches',
      place: 'aside',
    })
  })

  describe('that was killed', () => {
    let whole: Trained
    const options = { stochastic: true, include: ['fc1'] }
    const settings = { training: { epochs: 3, batchSize: 16, learningRate: 0.05 } }
    beforeAll(async () => {
      whole = await trained(binaryConnect, mlp, options, settings)
    })

    it('goes on to the same bits', async () => {
      let bytes: Uint8Array | undefined
      const store = {
        read: async () => bytes,
        write: async (next: Uint8Array) => void (bytes = next),
      }
      const abort = new AbortController()
      const killed = trained(binaryConnect, mlp, options, {
        ...settings,
        checkpoints: () => store,
        signal: abort.signal,
        progress: ({ task, done }) => void (task.startsWith('retrain') && done > 0 && abort.abort()),
      })
      await expect(killed).rejects.toMatchObject({ code: 'aborted' })
      expect(bytes).toBeDefined()
      const { result } = await trained(binaryConnect, mlp, options, { ...settings, checkpoints: () => store })
      for (const [name, tensor] of whole.result.graph.initializers)
        expect(result.graph.initializers.get(name), name).toEqual(tensor)
    })
  })
})
