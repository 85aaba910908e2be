import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { inlineCustomFunctions } from '../../../../../src/autodiff/lower.ts'
import { onnxruntime } from '../../../../../src/engines/onnxruntime.ts'
import { createDraft, float, type Draft } from '../../../../../src/ir/draft.ts'
import type { Model } from '../../../../../src/ir/model.ts'
import { verify } from '../../../../../src/ir/verify.ts'
import { foldBatchNorm } from '../../../../../src/methods/architecture/fold-batch-norm.ts'
import type { ProofCheck } from '../../../../../src/methods/method.ts'
import { fromNumbers, toNumbers } from '../../../../../src/tensor/elements.ts'
import { createRandom } from '../../../../../src/tensor/random.ts'
import { createTensor, float32, int64, type Tensor } from '../../../../../src/tensor/tensor.ts'

interface Norm {
  readonly gain: readonly number[]
  readonly shift: readonly number[]
  readonly mean: readonly number[]
  readonly variance: readonly number[]
}

type Half = 'float16' | 'float32'

function addNorm(draft: Draft, x: string, norm: Norm, dtype: Half = 'float32'): string {
  const channels = norm.gain.length
  const constants = [norm.gain, norm.shift, norm.mean, norm.variance].map((values, i) =>
    draft.constant(`bn.${i}`, fromNumbers(dtype, [channels], values)),
  )
  return draft.add('BatchNormalization', [x, ...constants], { epsilon: float(0) }, { name: 'bn' })
}

/** x, normalization, what `between` adds, and the standard form of a sign. */
function signNetwork(
  norm: Norm,
  shape: readonly number[],
  options: { dtype?: Half; between?: (draft: Draft, value: string) => string; op?: string } = {},
): Model {
  const { dtype = 'float32', between = (_draft, value) => value, op = 'GreaterOrEqual' } = options
  const draft = createDraft()
  const x = draft.input('x', dtype, ['N', ...shape])
  const value = between(draft, addNorm(draft, x, norm, dtype))
  const literal = (number: number) => draft.constant('literal', fromNumbers(dtype, [], [number]))
  const [zero, one, minusOne] = [0, 1, -1].map(literal)
  draft.output(draft.add('Where', [draft.add(op, [value, zero]), one, minusOne], {}, { name: 'sign' }), dtype)
  return draft.finish()
}

async function fold(model: Model) {
  const skipped: string[] = []
  const checks: ProofCheck[] = []
  const folded = await foldBatchNorm.apply(model, foldBatchNorm.options.parse({}), {
    seed: 4,
    engine: onnxruntime,
    skip: (layer, reason) => skipped.push(`${layer}: ${reason}`),
    proved: (check) => checks.push(check),
  })
  expect(verify(folded)).toEqual([])
  return { folded, skipped, checks, ops: folded.graph.nodes.map(({ op }) => op) }
}

async function run(model: Model, x: Tensor): Promise<number[]> {
  const session = await onnxruntime.createSession(model)
  const outputs = await session.run({ x })
  await session.close()
  return [...toNumbers(Object.values(outputs)[0])]
}

/** 3 is where the sign changes in channels 0 and 1; channels 2 and 3 are constant. */
const exact: Norm = { gain: [2, -2, 0, 0], shift: [-2, 2, 0, -1], mean: [2, 2, 0, 0], variance: [4, 4, 1, 1] }

