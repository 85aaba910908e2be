import { beforeAll, describe, expect, it } from 'vitest'
import { differentiate } from '../../../src/autodiff/gradient.ts'
import { lower } from '../../../src/autodiff/lower.ts'
import { onnxruntime } from '../../../src/engines/onnxruntime.ts'
import { createDraft } from '../../../src/ir/draft.ts'
import { noise } from '../../../src/ir/families/noise.ts'
import type { Model } from '../../../src/ir/model.ts'
import type { Tensor } from '../../../src/tensor/tensor.ts'

const parameters = ['w1', 's1', 'b1', 'w2', 's2', 'b2', 'w3', 's3', 'b3', 'w4', 's4', 'b4']

/** A narrow image, a residual block with an identity and one with a strided projection, all with batch normalization. */
function network(): { model: Model; weights: Record<string, Tensor> } {
  const draft = createDraft()
  draft.opsets.set('espalier', 1)
  const weights: Record<string, Tensor> = {}
  const weight = (name: string, shape: number[]) => {
    weights[name] = noise(name.length + shape.length * 7 + Number(name[1]), shape)
    return draft.input(name, 'float32', shape)
  }
  const norm = (x: string, i: number, channels: number) =>
    draft.addMany(
      'BatchNormTrain',
      [x, weight(`s${i}`, [channels]), weight(`b${i}`, [channels])],
      {},
      { domain: 'espalier', outputs: 3 },
    )
  const x = draft.input('x', 'float32', [2, 3, 8, 8])
  const same = { pads: [1, 1, 1, 1] }
  const [n1, mean, variance] = norm(draft.add('Conv', [x, weight('w1', [32, 3, 3, 3])], same), 1, 32)
  const stem = draft.add('Relu', [n1])
  const [n2] = norm(draft.add('Conv', [stem, weight('w2', [32, 32, 3, 3])], same), 2, 32)
  const inner = draft.add('Relu', [draft.add('Add', [n2, stem])])
  const [n3] = norm(draft.add('Conv', [inner, weight('w3', [64, 32, 3, 3])], { ...same, strides: [2, 2] }), 3, 64)
  const [n4] = norm(draft.add('Conv', [inner, weight('w4', [64, 32, 1, 1])], { strides: [2, 2] }), 4, 64)
  const last = draft.add('Relu', [draft.add('Add', [n3, n4])])
  const factor = draft.input('factor', 'float32', [2, 64, 4, 4])
  draft.add('ReduceSum', [draft.add('Mul', [last, factor])], { keepdims: 0 }, { outputs: ['loss'] })
  for (const name of ['loss', mean, variance, last]) draft.output(name)
  weights['x'] = noise(91, [2, 3, 8, 8])
  weights['factor'] = noise(92, [2, 64, 4, 4])
  return { model: draft.finish(), weights }
}

/** A fire module of SqueezeNet, and a convolution behind it whose channels fill no blocks: it reads what was blocked. */
function fire(): { model: Model; weights: Record<string, Tensor> } {
  const draft = createDraft()
  draft.opsets.set('espalier', 1)
  const weights: Record<string, Tensor> = {}
  const input = (name: string, shape: number[]) => {
    weights[name] = noise(name.length + shape.length * 7 + shape[0], shape)
    return draft.input(name, 'float32', shape)
  }
  const convolution = (x: string, name: string, shape: number[]) =>
    draft.add('Relu', [
      draft.add('Conv', [x, input(name, shape)], { pads: shape[2] === 3 ? [1, 1, 1, 1] : [0, 0, 0, 0] }),
    ])
  const squeezed = convolution(input('x', [2, 3, 8, 8]), 'squeeze', [32, 3, 3, 3])
  const narrow = convolution(squeezed, 'narrow', [32, 32, 1, 1])
  const wide = convolution(squeezed, 'wide', [32, 32, 3, 3])
  const joined = draft.add('Concat', [narrow, wide], { axis: 1 })
  const pooled = draft.add('MaxPool', [joined], { kernel_shape: [2, 2], strides: [2, 2] })
  const last = convolution(pooled, 'last', [10, 64, 1, 1])
  const product = draft.add('Mul', [last, input('factor', [2, 10, 4, 4])])
  draft.add('ReduceSum', [product], { keepdims: 0 }, { outputs: ['loss'] })
  for (const name of ['loss', last]) draft.output(name)
  return { model: draft.finish(), weights }
}

describe('the blocked layout', () => {
  let block: number | undefined
  beforeAll(async () => {
    block = await onnxruntime.block!()
  })

  it('gives the values and gradients of the plain form', async ({ skip }) => {
    if (block === undefined) return skip('this build of onnxruntime has no blocked layout')
    const { model, weights } = network()
    const lowered = await compareForms(model, weights, parameters, block)
    expect(lowered.graph.nodes.filter(({ domain }) => domain === 'com.microsoft.nchwc').length).toBeGreaterThan(10)
    // The activations stay in the layout: they are not reordered for each operator.
    expect(lowered.graph.nodes.filter(({ op }) => op === 'ReorderInput').length).toBeLessThan(4)
    return undefined
  })

  it('knows shapes behind its own operators, which inference does not', async ({ skip }) => {
    if (block === undefined) return skip('this build of onnxruntime has no blocked layout')
    const { model, weights } = fire()
    const lowered = await compareForms(model, weights, ['squeeze', 'narrow', 'wide', 'last'], block)
    expect(lowered.graph.nodes.some(({ domain }) => domain === 'com.microsoft.nchwc')).toBe(true)
    return undefined
  })
})

/** Runs the differentiated model in both forms, which must agree, and gives the blocked one. */
async function compareForms(
  model: Model,
  weights: Record<string, Tensor>,
  names: readonly string[],
  block: number,
): Promise<Model> {
  const { model: differentiated, gradients } = differentiate(model, { loss: 'loss', parameters: names, inputs: ['x'] })
  const plain = await run(lower(differentiated, { backend: 'cpu', threads: 1 }), weights)
  const lowered = lower(differentiated, { backend: 'cpu', threads: 1, block })
  const blocked = await run(lowered, weights)
  expect(Object.keys(blocked)).toEqual(Object.keys(plain))
  expect(gradients.size).toBe(names.length + 1)
  for (const [name, expected] of Object.entries(plain)) {
    const actual = blocked[name]
    expect(actual.shape, name).toEqual(expected.shape)
    const scale = Math.max(...Array.from(expected.data as Float32Array, Math.abs), 1e-3)
    ;(expected.data as Float32Array).forEach((value, i) => {
      const difference = Math.abs(value - Number(actual.data[i])) / scale
      if (!(difference < 1e-4)) expect.fail(`${name}[${i}] is ${Number(actual.data[i])}, not ${value}`)
    })
  }
  return lowered
}

async function run(model: Model, feeds: Record<string, Tensor>): Promise<Record<string, Tensor>> {
  const session = await onnxruntime.createSession(model, { purpose: 'training', threads: 1 })
  const results = await session.run(feeds)
  await session.close()
  return results
}
