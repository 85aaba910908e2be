import { describe, expect, it } from 'vitest'
import { dropIdentities } from '../../../src/autodiff/lower/identities.ts'
import { inlineCustomFunctions, lower, needsLowering } from '../../../src/autodiff/lower.ts'
import { onnxruntime } from '../../../src/engines/onnxruntime.ts'
import { referenceEngine } from '../../../src/engines/reference.ts'
import { UnsupportedError } from '../../../src/errors.ts'
import { createDraft, float } from '../../../src/ir/draft.ts'
import { noise } from '../../../src/ir/families/noise.ts'
import { verify } from '../../../src/ir/verify.ts'
import { float32, scalar } from '../../../src/tensor/tensor.ts'

describe('dropIdentities', () => {
  it('takes out copies and keeps the names of outputs', async () => {
    const draft = createDraft()
    const x = draft.input('x', 'float32', [2])
    const w = draft.constant('w', float32([3, 4]))
    const copy = draft.add('Identity', [draft.add('Identity', [x])])
    const sum = draft.add('Add', [copy, draft.add('Identity', [w])])
    const output = (name: string, from: string) =>
      draft.output(draft.add('Identity', [from], {}, { outputs: [name] }), 'float32', [2])
    output('a', sum)
    output('b', draft.add('Neg', [sum]))
    output('same', sum)
    output('input', x)
    const model = draft.finish()
    const lean = dropIdentities(model)
    expect(verify(lean)).toEqual([])
    // What is an output twice, and an input that is an output, need their copies.
    expect(lean.graph.nodes.map(({ op }) => op).sort()).toEqual(['Add', 'Identity', 'Identity', 'Neg'])
    const feeds = { x: float32([1, 2]) }
    const results = await Promise.all(
      [model, lean].map(async (each) => (await referenceEngine.createSession(each)).run(feeds)),
    )
    expect(results[1]).toEqual(results[0])
  })
})

describe('momentum of a linear layer', () => {
  it.each([false, true])('is added inside the Gemm, operands swapped: %s', async (swapped) => {
    const draft = createDraft()
    const [a, b, v] = [
      draft.input('a', 'float32', [2, 3]),
      draft.input('b', 'float32', [2, 4]),
      draft.input('v', 'float32', [3, 4]),
    ]
    const gradient = draft.add('Gemm', [a, b], { transA: 1, alpha: float(2) })
    const old = draft.add('Mul', [v, draft.constant('momentum', scalar('float32', 0.9))])
    draft.add('Add', swapped ? [old, gradient] : [gradient, old], {}, { outputs: ['next'] })
    draft.output('next', 'float32', [3, 4])
    const model = draft.finish()
    const lowered = lower(model)
    expect(lowered.graph.nodes.map(({ op }) => op)).toEqual(['Gemm'])
    const feeds = { a: noise(1, [2, 3]), b: noise(2, [2, 4]), v: noise(3, [3, 4]) }
    const [expected, actual] = await Promise.all(
      [model, lowered].map(async (each) => (await (await onnxruntime.createSession(each)).run(feeds))['next']),
    )
    Array.from(actual.data as Float32Array).forEach((value, i) =>
      expect(value).toBeCloseTo(Number(expected.data[i]), 5),
    )
  })
})

describe('ties of a maximum', () => {
  it('share the gradient of their window', async () => {
    const draft = createDraft()
    draft.opsets.set('espalier', 1)
    const [dy, x, y] = [
      draft.input('dy', 'float32', [1, 1, 1, 2]),
      draft.input('x', 'float32', [1, 1, 2, 4]),
      draft.input('y', 'float32', [1, 1, 1, 2]),
    ]
    const attributes = { kernel_shape: [2, 2], strides: [2, 2], pads: [0, 0, 0, 0], dilations: [1, 1], ceil_mode: 0 }
    draft.add(
      'MaxPoolGrad',
      [dy, x, y],
      { ...attributes, shape: [1, 1, 2, 4] },
      { domain: 'espalier', outputs: ['dx'] },
    )
    draft.output('dx', 'float32', [1, 1, 2, 4])
    for (const purpose of ['training', 'inference'] as const) {
      const session = await onnxruntime.createSession(draft.finish(), { purpose })
      const { dx } = await session.run({
        dy: float32([6, 8], [1, 1, 1, 2]),
        x: float32([5, 5, 1, 2, 5, 0, 3, 4], [1, 1, 2, 4]),
        y: float32([5, 4], [1, 1, 1, 2]),
      })
      expect(Array.from(dx.data as Float32Array)).toEqual([2, 2, 0, 0, 2, 0, 0, 8])
    }
  })
})

describe('lower', () => {
  it('works inside sub-graphs, and of what they capture', async () => {
    const draft = createDraft()
    draft.opsets.set('espalier', 1)
    const x = draft.input('x', 'float32', [3])
    const condition = draft.input('condition', 'bool', [])
    const outer = draft.add('RoundStraightThrough', [x], {}, { domain: 'espalier' })
    const branch = (op: string) => {
      const inner = createDraft()
      inner.nodes.push({ name: op, op, domain: 'espalier', inputs: [outer], outputs: [op], attributes: {} })
      inner.output(op, 'float32', [3])
      return inner.finish({ keepUnused: true }).graph
    }
    const branches = { then_branch: branch('SignStraightThrough'), else_branch: branch('ClipPassThrough') }
    draft.output(draft.add('If', [condition], branches, { outputs: ['y'] }), 'float32', [3])
    const lowered = lower(draft.finish())
    expect(needsLowering(lowered)).toBe(false)
    expect(verify(lowered)).toEqual([])
    const session = await onnxruntime.createSession(lowered)
    const run = async (value: boolean) =>
      Array.from(
        (await session.run({ x: float32([-1.4, 0.2, 2.6]), condition: scalar('bool', value) }))['y']
          .data as Float32Array,
      )
    expect(await run(true)).toEqual([-1, 1, 1])
    expect(await run(false)).toEqual([-1, 0, 3])
  })

  it('puts functions in standard operators for export, whatever the sizes', () => {
    const draft = createDraft()
    draft.opsets.set('espalier', 1)
    const x = draft.input('x', 'float32', ['batch', 3])
    draft.output(draft.add('MaskedWeight', [x, x], {}, { domain: 'espalier', outputs: ['y'] }), 'float32', ['batch', 3])
    const exported = inlineCustomFunctions(draft.finish())
    expect(exported.graph.nodes.map(({ op, domain }) => domain + op)).toContain('Mul')
    expect(exported.opsets.has('espalier')).toBe(false)
  })

  it('says so when an operator of its domain has no form', () => {
    const draft = createDraft()
    draft.opsets.set('espalier', 1)
    draft.output(draft.add('Unheard', [draft.input('x', 'float32', [1])], {}, { domain: 'espalier' }), 'float32', [1])
    expect(() => lower(draft.finish())).toThrow(UnsupportedError)
  })
})
