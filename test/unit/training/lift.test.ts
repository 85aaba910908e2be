import { describe, expect, it } from 'vitest'
import { inlineCustomFunctions } from '../../../src/autodiff/lower.ts'
import { onnxruntime } from '../../../src/engines/onnxruntime.ts'
import { createDraft, type Draft } from '../../../src/ir/draft.ts'
import { operatorKey, type Model } from '../../../src/ir/model.ts'
import { createRandom } from '../../../src/tensor/random.ts'
import { createTensor, float32, scalar, type Tensor } from '../../../src/tensor/tensor.ts'
import { fromNumbers } from '../../../src/tensor/elements.ts'
import { toFloat32 } from '../../../src/tensor/half.ts'
import { lift } from '../../../src/training/lift.ts'
import { trainingSettings } from '../../../src/training/settings.ts'
import { buildStep } from '../../../src/training/step.ts'

const random = createRandom(9)
const normal = (shape: readonly number[]) =>
  float32(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal() * 0.5),
    shape,
  )

/** Convolution, a quantizer, and a dense layer. */
function network(quantizer: (draft: Draft, x: string) => string): Model {
  const draft = createDraft()
  const x = draft.input('x', 'float32', ['N', 2, 5, 5])
  const y = draft.add('Conv', [x, draft.constant('first', normal([3, 2, 3, 3]))])
  const flat = draft.add('Flatten', [quantizer(draft, y)], { axis: 1 })
  draft.output(draft.add('MatMul', [flat, draft.constant('second', normal([27, 4]))]), 'float32', ['N', 4])
  return draft.finish()
}

const quantizers: Readonly<Record<string, (draft: Draft, x: string) => string>> = {
  'codes of one scale': (draft, x) =>
    draft.add('espalier.FakeQuantize', [
      draft.add('Clip', [
        x,
        draft.constant('low', scalar('float32', 0)),
        draft.constant('high', scalar('float32', 0.75)),
      ]),
      draft.constant('scale', scalar('float32', 0.25)),
      draft.constant('zero', scalar('uint8', 0)),
    ]),
  'codes of a scale for each channel, without zero points': (draft, x) =>
    draft.add('espalier.FakeQuantize', [x, draft.constant('scale', float32([0.1, 0.2, 0.3]))], { axis: 1 }),
  'signed codes': (draft, x) =>
    draft.add('espalier.FakeQuantize', [
      x,
      draft.constant('scale', float32([0.1, 0.2, 0.3])),
      draft.constant('zero', fromNumbers('int8', [3], [0, 1, -2])),
    ]),
  signs: (draft, x) => draft.add('espalier.SignStraightThrough', [x]),
  rounding: (draft, x) => draft.add('espalier.RoundStraightThrough', [x]),
}

/** Loss and all parameters after one update. */
async function oneUpdate(model: Model): Promise<Readonly<Record<string, Tensor>>> {
  const parameters = ['first', 'second']
  const settings = trainingSettings.parse({ optimizer: 'sgd' })
  const step = buildStep(model, { batchSize: 3, parameters, settings })
  const session = await onnxruntime.createSession(step.model, { purpose: 'training' })
  const state = Object.fromEntries(step.state.map(({ input, initial }) => [input, initial]))
  const images = createRandom(4)
  const feeds = {
    ...state,
    [step.inputs.images]: float32(
      Float32Array.from({ length: 150 }, () => images.normal()),
      [3, 2, 5, 5],
    ),
    [step.inputs.labels]: createTensor('int32', [3], Int32Array.of(0, 3, 1)),
    [step.inputs.learningRate]: scalar('float32', 0.5),
  }
  const outputs = await session.run(feeds)
  await session.close()
  return Object.fromEntries([
    ['loss', outputs[step.outputs.loss]],
    ...step.state.map(({ name, output }) => [name, outputs[output]]),
  ])
}

const operatorsOf = (model: Model) => model.graph.nodes.map((node) => operatorKey(node))

describe.each(Object.entries(quantizers))('lifting %s', (_, quantizer) => {
  const custom = network(quantizer)
  const standard = inlineCustomFunctions(custom)

  it('gives back the operators whose bodies stand in a graph', () => {
    expect(operatorsOf(standard).every((key) => !key.startsWith('espalier.'))).toBe(true)
    expect(operatorsOf(lift(standard))).toEqual(operatorsOf(custom))
  })

  it('lets the standard form train as its operator does', async () => {
    const [wanted, found] = [await oneUpdate(custom), await oneUpdate(standard)]
    expect(Object.keys(found)).toEqual(Object.keys(wanted))
    for (const [name, tensor] of Object.entries(wanted)) expect(toFloat32(found[name])).toEqual(toFloat32(tensor))
    // The gradient has come through: the layer in front of the quantizer has moved.
    expect(toFloat32(found.first)).not.toEqual(toFloat32(custom.graph.initializers.get('first')!))
  })
})

describe('what is no quantizer', () => {
  it.each<[string, (draft: Draft, x: string) => string]>([
    [
      'codes that are read with another scale',
      (draft, x) =>
        draft.add('DequantizeLinear', [
          draft.add('QuantizeLinear', [x, draft.constant('a', scalar('float32', 1))]),
          draft.constant('b', scalar('float32', 2)),
        ]),
    ],
    [
      'a choice between other numbers',
      (draft, x) =>
        draft.add('Where', [
          draft.add('GreaterOrEqual', [x, draft.constant('zero', scalar('float32', 0))]),
          draft.constant('one', scalar('float32', 1)),
          draft.constant('nothing', scalar('float32', 0)),
        ]),
    ],
    [
      'a choice by another threshold',
      (draft, x) =>
        draft.add('Where', [
          draft.add('GreaterOrEqual', [x, draft.constant('half', scalar('float32', 0.5))]),
          draft.constant('one', scalar('float32', 1)),
          draft.constant('minus', scalar('float32', -1)),
        ]),
    ],
  ])('stays: %s', (_, write) => {
    const model = network(write)
    expect(lift(model)).toBe(model)
  })

  it('leaves the codes of weights alone', () => {
    const draft = createDraft()
    const codes = draft.constant('codes', fromNumbers('int8', [4, 2], [1, 2, 3, 4, 5, 6, 7, 8]))
    const weight = draft.add('DequantizeLinear', [codes, draft.constant('scale', scalar('float32', 0.1))])
    draft.output(draft.add('MatMul', [draft.input('x', 'float32', ['N', 4]), weight]))
    const model = draft.finish()
    expect(lift(model)).toBe(model)
  })

  it('keeps codes that something else reads', () => {
    const draft = createDraft()
    const scale = draft.constant('scale', scalar('float32', 0.1))
    const codes = draft.add('QuantizeLinear', [draft.input('x', 'float32', [4]), scale])
    draft.output(draft.add('DequantizeLinear', [codes, scale]))
    draft.output(codes)
    expect(operatorsOf(lift(draft.finish()))).toEqual(['QuantizeLinear', 'espalier.FakeQuantize'])
  })
})
