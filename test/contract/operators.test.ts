/** What every operator record must keep: its shape rule, evaluation, gradient and coupling agree with each other and with onnxruntime. */
import { describe, expect, it } from 'vitest'
import { differentiate } from '../../src/autodiff/gradient.ts'
import { onnxruntime } from '../../src/engines/onnxruntime.ts'
import { referenceEngine } from '../../src/engines/reference.ts'
import { createDraft } from '../../src/ir/draft.ts'
import type { Dim, Model, TensorType } from '../../src/ir/model.ts'
import type { KeptPlaces, Operator, Sample } from '../../src/ir/operator.ts'
import { mapChannels, type ChannelMap } from '../../src/ir/channels.ts'
import { cutRoots, keptPlaces } from '../../src/ir/cut.ts'
import { takeAxes } from '../../src/ir/families/movement.ts'
import { operators } from '../../src/ir/ops/index.ts'
import { dtypes } from '../../src/tensor/dtype.ts'
import { fromNumbers, toNumbers } from '../../src/tensor/elements.ts'
import { float32, int64, type Tensor } from '../../src/tensor/tensor.ts'
import { inDouble, isDifferentiated, keyOf, sampleModel, sampleNode } from '../support/operator-sample.ts'

const records = [...operators.values()]
const cases = records.flatMap((record) => record.samples.map((sample) => ({ record, sample })))
const title = ({ record, sample }: { record: Operator; sample: Sample }) => `${keyOf(record)}: ${sample.name}`
const named = cases.map((each) => [title(each), each] as const)

/** Operators of the issue, and those that the normal forms and the gradients are written in. */
const expected = `Conv ConvTranspose Gemm MatMul Add Sub Mul Div Pow Sqrt Exp Log Abs Neg Sign Min Max Clip Relu LeakyRelu
  PRelu Sigmoid Tanh HardSigmoid HardSwish Gelu Erf BatchNormalization LayerNormalization MaxPool AveragePool
  GlobalAveragePool Reshape Flatten Transpose Concat Split Slice Pad Gather Squeeze Unsqueeze Expand Where Cast Identity
  Dropout Softmax LogSoftmax ReduceSum ReduceMean ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceSumSquare
  ReduceLogSum ReduceLogSumExp QuantizeLinear DequantizeLinear Resize`

describe('the registry of operators', () => {
  it.each(expected.split(/\s+/))('has %s', (type) => {
    expect(operators.has(type)).toBe(true)
  })
})

describe.each(records.map((record) => [keyOf(record), record] as const))('%s', (_, record) => {
  it('is documented by a sentence and samples', () => {
    expect(record.summary).toMatch(/^[A-Z].*\.$/)
    expect(record.samples.length).toBeGreaterThan(0)
    expect(new Set(record.samples.map(({ name }) => name)).size).toBe(record.samples.length)
    expect(record.since).toBeLessThanOrEqual(21)
  })

  it('has an evaluation, and no gradient where it says that there is none', () => {
    expect(typeof record.evaluate).toBe('function')
    expect(record.gradient !== undefined && record.differentiable === 'none').toBe(false)
  })
})

function evaluate(record: Operator, sample: Sample): readonly Tensor[] {
  return record.evaluate!({ node: sampleNode(record, sample), inputs: sample.inputs })
}

describe('the shape rule', () => {
  it.each(named)('agrees with the evaluation: %s', (_, { record, sample }) => {
    const results = evaluate(record, sample)
    const { inputs } = sample
    const types = record.infer({ node: sampleNode(record, sample), inputs, constant: (index) => inputs[index] })
    for (let i = 0; i < (sample.outputs ?? 1); i++) {
      expect(types[i]?.dtype).toBe(results[i].dtype)
      expectCompatible(types[i]!, results[i].shape, new Map())
      if (keyOf(record) !== 'NonZero') expect(types[i]?.shape).toEqual(results[i].shape)
    }
  })

  it.each(named)('does not claim too much about symbols: %s', (_, { record, sample }) => {
    const results = evaluate(record, sample)
    const sizes = new Map<string, number>()
    const symbolic = sample.inputs.map((input, index): TensorType | undefined => {
      if (!input) return undefined
      const shape = input.shape.map((size, axis) => {
        sizes.set(`${index}:${axis}`, size)
        return `${index}:${axis}`
      })
      return { dtype: input.dtype, shape }
    })
    const node = sampleNode(record, sample)
    const isConstant = (index: number) => sample.inputs[index] && dtypes[sample.inputs[index].dtype].kind !== 'float'
    const rankless = sample.inputs.map((input) => input && { dtype: input.dtype })
    const nameless = sample.inputs.map((input) => input && { dtype: input.dtype, shape: input.shape.map(() => null) })
    for (const inputs of [symbolic, nameless, rankless])
      for (const constants of [true, false]) {
        const constant = (index: number) => (constants && isConstant(index) ? sample.inputs[index] : undefined)
        const types = record.infer({ node, inputs, constant })
        for (let i = 0; i < (sample.outputs ?? 1); i++) {
          if (!types[i]) continue
          expect(types[i]!.dtype).toBe(results[i].dtype)
          expectCompatible(types[i]!, results[i].shape, sizes)
        }
      }
    expect(record.infer({ node, inputs: sample.inputs.map(() => undefined), constant: () => undefined })).toBeDefined()
  })
})