describe('fold-batch-norm in front of a sign', () => {
  it('compares with a threshold a channel, at it and on both sides of it', async () => {
    const { folded, ops, checks, skipped } = await fold(signNetwork(exact, [4]))
    expect(ops).not.toContain('BatchNormalization')
    expect(skipped).toEqual([])
    expect(checks).toMatchObject([{ passed: true }])
    // (x - 2) - 2 >= 0 from 4 on; -(x - 2) + 2 >= 0 up to 4; 0 >= 0; -1 >= 0.
    const above = 4 + 2 ** -21
    const x = float32([3.9, 3.9, 9, 9, 4, 4, -9, -9, above, above, 0, 0], [3, 4])
    expect(await run(folded, x)).toEqual([-1, 1, 1, -1, 1, 1, 1, -1, 1, -1, 1, -1])
  })

  it('keeps a strict comparison strict', async () => {
    const { folded } = await fold(signNetwork(exact, [4], { op: 'Greater' }))
    const above = 4 + 2 ** -21
    const below = 4 - 2 ** -22
    const x = float32([below, below, 9, 9, 4, 4, -9, -9, above, above, 0, 0], [3, 4])
    expect(await run(folded, x)).toEqual([-1, 1, -1, -1, -1, -1, -1, -1, 1, -1, -1, -1])
  })

  it.each(['float32', 'float16'] as const)('decides as exact arithmetic does, in %s', async (dtype) => {
    const step = dtype === 'float32' ? 2 ** -20 : 2 ** -9
    const channel = fc.record({
      gain: fc.constantFrom(-3, -1, -0.1, 0, 1e-3, 0.7, 2),
      shift: fc.double({ min: -2, max: 2, noNaN: true }),
      mean: fc.double({ min: -4, max: 4, noNaN: true }),
      variance: fc.double({ min: 0.1, max: 5, noNaN: true }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(channel, { minLength: 3, maxLength: 3 }), async (channels) => {
        const stored = (key: keyof (typeof channels)[number]) => [
          ...toNumbers(
            fromNumbers(
              dtype,
              [3],
              channels.map((one) => one[key]),
            ),
          ),
        ]
        const norm = {
          gain: stored('gain'),
          shift: stored('shift'),
          mean: stored('mean'),
          variance: stored('variance'),
        }
        const taus = norm.gain.map((g, c) => norm.mean[c] - (norm.shift[c] * Math.sqrt(norm.variance[c])) / (g || 1))
        const near = Array.from({ length: 9 * 3 }, (_, i) => taus[i % 3] * (1 + (Math.floor(i / 3) - 4) * step))
        const x = fromNumbers(dtype, [9, 3], near)
        const expected = [...toNumbers(x)].map((value, i) => {
          const c = i % 3
          // Multiplied by the deviation, which is positive: no division that rounds.
          const z = norm.gain[c] * (value - norm.mean[c]) + norm.shift[c] * Math.sqrt(norm.variance[c])
          return Math.abs(z) < 1e-12 ? 0 : z >= 0 ? 1 : -1
        })
        const { folded, ops } = await fold(signNetwork(norm, [3], { dtype }))
        expect(ops).not.toContain('BatchNormalization')
        const found = await run(folded, x)
        for (const [i, sign] of expected.entries()) if (sign !== 0) expect(found[i], `${i}`).toBe(sign)
      }),
      { numRuns: 25 },
    )
  })

  it('stays finite where a threshold is beyond the numbers of the type', async () => {
    const norm = { gain: [1e-30, -1e-30], shift: [1e15, 1e15], mean: [0, 0], variance: [1, 1] }
    const { folded } = await fold(signNetwork(norm, [2]))
    for (const tensor of folded.graph.initializers.values())
      expect([...toNumbers(tensor)].every(Number.isFinite)).toBe(true)
    expect(await run(folded, float32([-1e20, 1e20], [1, 2]))).toEqual([1, 1])
  })

  const pool = (draft: Draft, value: string) =>
    draft.add('MaxPool', [value], { kernel_shape: [2, 2] }, { name: 'pool' })

  it('goes through maxima where all factors are positive or zero', async () => {
    const norm = { gain: [1.3, 0, 0.2], shift: [0.4, -1, 0.1], mean: [0.1, 0, -0.2], variance: [1, 1, 2] }
    const model = signNetwork(norm, [3, 6, 6], { between: pool })
    const { folded, ops, checks } = await fold(model)
    expect(ops).not.toContain('BatchNormalization')
    expect(ops).toContain('MaxPool')
    expect(checks).toMatchObject([{ passed: true }])
    const random = createRandom(2)
    const x = float32(
      Float32Array.from({ length: 4 * 3 * 36 }, () => random.normal()),
      [4, 3, 6, 6],
    )
    expect(await run(folded, x)).toEqual(await run(model, x))
  })

  it('moves the answers instead of the values', async () => {
    const norm = { gain: [1.3, -0.6, 0.2], shift: [0.4, -1, 0.1], mean: [0.1, 0, -0.2], variance: [1, 1, 2] }
    for (const between of [
      (draft: Draft, value: string) => draft.add('Flatten', [value], {}, { name: 'flat' }),
      (draft: Draft, value: string) =>
        draft.add('Flatten', [draft.add('Reshape', [value, draft.constant('shape', int64([-1, 6, 18]))])]),
    ]) {
      const model = signNetwork(norm, [3, 6, 6], { between })
      const { folded, ops, checks } = await fold(model)
      expect(ops).not.toContain('BatchNormalization')
      expect(ops).toContain('Flatten')
      expect(checks).toMatchObject([{ passed: true }])
      expect(toNumbers([...folded.graph.initializers].find(([name]) => name.endsWith('threshold'))![1])).toHaveLength(3)
      const random = createRandom(2)
      const x = float32(
        Float32Array.from({ length: 4 * 3 * 36 }, () => random.normal()),
        [4, 3, 6, 6],
      )
      expect(await run(folded, x)).toEqual(await run(model, x))
    }
    const rising = { ...norm, gain: [1.3, 0.6, 0.2] }
    const both = signNetwork(rising, [3, 6, 6], {
      between: (draft, value) => draft.add('Flatten', [pool(draft, value)]),
    })
    expect((await fold(both)).ops).not.toContain('BatchNormalization')
  })

  it('stays in front of maxima where a factor is negative, and says why', async () => {
    const norm = { gain: [1, -1], shift: [0, 0], mean: [0, 0], variance: [1, 1] }
    const model = signNetwork(norm, [2, 6, 6], { between: pool })
    const { folded, skipped } = await fold(model)
    expect(folded).toBe(model)
    expect(skipped).toEqual([
      'bn: its normalization stays: a factor is negative, and maxima are taken before the comparison',
    ])
  })

  it('stays where something else reads it, or the statistics are not finite', async () => {
    const draft = createDraft(signNetwork(exact, [4]))
    draft.output(draft.add('Relu', [draft.nodes.find(({ op }) => op === 'BatchNormalization')!.outputs[0]]), 'float32')
    expect((await fold(draft.finish())).skipped).toEqual(['bn: its normalization stays: not only comparisons read it'])
    const broken = { ...exact, variance: [Number.NaN, 1, 1, 1] }
    expect((await fold(signNetwork(broken, [4]))).skipped).toEqual([
      'bn: its normalization stays: its normalization is computed, not finite, or in training mode',
    ])
    const plain = createDraft()
    plain.output(plain.add('Relu', [addNorm(plain, plain.input('x', 'float32', ['N', 4]), exact)]), 'float32')
    expect((await fold(plain.finish())).skipped).toEqual([
      'bn: its normalization stays: no convolution or product is in front of it, and neither a comparison nor a product behind',
    ])
  })
})

describe('fold-batch-norm in front of a step function', () => {
  it.each([
    ['levels on a grid', [0, 0.5, 1, 1.5]],
    ['levels of a codebook', [0, 0.3, 1, 1.9]],
    ['one threshold', [-1, 1]],
  ])('moves every threshold, a channel at a time: %s', async (_, levels) => {
    const draft = createDraft()
    const norm = { gain: [1.5, -0.8, 0], shift: [0.3, 0.4, 0.7], mean: [0.2, -0.1, 0], variance: [2, 0.5, 1] }
    const value = addNorm(draft, draft.input('x', 'float32', ['N', 3, 4, 4]), norm)
    const thresholds = levels.slice(1).map((level, i) => (level + levels[i]) / 2)
    const constants = [thresholds, levels].map((numbers) => draft.constant('levels', float32(numbers)))
    draft.output(draft.add('espalier.StepFunction', [value, ...constants]), 'float32', ['N', 3, 4, 4])
    const model = inlineCustomFunctions(draft.finish())
    const { folded, ops, checks } = await fold(model)
    expect(ops).not.toContain('BatchNormalization')
    expect(checks).toMatchObject([{ passed: true }])
    const random = createRandom(3)
    const x = createTensor(
      'float32',
      [5, 3, 4, 4],
      Float32Array.from({ length: 240 }, () => 2 * random.normal()),
    )
    const found = await run(folded, x)
    expect(found).toEqual(await run(model, x))
    expect(new Set(found).size).toBe(levels.length)
  })
})
