import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { onnxruntime as engine } from '../../../src/engines/onnxruntime.ts'
import { createDraft } from '../../../src/ir/draft.ts'
import { createRandom } from '../../../src/tensor/random.ts'
import { float32 } from '../../../src/tensor/tensor.ts'
import { optimizerOf } from '../../../src/training/optimizers/index.ts'
import { ternaryGradient } from '../../../src/training/optimizers/ternary-gradients.ts'

/** Compresses a gradient of any length, many times a session. */
async function createCompressor() {
  const draft = createDraft()
  const [gradient, noise] = ['g', 'noise'].map((name) => draft.input(name, 'float32', ['n']))
  const literal = (value: number) => draft.constant('literal', float32([value], []))
  const { scaler, signs } = ternaryGradient({ draft, gradient, noise, literal })
  draft.output(scaler, 'float32', [])
  draft.output(signs, 'float32', ['n'])
  const session = await engine.createSession(draft.finish(), { threads: 1 })
  return async (g: readonly number[], by: readonly number[]) => {
    const results = await session.run({ g: float32(g), noise: float32(by) })
    return { scaler: (results[scaler].data as Float32Array)[0], signs: [...(results[signs].data as Float32Array)] }
  }
}

/** The gradient as it is after clipping, by the formula. */
function clippedOf(g: readonly number[]): number[] {
  const bound = 2.5 * Math.sqrt(g.reduce((sum, value) => sum + value * value, 0) / g.length)
  return g.map((value) => Math.sign(value) * Math.min(Math.abs(value), bound))
}

describe('ternary gradients', () => {
  it('send what the noise lies below', async () => {
    const compress = await createCompressor()
    const noise = [0.9, 0.2, 0.3, 0.99, 0]
    expect(await compress([1, -0.25, 0.25, -1, 0], noise)).toEqual({ scaler: 1, signs: [1, -1, 0, -1, 0] })
  })

  it('clip at two and a half deviations', async () => {
    const compress = await createCompressor()
    // The mean square of 24 zeros and a ten is 4: the bound is 5.
    const g = [10, ...Array.from({ length: 24 }, () => 0)]
    const { scaler, signs } = await compress(
      g,
      g.map(() => 0.99),
    )
    expect(scaler).toBe(5)
    expect(signs).toEqual(g.map(Math.sign))
  })

  it('leave one number, and numbers all alike, as they are', async () => {
    const compress = await createCompressor()
    expect(await compress([-3], [0.999])).toEqual({ scaler: 3, signs: [-1] })
    expect(await compress([2, 2, 2], [0.1, 0.5, 0.999])).toEqual({ scaler: 2, signs: [1, 1, 1] })
    expect(await compress([0, 0], [0, 0.5])).toEqual({ scaler: 0, signs: [0, 0] })
  })

  it('have the gradient as their expectation: over evenly spread noise the mean is it', async () => {
    const compress = await createCompressor()
    const levels = 64
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: -1000, max: 1000 }), { minLength: 1, maxLength: 12 }), async (g) => {
        const sum = g.map(() => 0)
        for (let level = 0; level < levels; level++) {
          const { scaler, signs } = await compress(
            g,
            g.map(() => (level + 0.5) / levels),
          )
          signs.forEach((sign, i) => (sum[i] += sign * scaler))
        }
        const clipped = clippedOf(g)
        const largest = Math.max(...clipped.map(Math.abs))
        clipped.forEach((value, i) =>
          expect(Math.abs(sum[i] / levels - value)).toBeLessThanOrEqual(largest * (0.5 / levels + 1e-5)),
        )
      }),
      { numRuns: 20 },
    )
  })

  it('have it as their mean over many draws, too', async () => {
    const compress = await createCompressor()
    const random = createRandom(4)
    const g = [0.9, -0.4, 0.1, 0.05, -0.7]
    const draws = 4000
    const sum = g.map(() => 0)
    for (let draw = 0; draw < draws; draw++) {
      const { scaler, signs } = await compress(
        g,
        g.map(() => random.uniform()),
      )
      signs.forEach((sign, i) => (sum[i] += sign * scaler))
    }
    // The deviation of a mean is at most s / 2 / sqrt(draws), that is 0.0072.
    clippedOf(g).forEach((value, i) => expect(Math.abs(sum[i] / draws - value)).toBeLessThan(0.03))
  })

  it('go around any rule, and keep its slots', () => {
    const settings = { momentum: 0.9, nesterov: false, gradientTernary: true }
    for (const optimizer of ['sgd', 'adam', 'extra-gradient', 'shift-adamax'] as const) {
      const wrapped = optimizerOf({ ...settings, optimizer })
      const plain = optimizerOf({ ...settings, gradientTernary: false, optimizer })
      expect(wrapped.slots(settings, [2, 3])).toEqual(plain.slots(settings, [2, 3]))
      expect(wrapped.paper.arxiv).toBe('1705.07878')
    }
  })
})
