import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { differentiate } from '../../../src/autodiff/gradient.ts'
import { inlineCustomFunctions } from '../../../src/autodiff/lower.ts'
import { onnxruntime } from '../../../src/engines/onnxruntime.ts'
import { referenceEngine } from '../../../src/engines/reference.ts'
import { createDraft, type AttributeValue } from '../../../src/ir/draft.ts'
import type { Model } from '../../../src/ir/model.ts'
import { toNumbers } from '../../../src/tensor/elements.ts'
import { float32, type Tensor } from '../../../src/tensor/tensor.ts'

/** A model of one step function, whose thresholds and levels are constants. */
function stepModel(thresholds: Tensor, levels: Tensor, shape: readonly number[]): Model {
  const draft = createDraft()
  draft.opsets.set('espalier', 1)
  const inputs = [
    draft.input('x', 'float32', shape),
    draft.constant('thresholds', thresholds),
    draft.constant('levels', levels),
  ]
  draft.output(draft.add('StepFunction', inputs, {}, { domain: 'espalier', outputs: ['y'] }), 'float32', shape)
  return draft.finish()
}

async function exported(thresholds: Tensor, levels: Tensor, x: Tensor) {
  const model = inlineCustomFunctions(stepModel(thresholds, levels, x.shape))
  const session = await onnxruntime.createSession(model)
  const { y } = await session.run({ x })
  await session.close()
  const ops = model.graph.nodes.map(({ op }) => op).filter((op) => op !== 'Identity')
  return { ops, values: [...toNumbers(y)] }
}

function counted(thresholds: readonly number[], levels: readonly number[], x: readonly number[]): number[] {
  return x.map((value) => levels[thresholds.filter((threshold) => value > threshold).length])
}

describe('the exported step function', () => {
  it('is integer codes where levels are multiples of a step', async () => {
    const step = Math.fround(0.5388)
    const levels = [0, 1, 2, 3].map((i) => Math.fround(i * step))
    const thresholds = [0, 1.5 * step, 2.5 * step].map(Math.fround)
    const x = [-1, 0, 1e-30, thresholds[1], Math.fround(thresholds[1] * 1.0000002), 5, Number.NaN]
    const { ops, values } = await exported(float32(thresholds), float32(levels), float32(x))
    expect(ops.filter((op) => op === 'Greater')).toHaveLength(3)
    expect(ops.slice(-2)).toEqual(['Cast', 'DequantizeLinear'])
    expect(values).toEqual([0, 0, step, step, levels[2], levels[3], 0])
  })

  it('has a zero point where levels go below 0', async () => {
    const { ops, values } = await exported(float32([-0.5, 0.5]), float32([-1, 0, 1]), float32([-2, -0.5, 0, 0.5, 0.6]))
    expect(ops.at(-1)).toBe('DequantizeLinear')
    expect(values).toEqual([-1, -1, 0, 0, 1])
  })

  it('looks other levels up', async () => {
    const { ops, values } = await exported(float32([0, 0.7]), float32([0, 0.3, 1.1]), float32([-2, 0.5, 0.9]))
    expect(ops.at(-1)).toBe('Gather')
    expect(values).toEqual([0, 0.3, 1.1].map(Math.fround))
  })

  it('compares each channel with thresholds of its own', async () => {
    const thresholds = float32([-1, 0, /**/ 0, 2], [2, 2, 1])
    const x = float32([-1, 0, 1, -1, 1, 3], [1, 2, 3])
    const { values } = await exported(thresholds, float32([-1, 0, 1]), x)
    expect(values).toEqual([-1, 0, 1, -1, 0, 1])
  })

  it('computes what the definition says, however many thresholds there are', async () => {
    const number = fc.integer({ min: -40, max: 40 }).map((value) => value / 8)
    const example = fc.record({
      thresholds: fc.uniqueArray(number, { minLength: 1, maxLength: 40 }).map((list) => list.sort((a, b) => a - b)),
      step: fc.constantFrom(1, Math.fround(0.3), 0),
      x: fc.array(number, { minLength: 1, maxLength: 30 }),
    })
    await fc.assert(
      fc.asyncProperty(example, async ({ thresholds, step, x }) => {
        const levels = Array.from({ length: thresholds.length + 1 }, (_, i) =>
          Math.fround(step === 0 ? Math.sqrt(i) : (i - 1) * step),
        )
        const model = stepModel(float32(thresholds), float32(levels), [x.length])
        const expected = counted(thresholds, levels, x)
        const { y } = await (await referenceEngine.createSession(model)).run({ x: float32(x) })
        expect([...toNumbers(y)]).toEqual(expected)
        expect((await exported(float32(thresholds), float32(levels), float32(x))).values).toEqual(expected)
      }),
      { numRuns: 25 },
    )
  })

  it.each([31, 255])('searches %i thresholds by halves', async (count) => {
    const thresholds = Array.from({ length: count }, (_, i) => i)
    const levels = [...thresholds, count]
    const x = Array.from({ length: 2 * count + 4 }, (_, i) => i / 2 - 1)
    const { ops, values } = await exported(float32(thresholds), float32(levels), float32(x))
    expect(ops.filter((op) => op === 'Greater')).toHaveLength(Math.log2(count + 1))
    expect(values).toEqual(counted(thresholds, levels, x))
  })
})