/** Every size that the rule tells must be the real one. */
function expectCompatible({ shape }: TensorType, actual: readonly number[], sizes: ReadonlyMap<string, number>): void {
  if (!shape) return
  expect(shape.length).toBe(actual.length)
  const resolved = shape.map((dim: Dim, axis) =>
    typeof dim === 'number' ? dim : dim === null ? actual[axis] : sizes.get(dim),
  )
  expect(resolved).toEqual(actual)
}

describe('the evaluation', () => {
  it.each(named)('is what onnxruntime computes: %s', async (_, { record, sample }) => {
    const isFed = (index: number) => ['float32', 'float64', 'float16'].includes(sample.inputs[index]!.dtype)
    const session = await onnxruntime.createSession(asCarried(sampleModel(record, sample, isFed)))
    const feeds = sample.inputs.flatMap((input, i) => (input && isFed(i) ? [[`i${i}`, input] as const] : []))
    const theirs = await session.run(Object.fromEntries(feeds))
    await session.close()
    for (const [i, ours] of evaluate(record, sample)
      .slice(0, sample.outputs ?? 1)
      .entries()) {
      const result = theirs[session.outputs[i]]
      if (session.outputs[i] === `o${i}`) expect(result.dtype).toBe(ours.dtype)
      expect(result.shape).toEqual(ours.shape)
      expectNear(ours, result, sample.tolerance ?? 1e-5)
    }
  })
})

/** Element types that onnxruntime-node cannot hand out leave as float32. */
function asCarried(model: Model): Model {
  const draft = createDraft(model)
  draft.outputs.length = 0
  for (const { name, type } of model.graph.outputs) {
    const carried = !['int4', 'uint4', 'bfloat16'].includes(type!.dtype)
    draft.output(carried ? name : draft.add('Cast', [name], { to: 1 }), carried ? type!.dtype : 'float32', type!.shape)
  }
  return draft.finish({ keepUnused: true })
}

function expectNear(ours: Tensor, theirs: Tensor, tolerance: number): void {
  if (ours.dtype === 'int64' || ours.dtype === 'uint64') {
    expect(ours.data).toEqual(theirs.data)
    return
  }
  const [a, b] = [toNumbers(ours), toNumbers(theirs)]
  let worst = 0
  for (let i = 0; i < a.length; i++) {
    if (Object.is(a[i], b[i]) || a[i] === b[i]) continue
    const difference = Math.abs(a[i] - b[i]) / Math.max(1, Math.abs(b[i]))
    worst = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(worst, difference)
  }
  expect(worst).toBeLessThanOrEqual(tolerance)
}

const differentiated = named.filter(([, { record, sample }]) =>
  sample.inputs.some((_, index) => isDifferentiated(record, sample, index)),
)

describe('the gradient', () => {
  it.each(differentiated)('agrees with central differences: %s', async (_, { record, sample }) => {
    const { model, feeds } = inDoublePrecision(record, sample)
    await checkGradient(model, feeds)
  })

  const twice =
    'Mul Div Pow Relu Tanh Sigmoid Softmax LogSoftmax Gather ReduceMean ReduceL2 MatMul Conv Transpose Concat'
  const smooth = differentiated.filter(([, { record }]) => twice.split(' ').includes(keyOf(record)))
  it.each(smooth)('has a gradient itself: %s', async (_, { record, sample }) => {
    const { model, feeds } = inDoublePrecision(record, sample)
    const { model: first, gradients } = differentiate(model, { loss: 'loss', parameters: Object.keys(feeds) })
    const draft = createDraft(first)
    const names = new Set(gradients.values())
    draft.outputs.splice(0, draft.outputs.length, ...first.graph.outputs.filter(({ name }) => names.has(name)))
    await checkGradient(withLoss(draft.finish(), 'second'), feeds, 'second')
  })
})

