import { describe, expect, it } from 'vitest'
import type { Dataset } from '../../../../../src/datasets/dataset.ts'
import { digits } from '../../../../../src/datasets/digits.ts'
import { onnxruntime } from '../../../../../src/engines/onnxruntime.ts'
import { createDraft } from '../../../../../src/ir/draft.ts'
import type { Model } from '../../../../../src/ir/model.ts'
import { layers } from '../../../../../src/ir/rewrite.ts'
import { verify } from '../../../../../src/ir/verify.ts'
import type { Context, ProofCheck } from '../../../../../src/methods/method.ts'
import { foldBatchNorm } from '../../../../../src/methods/architecture/fold-batch-norm.ts'
import { ternaryActivations } from '../../../../../src/methods/quantization/activations/ternary-activations.ts'
import { ternaryNeuralNetworks } from '../../../../../src/methods/quantization/ternary-student/ternary-neural-networks.ts'
import { toNumbers } from '../../../../../src/tensor/elements.ts'
import { toFloat32 } from '../../../../../src/tensor/half.ts'
import { createRandom } from '../../../../../src/tensor/random.ts'
import { createTensor, elementCount, float32 } from '../../../../../src/tensor/tensor.ts'
import { evaluate } from '../../../../../src/training/evaluate.ts'
import { lift } from '../../../../../src/training/lift.ts'
import { buildNetwork } from '../../../../../src/zoo/layers.ts'
import { patternData } from '../../../../support/small-data.ts'
import { tinyModels } from '../../../../support/tiny-models.ts'

interface Told {
  readonly skipped: Map<string, string>
  readonly checks: ProofCheck[]
}

function contextFor(data?: Dataset, more: Partial<Context> = {}): Context & Told {
  const skipped = new Map<string, string>()
  const checks: ProofCheck[] = []
  return {
    seed: 3,
    engine: onnxruntime,
    skip: (layer, reason) => skipped.set(layer, reason),
    proved: (check) => checks.push(check),
    ...(data ? { data: { train: data, validation: data } } : {}),
    ...more,
    skipped,
    checks,
  }
}

const student = (model: Model, context: Context, options: object = {}) =>
  ternaryNeuralNetworks.apply(model, ternaryNeuralNetworks.options.parse(options), context)

const teacher = (model: Model, context: Context, options: object) =>
  ternaryActivations.apply(model, ternaryActivations.options.parse({ ends: true, ...options }), context)

/** Images of -1, 0 and 1, or what `pixel` makes. */
function ternaryImages(inputShape: readonly number[], pixel = (n: number) => n - 1): Dataset {
  const size = 48
  const random = createRandom(8)
  const images = Float32Array.from({ length: size * elementCount(inputShape) }, () => pixel(random.integer(3)))
  const each = elementCount(inputShape)
  return {
    name: 'ternary images',
    size,
    inputShape,
    classes: 4,
    async batch(indices) {
      const data = new Float32Array(indices.length * each)
      for (const [i, index] of Array.from(indices).entries())
        data.set(images.subarray(index * each, (index + 1) * each), i * each)
      return {
        inputs: createTensor('float32', [indices.length, ...inputShape], data),
        labels: new Int32Array(indices.length),
      }
    },
  }
}

/** Weights of -1, 0 and 1 times a size a filter: a student can do exactly what they do. */
function ternaryWeights(seed: number, shape: readonly number[], size: (filter: number) => number) {
  const random = createRandom(seed)
  const each = elementCount(shape.slice(1))
  return float32(
    Float32Array.from({ length: elementCount(shape) }, (_, i) => (random.integer(3) - 1) * size(Math.floor(i / each))),
    shape,
  )
}

