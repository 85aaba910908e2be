import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { differentiate } from '../../../../src/autodiff/gradient.ts'
import { referenceEngine } from '../../../../src/engines/reference.ts'
import { ModelError } from '../../../../src/errors.ts'
import { createDraft } from '../../../../src/ir/draft.ts'
import { convolve, convolveBack, correlate } from '../../../../src/ir/families/convolution.ts'
import { noise } from '../../../../src/ir/families/noise.ts'
import type { TensorType } from '../../../../src/ir/model.ts'
import { operators } from '../../../../src/ir/ops/index.ts'
import { toNumbers } from '../../../../src/tensor/elements.ts'
import { float32 } from '../../../../src/tensor/tensor.ts'
import { sampleNode } from '../../../support/operator-sample.ts'

const dot = (a: Float64Array, b: Float64Array) => a.reduce((sum, value, i) => sum + value * b[i], 0)
const type = (shape: number[]) => ({ dtype: 'float32' as const, shape })

const small = fc.integer({ min: 1, max: 3 })
const geometry = fc.record({
  batch: fc.integer({ min: 1, max: 2 }),
  group: small,
  channels: small,
  filters: small,
  kernel: fc.array(small, { minLength: 1, maxLength: 2 }),
  stride: small,
  dilation: fc.integer({ min: 1, max: 2 }),
  begin: fc.nat(2),
  end: fc.nat(2),
  size: fc.integer({ min: 5, max: 7 }),
})

describe('convolution and its gradients', () => {
  it('are adjoint: <conv(x, w), dy> = <x, back(dy, w)> = <w, correlate(dy, x)>', () => {
    fc.assert(
      fc.property(geometry, ({ batch, group, channels, filters, kernel, stride, dilation, begin, end, size }) => {
        const all = (value: number) => kernel.map(() => value)
        const counts = kernel.map((k) => Math.floor((size + begin + end - (k - 1) * dilation - 1) / stride) + 1)
        const shapes = {
          x: [batch, channels * group, ...all(size)],
          w: [filters * group, channels, ...kernel],
          y: [batch, filters * group, ...counts],
        }
        const windows = { kernel, strides: all(stride), dilations: all(dilation), begin: all(begin), end: all(end) }
        const [x, w, dy] = [noise(1, shapes.x), noise(2, shapes.w), noise(3, shapes.y)].map(toNumbers)
        const forward = dot(convolve(x, w, shapes, windows), dy)
        expect(dot(convolveBack(dy, w, shapes, windows), x)).toBeCloseTo(forward, 8)
        expect(dot(correlate(dy, x, shapes, windows), w)).toBeCloseTo(forward, 8)
      }),
    )
  })
})

describe('Conv', () => {
  const conv = operators.get('Conv')!

  it('slides, multiplies and adds the bias', () => {
    const x = float32([1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 1, 3, 3])
    const w = float32([1, 0, 0, -1], [1, 1, 2, 2])
    const sample = { name: '', inputs: [x, w, float32([10])] }
    const [y] = conv.evaluate!({ node: sampleNode(conv, sample), inputs: sample.inputs })
    expect(y.shape).toEqual([1, 1, 2, 2])
    expect([...toNumbers(y)]).toEqual([6, 6, 6, 6])
  })

  const infer = (x: TensorType, w: TensorType, attributes = {}) =>
    conv.infer({
      node: sampleNode(conv, { name: '', inputs: [float32([]), float32([])], attributes }),
      inputs: [x, w],
      constant: () => undefined,
    })[0]!.shape

  it('keeps a symbolic batch', () => {
    const w: TensorType = { dtype: 'float32', shape: [8, 3, 3, 3] }
    expect(infer({ dtype: 'float32', shape: ['N', 3, 32, 32] }, w, { strides: [2, 2] })).toEqual(['N', 8, 15, 15])
    expect(infer({ dtype: 'float32', shape: ['N', 3, 'H', 'W'] }, w, { pads: [1, 1, 1, 1] })).toEqual([
      'N',
      8,
      'H',
      'W',
    ])
  })

  it('refuses channels that do not fit, and groups that do not divide', () => {
    const x: TensorType = { dtype: 'float32', shape: [1, 4, 8, 8] }
    expect(() => infer(x, { dtype: 'float32', shape: [8, 3, 3, 3] })).toThrow(ModelError)
    expect(() => infer(x, { dtype: 'float32', shape: [5, 2, 3, 3] }, { group: 2 })).toThrow(/5 filters/)
  })

  it('costs a multiply-accumulate for each output, channel of the group and tap', () => {
    const inputs = [
      { dtype: 'float32' as const, shape: [2, 4, 8, 8] },
      { dtype: 'float32' as const, shape: [6, 2, 3, 3] },
    ]
    const node = sampleNode(conv, { name: '', inputs: [float32([]), float32([])], attributes: { group: 2 } })
    const cost = conv.cost({ node, inputs, outputs: [{ dtype: 'float32', shape: [2, 6, 6, 6] }] })
    expect(cost).toEqual({
      macs: 2 * 6 * 36 * 2 * 9,
      bytesRead: 4 * (2 * 4 * 64 + 6 * 2 * 9),
      bytesWritten: 4 * 2 * 6 * 36,
    })
  })

  it('ties whole groups, a depthwise one with its multiplier', () => {
    const node = sampleNode(conv, { name: '', inputs: [float32([]), float32([])], attributes: { group: 3 } })
    const ties = conv.coupling!({
      node,
      inputs: [type([1, 3, 8, 8]), type([6, 1, 3, 3])],
      outputs: [type([1, 6, 6, 6])],
    })
    expect(ties).toEqual([
      {
        ports: [
          { side: 'input', index: 0, axis: 1 },
          { side: 'input', index: 1, axis: 0, repeat: 2 },
          { side: 'output', index: 0, axis: 1, repeat: 2 },
        ],
      },
    ])
  })
})

describe('ConvTranspose', () => {
  it('has a gradient of the shape of x also where output_padding leaves room for more windows', async () => {
    const [x, w, g] = [noise(1, [1, 2, 3]), noise(2, [2, 1, 2]), noise(3, [1, 1, 8])]
    const draft = createDraft()
    draft.input('x', 'float32', x.shape)
    const attributes = { strides: [1], dilations: [3], output_padding: [2] }
    const y = draft.add('ConvTranspose', ['x', draft.constant('w', w)], attributes)
    const product = draft.add('Mul', [y, draft.constant('g', g)])
    draft.output(draft.add('ReduceSum', [product], { keepdims: 0 }, { outputs: ['loss'] }), 'float32', [])
    const { model, gradients } = differentiate(draft.finish(), { loss: 'loss', parameters: ['x'] })
    const session = await referenceEngine.createSession(model)
    const results = await session.run({ x })
    const dx = results[gradients.get('x')!]
    expect(dx.shape).toEqual(x.shape)
    expect(dot(toNumbers(dx), toNumbers(x))).toBeCloseTo(toNumbers(results.loss)[0], 5)
  })
})