/** The sample as a model with a loss, whose differentiated inputs are fed. */
function inDoublePrecision(record: Operator, sample: Sample): { model: Model; feeds: Record<string, Tensor> } {
  const double = inDouble(sample)
  const isFed = (index: number) => isDifferentiated(record, double, index)
  const inputs = double.inputs.flatMap((input, i) => (isFed(i) ? [[`i${i}`, input!] as const] : []))
  return { model: withLoss(sampleModel(record, double, isFed)), feeds: Object.fromEntries(inputs) }
}

async function checkGradient(model: Model, feeds: Record<string, Tensor>, loss = 'loss'): Promise<void> {
  const backward = differentiate(model, { loss, parameters: Object.keys(feeds) })
  const analytic = await run(backward.model, feeds)
  const forward = await referenceEngine.createSession(model)
  const lossAt = async (each: Record<string, Tensor>) => toNumbers((await forward.run(each, [loss]))[loss])[0]
  const step = 1e-5
  for (const [name, input] of Object.entries(feeds)) {
    const values = toNumbers(input)
    const numeric = new Float64Array(values.length)
    for (let i = 0; i < values.length; i++) {
      const at = (value: number) => fromNumbers('float64', input.shape, values.with(i, value))
      const high = await lossAt({ ...feeds, [name]: at(values[i] + step) })
      const low = await lossAt({ ...feeds, [name]: at(values[i] - step) })
      numeric[i] = (high - low) / (2 * step)
    }
    const gradient = analytic[backward.gradients.get(name)!]
    expect(gradient.shape).toEqual(input.shape)
    expectNear(gradient, fromNumbers('float64', input.shape, numeric), 1e-6)
  }
}

async function run(model: Model, feeds: Record<string, Tensor>): Promise<Record<string, Tensor>> {
  return (await referenceEngine.createSession(model)).run(feeds)
}

/** Adds the loss: all float outputs, each element with a weight of its own, summed. */
function withLoss(model: Model, loss = 'loss'): Model {
  const draft = createDraft(model)
  const sums = model.graph.outputs.flatMap(({ name, type }) => {
    if (!type || dtypes[type.dtype].kind !== 'float') return []
    const shape = type.shape as number[]
    const count = shape.reduce((product, size) => product * size, 1)
    const weights = Float64Array.from({ length: count }, (_, i) => 0.3 + ((i * 7) % 11) / 5)
    const weighted = draft.add('Mul', [
      draft.add('Cast', [name], { to: 11 }),
      draft.constant('weights', fromNumbers('float64', shape, weights)),
    ])
    return [draft.add('ReduceSum', [weighted], { keepdims: 0 })]
  })
  draft.outputs.length = 0
  draft.output(draft.add('Sum', sums, {}, { outputs: [loss] }), 'float64', [])
  return draft.finish()
}

describe('the coupling of channels', () => {
  const coupled = named.filter(([, { record }]) => record.coupling !== undefined)

  it.each(coupled)('cuts like masking: %s', async (_, { record, sample }) => {
    const isFed = (index: number) => dtypes[sample.inputs[index]!.dtype].kind === 'float'
    const model = sampleModel(record, sample, isFed)
    const map = mapChannels(model, { openEnds: true })
    const feeds = Object.fromEntries(sample.inputs.flatMap((input, i) => (input && isFed(i) ? [[`i${i}`, input]] : [])))
    for (const root of freeRoots(map)) {
      const kept = keptPlaces(map, new Set([root]))
      const masked = await run(
        withMasks(model, kept),
        mapValues(feeds, (name, input) => erased(input, kept.get(name))),
      )
      const cut = await run(
        withoutTypes(cutRoots(map, new Set([root]))),
        mapValues(feeds, (name, input) => takeAxes(input, kept.get(name) ?? [])),
      )
      for (const [index, name] of map.model.graph.outputs.map(({ name }) => name).entries())
        // MaxPool's indices count through all channels.
        if (keyOf(record) !== 'MaxPool' || index === 0)
          expectNear(cut[name], takeAxes(masked[name], kept.get(name) ?? []), 1e-5)
    }
  })
})