/** Convolution (of two groups), normalization, maxima and two dense layers; each filter's weights are ternary but for a size. */
function network(change: (name: string, values: Float32Array) => void = () => {}): Model {
  const draft = createDraft()
  const random = createRandom(4)
  const constant = (name: string, values: Float32Array, shape: readonly number[]) => {
    change(name, values)
    return draft.constant(name, float32(values, shape))
  }
  const normal = (name: string, count: number, scale: number, shift = 0) =>
    constant(
      name,
      Float32Array.from({ length: count }, () => shift + scale * random.normal()),
      [count],
    )
  const weight = (name: string, seed: number, shape: readonly number[]) => {
    const { data } = ternaryWeights(seed, shape, (filter) => 0.2 + 0.05 * filter)
    return constant(name, Float32Array.from(data), shape)
  }
  const x = draft.input('x', 'float32', ['n', 2, 6, 6])
  const conv = draft.add(
    'Conv',
    [x, weight('conv.weight', 1, [6, 1, 3, 3]), normal('conv.bias', 6, 0.2)],
    { group: 2 },
    { name: 'conv' },
  )
  const gains = constant('norm.gain', Float32Array.of(1, -1.5, 0.7, 2, -0.8, 1.2), [6])
  const variance = constant('norm.variance', Float32Array.of(0.5, 1, 2, 0.3, 1, 1), [6])
  const norm = draft.add('BatchNormalization', [
    conv,
    gains,
    normal('norm.shift', 6, 0.3),
    normal('norm.mean', 6, 0.2),
    variance,
  ])
  const pooled = draft.add('MaxPool', [draft.add('Relu', [norm])], { kernel_shape: [2, 2], strides: [2, 2] })
  const flat = draft.add('Flatten', [pooled])
  const dense = draft.add(
    'Gemm',
    [flat, weight('fc1.weight', 2, [10, 24]), normal('fc1.bias', 10, 0.3)],
    { transB: 1, alpha: 0.5 },
    { name: 'fc1' },
  )
  const product = draft.add(
    'MatMul',
    [
      draft.add('Relu', [dense]),
      draft.constant(
        'fc2.weight',
        float32(
          Float32Array.from({ length: 40 }, () => random.normal()),
          [10, 4],
        ),
      ),
    ],
    {},
    { name: 'fc2' },
  )
  draft.output(draft.add('Add', [product, normal('fc2.bias', 4, 1)], {}, { outputs: ['logits'] }), 'float32', ['n', 4])
  return draft.finish()
}

async function run(model: Model, data: Dataset): Promise<Float32Array> {
  const { inputs } = await data.batch(Array.from({ length: data.size }, (_, i) => i))
  const session = await onnxruntime.createSession(model)
  const { logits } = await session.run({ x: inputs })
  await session.close()
  return toFloat32(logits)
}

const codesOf = (model: Model, name: string) => toNumbers(model.graph.initializers.get(`${name}.weight.codes`)!)