describe('the gradient of the step function', () => {
  const x = [-2, -0.5, 0, 0.25, 1.5, 1.75, 3.5]

  async function gradient(
    attributes: Record<string, AttributeValue>,
    levels = [0, 0.5, 1.5],
    tail?: number,
  ): Promise<number[]> {
    const draft = createDraft()
    draft.opsets.set('espalier', 1)
    const inputs = [
      draft.constant('x', float32(x)),
      draft.constant('t', float32([0, 1])),
      draft.constant('l', float32(levels)),
      ...(tail === undefined ? [] : [draft.constant('tail', float32([tail], []))]),
    ]
    const y = draft.add('StepFunction', inputs, attributes, { domain: 'espalier' })
    const loss = draft.add('ReduceSum', [y], { keepdims: 0 })
    draft.output(loss, 'float32', [])
    const { model, gradients } = differentiate(draft.finish(), { loss, parameters: ['x'] })
    const results = await (await referenceEngine.createSession(model)).run({})
    return [...toNumbers(results[gradients.get('x')!])]
  }

  it('is clipped at the highest level by itself', async () => {
    expect(await gradient({})).toEqual([0, 0, 0, 1, 1, 0, 0])
  })

  it('is that of the ReLU when vanilla', async () => {
    expect(await gradient({ gradient: 'vanilla' })).toEqual([0, 0, 0, 1, 1, 1, 1])
  })

  it('falls off above the highest level when log-tailed', async () => {
    // tau = 1.5 - 1: 1 / (1.75 - 0.5) and 1 / (3.5 - 0.5); with a tail of 2, 2 / 2.25 and 2 / 4.
    const third = Math.fround(1 / 3)
    expect(await gradient({ gradient: 'log-tailed' })).toEqual([0, 0, 0, 1, 1, Math.fround(0.8), third])
    const wide = await gradient({ gradient: 'log-tailed' }, [0, 0.5, 1.5], 2)
    expect(wide).toEqual([0, 0, 0, 1, 1, Math.fround(8 / 9), 0.5])
  })

  it('passes between -1 and 1 as for signs', async () => {
    expect(await gradient({ gradient: 'hard-tanh' }, [-1, 0, 1])).toEqual([0, 1, 1, 1, 0, 0, 0])
  })

  it('is refused under another name', async () => {
    await expect(gradient({ gradient: 'steep' })).rejects.toThrow('none of clipped, vanilla, log-tailed, hard-tanh')
  })
})