/** The roots of channels that can be cut without emptying an axis. */
function freeRoots({ slots }: ChannelMap): Set<number> {
  const roots = new Set<number>()
  for (let slot = 0; slot < slots.count; slot++) if (slots.reason(slot) === undefined) roots.add(slots.find(slot))
  for (const { first, size } of slots.axes) {
    const own = new Set(Array.from({ length: size }, (_, place) => slots.find(first + place)))
    if (own.size === 1) for (const root of own) roots.delete(root)
  }
  return roots
}

/** The tensor with zeros at the places that do not stay. */
function erased(tensor: Tensor, kept: KeptPlaces | undefined): Tensor {
  const tables = kept?.map(
    (places, axis) => places && Array.from({ length: tensor.shape[axis] }, (_, i) => (places.includes(i) ? i : -1)),
  )
  return tables ? takeAxes(tensor, tables) : tensor
}

/** Initializers of floats with zeros at the places that do not stay. */
function withMasks(model: Model, kept: ReadonlyMap<string, KeptPlaces>): Model {
  const draft = createDraft(model)
  for (const [name, tensor] of model.graph.initializers)
    if (dtypes[tensor.dtype].kind === 'float') draft.initializers.set(name, erased(tensor, kept.get(name)))
  return draft.finish({ keepUnused: true })
}

function withoutTypes(model: Model): Model {
  return { ...model, graph: { ...model.graph, outputs: model.graph.outputs.map(({ name }) => ({ name })) } }
}

function mapValues<T>(record: Readonly<Record<string, T>>, change: (key: string, value: T) => T): Record<string, T> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(key, value)]))
}

/** The inferred shape of a node's only output. */
function inferShape(
  type: string,
  inputs: readonly TensorType[],
  constants: readonly (Tensor | undefined)[] = [],
  attributes: Sample['attributes'] = {},
): readonly Dim[] | undefined {
  const sample = { name: '', inputs: inputs.map(() => float32([])), attributes }
  const node = sampleNode(operators.get(type)!, sample)
  return operators.get(type)!.infer({ node, inputs, constant: (index) => constants[index] })[0]?.shape
}

describe('symbols in shapes', () => {
  const images: TensorType = { dtype: 'float32', shape: ['N', 3, 4, 5] }

  it('stay through elementwise operators, where broadcasting leaves no doubt', () => {
    expect(inferShape('Relu', [images])).toEqual(['N', 3, 4, 5])
    expect(inferShape('Add', [images, { dtype: 'float32', shape: [3, 1, 1] }])).toEqual(['N', 3, 4, 5])
    expect(inferShape('Mul', [images, { dtype: 'float32', shape: ['N', 1, 1, 1] }])).toEqual(['N', 3, 4, 5])
    expect(inferShape('Mul', [images, { dtype: 'float32', shape: ['M', 1, 1, 1] }])).toEqual([null, 3, 4, 5])
    expect(inferShape('Mul', [images, { dtype: 'float32', shape: [8, 3, 4, 5] }])).toEqual([8, 3, 4, 5])
  })

  it('stay through Flatten and Reshape', () => {
    expect(inferShape('Flatten', [images])).toEqual(['N', 60])
    const shape: TensorType = { dtype: 'int64', shape: [2] }
    expect(inferShape('Reshape', [images, shape], [undefined, int64([0, -1])])).toEqual(['N', 60])
    expect(inferShape('Reshape', [images, shape], [undefined, int64([-1, 60])])).toEqual(['N', 60])
    expect(inferShape('Reshape', [images, shape], [undefined, int64([-1, 30])])).toEqual([null, 30])
    expect(inferShape('Reshape', [images, shape])).toEqual([null, null])
  })

  it('stay through reductions and concatenation', () => {
    const axes: TensorType = { dtype: 'int64', shape: [2] }
    expect(inferShape('ReduceMean', [images, axes], [undefined, int64([2, 3])], { keepdims: 0 })).toEqual(['N', 3])
    expect(inferShape('Concat', [images, images], [], { axis: 1 })).toEqual(['N', 6, 4, 5])
    expect(inferShape('Concat', [images, images], [], { axis: 0 })).toEqual([null, 3, 4, 5])
  })
})