describe('ternary-neural-networks', () => {
  it.each(['teacher', 'student'])(
    'does what the teacher does where that is possible, without bias, normalization or products, by the inputs of the %s',
    async (reference) => {
      const data = ternaryImages([2, 6, 6])
      const made = await teacher(network(), contextFor(data), { include: ['fc1', 'fc2'], retrain: false })
      const context = contextFor(data)
      const result = await student(made, context, { exhaustive: 1, places: 16, reference, exclude: ['fc2'] })
      expect(verify(result)).toEqual([])
      const [before, after] = [await run(made, data), await run(result, data)]
      for (const [i, value] of before.entries()) expect(after[i]).toBeCloseTo(value, 4)
      expect(new Set(codesOf(result, 'conv'))).toEqual(new Set([-1, 0, 1]))
      expect(new Set(codesOf(result, 'fc1'))).toEqual(new Set([-1, 0, 1]))
      expect(toFloat32(result.graph.initializers.get('conv.weight.scale')!)).toEqual(Float32Array.of(1))
      const [conv, fc1, fc2] = layers(result)
      expect([conv.name, fc1.name, fc2.name]).toEqual(['conv', 'fc1', 'fc2'])
      expect([conv.bias, fc1.bias]).toEqual([undefined, undefined])
      const ops = new Set(result.graph.nodes.map(({ op }) => op))
      for (const gone of ['BatchNormalization', 'Mul', 'Tanh', 'Relu']) expect(ops).not.toContain(gone)
      expect(lift(result).graph.nodes.filter(({ op }) => op === 'StepFunction')).toHaveLength(2)
      expect(context.checks).toMatchObject([{ passed: true }])
      expect(context.checks[0].detail).toMatch(/conv 100.0 % .*fc1 100.0 %/)
      expect([...context.skipped.keys()]).toEqual(['fc2'])
    },
  )

  it('fits scales and a bias where no activation follows, an output each', async () => {
    const data = ternaryImages([2, 6, 6])
    const made = await teacher(network(), contextFor(data), { include: ['fc1', 'fc2'], retrain: false })
    const context = contextFor(data)
    const result = await student(made, context)
    const scale = result.graph.initializers.get('fc2.weight.scale')!
    expect(scale.shape).toEqual([4])
    expect(toFloat32(scale).every((value) => value > 0)).toBe(true)
    expect(codesOf(result, 'fc2').every((code) => Math.abs(code) <= 1)).toBe(true)
    const [before, after] = [await run(made, data), await run(result, data)]
    // Each output is that of least squares: its error has no mean, and is no part of the output.
    for (let c = 0; c < 4; c++) {
      const pairs = Array.from({ length: data.size }, (_, i) => [before[i * 4 + c], after[i * 4 + c]])
      const error = pairs.map(([a, b]) => a - b)
      const mean = error.reduce((sum, e) => sum + e, 0) / error.length
      expect(mean).toBeCloseTo(0, 4)
      expect(error.reduce((sum, e, i) => sum + e * pairs[i][1], 0) / error.length).toBeCloseTo(0, 3)
    }
    expect(context.skipped.size).toBe(0)
    expect(context.checks[0].detail).toMatch(/fc2 \d+\.\d % of its outputs by scales/)
  })

  it('finds the teacher again where its normalization went into thresholds before', async () => {
    const data = ternaryImages([2, 6, 6])
    const positive = network((name, values) => {
      if (name === 'norm.gain') values.set(values.map(Math.abs))
    })
    const made = await teacher(positive, contextFor(data), { include: ['fc1', 'fc2'], retrain: false })
    const folded = await foldBatchNorm.apply(made, foldBatchNorm.options.parse({}), contextFor(data))
    expect(folded.graph.nodes.map(({ op }) => op)).not.toContain('BatchNormalization')
    const results = await Promise.all([made, folded].map((one) => student(one, contextFor(data), { places: 16 })))
    const [direct, after] = await Promise.all(results.map((one) => run(one, data)))
    for (const [i, value] of direct.entries()) expect(after[i]).toBeCloseTo(value, 3)
  })

  it('fits scales where means are taken in front of the activation', async () => {
    const data = ternaryImages([2, 6, 6])
    const draft = createDraft()
    const conv = draft.add(
      'Conv',
      [
        draft.input('x', 'float32', ['n', 2, 6, 6]),
        draft.constant(
          'conv.weight',
          ternaryWeights(5, [5, 2, 3, 3], () => 1),
        ),
      ],
      {},
      { name: 'conv' },
    )
    const means = draft.add('Flatten', [draft.add('GlobalAveragePool', [draft.add('Relu', [conv])])])
    const dense = draft.constant(
      'fc.weight',
      ternaryWeights(6, [5, 4], () => 1),
    )
    draft.output(draft.add('MatMul', [means, dense], {}, { name: 'fc', outputs: ['logits'] }), 'float32', ['n', 4])
    const made = await teacher(draft.finish(), contextFor(data), { include: ['fc'], retrain: false })
    const context = contextFor(data)
    const result = await student(made, context)
    expect(context.checks[0].detail).toContain('conv 100.0 % of its outputs by scales; fc 100.0 %')
    const [before, after] = [await run(made, data), await run(result, data)]
    for (const [i, value] of before.entries()) expect(after[i]).toBeCloseTo(value, 4)
  })

  it('leaves a student as it is', async () => {
    const data = ternaryImages([2, 6, 6])
    const made = await teacher(network(), contextFor(data), { include: ['fc1', 'fc2'], retrain: false })
    const once = await student(made, contextFor(data), { exhaustive: 1, places: 16, exclude: ['fc2'] })
    // A student is quantized already: nothing is left to do but for the layer that was excluded.
    const context = contextFor(data)
    const again = await student(once, context)
    expect([...context.skipped]).toEqual(
      ['conv', 'fc1'].map((name) => [name, 'its weights are not plain floats: they were shared or quantized before']),
    )
    expect(codesOf(again, 'conv')).toEqual(codesOf(once, 'conv'))
  })

  it('comes near the teacher on digits', async () => {
    const open = async (train: number, test: number) =>
      digits.open('', digits.options.parse({ train: `${train}`, test: `${test}` }), 'digits')
    const { train, test } = await open(1200, 400)
    const model = buildNetwork('mlp', 1, [1, 28, 28], 10, (layer, input) => {
      const first = layer.batchNorm(layer.linear(layer.flatten(input), 'fc1', 784, 48, 2), 'norm1', 48)
      const second = layer.batchNorm(layer.linear(layer.relu(first), 'fc2', 48, 48, 2), 'norm2', 48)
      return layer.linear(layer.relu(second), 'fc3', 48, 10)
    })
    const training = { epochs: 6, batchSize: 50, optimizer: 'adam', learningRate: 0.003 } as const
    const data = { train, validation: test }
    const made = await teacher(model, contextFor(train, { data, training }), { exclude: ['fc1'] })
    const context = contextFor(train, { data })
    const result = await student(made, context, { samples: 600, exhaustive: 0.8 })
    const [before, after] = await Promise.all([made, result].map((one) => evaluate(one, test, onnxruntime)))
    expect(before.accuracy).toBeGreaterThan(0.7)
    expect(after.accuracy).toBeGreaterThan(before.accuracy - 0.08)
    expect(context.checks.map(({ passed }) => passed)).toEqual([true])
  }, 120_000)

  it('takes zero, constant and one-sided weights as they are', async () => {
    const data = ternaryImages([2, 6, 6])
    const model = network((name, values) => {
      if (name === 'conv.weight') {
        values.fill(0, 0, 9)
        values.fill(0.4, 9, 18)
        values.fill(-0.4, 18, 27)
      }
      if (name === 'norm.gain') values[3] = 0
      if (name === 'fc1.weight') values.fill(0)
    })
    const made = await teacher(model, contextFor(data), { include: ['fc1', 'fc2'], retrain: false })
    const context = contextFor(data)
    const result = await student(made, context, { exhaustive: 1, places: 16 })
    const conv = codesOf(result, 'conv')
    expect([...conv.subarray(0, 9)]).toEqual(Array.from({ length: 9 }, () => 0))
    expect(new Set(conv.subarray(18, 27))).toEqual(new Set([-1]))
    expect([...conv.subarray(27, 36)]).toEqual(Array.from({ length: 9 }, () => 0))
    expect(codesOf(result, 'fc1').every((code) => code === 0)).toBe(true)
    expect((await run(result, data)).every(Number.isFinite)).toBe(true)
    expect(context.checks).toMatchObject([{ passed: true }])
    expect(context.checks[0].detail).toContain('10 neurons never change')
  })

  it('asks for a teacher, for data, and for numbers', async () => {
    const [{ model, inputShape, classes }] = tinyModels()
    const plain = patternData({ size: 32, seed: 1, classes, inputShape })
    await expect(student(model, contextFor(plain))).rejects.toMatchObject({
      code: 'no-ternary-activations',
      hint: expect.stringContaining('ternary-activations'),
    })
    await expect(student(model, contextFor())).rejects.toMatchObject({ code: 'no-calibration-data' })
    const data = ternaryImages([2, 6, 6])
    const made = await teacher(network(), contextFor(data), { include: ['fc1', 'fc2'], retrain: false })
    const broken = ternaryImages([2, 6, 6], (n) => (n === 2 ? Number.NaN : n))
    await expect(student(made, contextFor(broken))).rejects.toMatchObject({
      code: 'calibration-not-finite',
      place: 'conv',
    })
    const nan = new Map(made.graph.initializers)
    nan.set('fc1.weight', float32(new Float32Array(240).fill(Number.NaN), [10, 24]))
    const wrong = { ...made, graph: { ...made.graph, initializers: nan } }
    const bias = new Map(made.graph.initializers).set('conv.bias', float32(new Float32Array(6).fill(Infinity)))
    await expect(
      student({ ...made, graph: { ...made.graph, initializers: bias } }, contextFor(data)),
    ).rejects.toMatchObject({ code: 'weight-not-finite', place: 'conv.bias' })
    await expect(student(wrong, contextFor(data))).rejects.toMatchObject({
      code: 'weight-not-finite',
      place: 'fc1.weight',
    })
  })

  it('tells its progress, stops when it is told to, and is the same for the same seed', async () => {
    const data = ternaryImages([2, 6, 6])
    const made = await teacher(network(), contextFor(data), { include: ['fc1', 'fc2'], retrain: false })
    const seen: string[] = []
    const progress: Context['progress'] = ({ task, done, total }) => {
      if (task === 'ternary-neural-networks') seen.push(`${done}/${total}`)
    }
    const results = await Promise.all([1, 2].map(() => student(made, contextFor(data, { progress }), { places: 2 })))
    expect(codesOf(results[0], 'conv')).toEqual(codesOf(results[1], 'conv'))
    expect(seen).toContain('3/3')
    const controller = new AbortController()
    const stopping = contextFor(data, {
      signal: controller.signal,
      progress: ({ detail }) => detail?.layer === 'fc1' && controller.abort(new Error('enough')),
    })
    await expect(student(made, stopping)).rejects.toThrow('enough')
  })
})
