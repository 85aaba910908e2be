import { describe, expect, it } from 'vitest'
import { differentiate } from '../../../src/autodiff/gradient.ts'
import { inlineCustomFunctions } from '../../../src/autodiff/lower.ts'
import { onnxruntime } from '../../../src/engines/onnxruntime.ts'
import { referenceEngine } from '../../../src/engines/reference.ts'
import { createDraft, float, type AttributeValue } from '../../../src/ir/draft.ts'
import { toNumbers } from '../../../src/tensor/elements.ts'
import { float32, type Tensor } from '../../../src/tensor/tensor.ts'

/** Gradients of sum(weights · quantized) by x and by the step. */
async function gradients(x: Tensor, step: Tensor, weights: Tensor, attributes: Record<string, AttributeValue>) {
  const draft = createDraft()
  draft.opsets.set('espalier', 1)
  const inputs = [draft.constant('x', x), draft.constant('step', step)]
  const y = draft.add('LearnedStepQuantize', inputs, attributes, { domain: 'espalier' })
  const loss = draft.add('ReduceSum', [draft.add('Mul', [y, draft.constant('weights', weights)])], { keepdims: 0 })
  draft.output(loss, 'float32', [])
  const { model, gradients: names } = differentiate(draft.finish(), { loss, parameters: ['x', 'step'] })
  const results = await (await referenceEngine.createSession(model)).run({})
  const [ofX, ofStep] = ['x', 'step'].map((name) => results[names.get(name)!])
  return { ofX: [...toNumbers(ofX)], ofStep: [...toNumbers(ofStep)], stepShape: ofStep.shape }
}

describe('the gradient of a learned step', () => {
  it('is the rounding error inside and the bound outside, and stops for x outside', async () => {
    const x = float32([-1, 0.3, 0.8, 5])
    const weights = float32([1, 10, 100, 1000])
    const { ofX, ofStep, stepShape } = await gradients(x, float32([0.5], []), weights, { low: 0, high: 3 })
    expect(ofX).toEqual([0, 10, 100, 0])
    // x / step is -2, 0.6, 1.6 and 10: -Q_N = 0; 1 - 0.6; 2 - 1.6; Q_P = 3.
    expect(ofStep[0]).toBeCloseTo(0 + 10 * 0.4 + 100 * 0.4 + 1000 * 3, 2)
    expect(stepShape).toEqual([])
  })

  it('is scaled, and summed for each step alone', async () => {
    const x = float32([0.3, -9, 0.6, 9], [2, 2])
    const attributes = { low: -2, high: 1, gradient_scale: float(0.5) }
    const { ofX, ofStep } = await gradients(x, float32([1, 2], [2, 1]), float32([1, 1, 1, 1], [2, 2]), attributes)
    expect(ofX).toEqual([1, 0, 1, 0])
    expect(ofStep[0]).toBeCloseTo(0.5 * (-0.3 - 2), 6)
    expect(ofStep[1]).toBeCloseTo(0.5 * (-0.3 + 1), 6)
  })
})

describe('the exported learned step', () => {
  it.each([
    { low: 0, high: 3, ops: ['Mul', 'Mul', 'Clip', 'QuantizeLinear', 'DequantizeLinear'] },
    { low: -2, high: 1, ops: ['Mul', 'Mul', 'Clip', 'QuantizeLinear', 'DequantizeLinear'] },
    { low: 0, high: 255, ops: ['QuantizeLinear', 'DequantizeLinear'] },
    { low: -128, high: 127, ops: ['QuantizeLinear', 'DequantizeLinear'] },
  ])('has integer codes from $low to $high', async ({ low, high, ops }) => {
    const step = Math.fround(0.3)
    const x = Float32Array.from({ length: 601 }, (_, i) => (i - 300) / 3)
    const draft = createDraft()
    draft.opsets.set('espalier', 1)
    const inputs = [draft.input('x', 'float32', [601]), draft.constant('step', float32([step], []))]
    const y = draft.add('LearnedStepQuantize', inputs, { low, high }, { domain: 'espalier' })
    draft.output(y, 'float32', [601])
    const model = inlineCustomFunctions(draft.finish())
    expect(model.graph.nodes.map(({ op }) => op).filter((op) => op !== 'Identity')).toEqual(ops)
    const session = await onnxruntime.createSession(model)
    const values = toNumbers((await session.run({ x: float32(x) }))[session.outputs[0]])
    await session.close()
    for (const [i, value] of values.entries()) {
      const code = Math.round(value / step)
      expect(value).toBe(Math.fround(code * step))
      expect(code).toBeGreaterThanOrEqual(low)
      expect(code).toBeLessThanOrEqual(high)
      if (x[i] >= low * step && x[i] <= high * step) expect(Math.abs(value - x[i])).toBeLessThanOrEqual(step * 0.5001)
      else expect(code).toBe(x[i] > 0 ? high : low)
    }
  })
})
