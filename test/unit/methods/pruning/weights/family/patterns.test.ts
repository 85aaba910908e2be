import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../../../../src/engines/onnxruntime.ts'
import type { Model } from '../../../../../../src/ir/model.ts'
import { layers } from '../../../../../../src/ir/rewrite.ts'
import type { Context } from '../../../../../../src/methods/method.ts'
import { magnitude } from '../../../../../../src/methods/pruning/weights/magnitude.ts'
import { parsePattern, patternOption, unitsOf } from '../../../../../../src/methods/pruning/weights/family/patterns.ts'
import { toFloat32 } from '../../../../../../src/tensor/half.ts'
import { float32 } from '../../../../../../src/tensor/tensor.ts'
import { tinyModels } from '../../../../../support/tiny-models.ts'

const [mlp, cnn] = tinyModels()

function context(skipped: string[] = []): Context {
  return { seed: 1, engine: onnxruntime, skip: (layer, reason) => skipped.push(`${layer}: ${reason}`) }
}

const prune = (model: Model, options: object, where = context()) =>
  magnitude.apply(model, magnitude.options.parse(options), where)
const weightsOf = (model: Model, name: string) => [...toFloat32(model.graph.initializers.get(name)!)]

function withWeight(model: Model, name: string, values: number[]): Model {
  const initializers = new Map(model.graph.initializers)
  initializers.set(name, float32(values, initializers.get(name)!.shape))
  return { ...model, graph: { ...model.graph, initializers } }
}

const numbers = (length: number) =>
  fc.array(fc.constantFrom(0, 0.5, -0.5, 1, -2, 3, -4), { minLength: length, maxLength: length })

/** What of `values` may be non-zero when the `keep` largest stay. */
function isBest(values: readonly number[], after: readonly number[], keep: number): boolean {
  const kept = after.flatMap((value, i) => (value === 0 ? [] : [Math.abs(values[i])]))
  const gone = values.flatMap((value, i) => (after[i] === 0 ? [Math.abs(value)] : []))
  return kept.length <= keep && Math.min(...kept, 9) >= Math.max(...gone, 0)
}

describe('the pattern N:M', () => {
  it('leaves at most N of M in a row along the inputs, the largest', async () => {
    await fc.assert(
      fc.asyncProperty(numbers(128), fc.constantFrom([2, 4], [1, 4], [4, 8], [1, 3]), async (values, [keep, of]) => {
        const before = withWeight(mlp.model, 'fc1.weight', values)
        const after = weightsOf(await prune(before, { pattern: `${keep}:${of}`, include: ['fc1'] }), 'fc1.weight')
        for (let row = 0; row < 16; row++)
          for (let start = 0; start < 8; start += of) {
            const [from, to] = [row * 8 + start, row * 8 + Math.min(8, start + of)]
            const stays = Math.ceil((keep * (to - from)) / of)
            expect(isBest(values.slice(from, to), after.slice(from, to), stays)).toBe(true)
          }
      }),
      { numRuns: 30 },
    )
  })

  it('runs along the input channels of a convolution, at each place of the kernel', async () => {
    // conv2 is [8, 4, 3, 3]: one set of 4 for each filter and place.
    const before = weightsOf(cnn.model, 'conv2.weight')
    const after = weightsOf(await prune(cnn.model, { pattern: '2:4', include: ['conv2'] }), 'conv2.weight')
    for (let filter = 0; filter < 8; filter++)
      for (let place = 0; place < 9; place++) {
        const at = Array.from({ length: 4 }, (_, channel) => (filter * 4 + channel) * 9 + place)
        const set = (values: readonly number[]) => at.map((i) => values[i])
        expect(set(after).filter((value) => value !== 0)).toHaveLength(2)
        expect(isBest(set(before), set(after), 2)).toBe(true)
      }
  })

  it('runs along the inputs of a matrix that is not transposed, and keeps the share of a single input', async () => {
    // fc of the CNN is a Gemm with [in 8, out 4]; conv1 has one input channel.
    const result = await prune(cnn.model, { pattern: '2:4' })
    const after = weightsOf(result, 'fc.weight')
    for (let out = 0; out < 4; out++)
      for (const start of [0, 4]) {
        const set = Array.from({ length: 4 }, (_, i) => after[(start + i) * 4 + out])
        expect(set.filter((value) => value !== 0)).toHaveLength(2)
      }
    expect(weightsOf(result, 'conv1.weight')).toEqual(weightsOf(cnn.model, 'conv1.weight'))
  })

  it('says itself how much goes', () => {
    const accepts = (options: object) => magnitude.options.safeParse(options).success
    expect(accepts({ pattern: '2:4' })).toBe(true)
    expect(accepts({ pattern: '2:4', sparsity: 0.5 })).toBe(false)
    expect(accepts({ pattern: '2:4', layers: { fc1: { quality: 1 } } })).toBe(false)
    expect(accepts({ pattern: '2:4', scope: 'global' })).toBe(false)
    expect(accepts({ pattern: 'block 2x2', scope: 'global', sparsity: 0.5 })).toBe(true)
    const options = magnitude.options.parse({ pattern: '2:4' })
    expect(magnitude.strength!(options, 0.3)).toEqual(options)
  })
})

describe('the pattern block', () => {
  it('removes whole blocks, those of the smallest sums', async () => {
    await fc.assert(
      fc.asyncProperty(numbers(128), fc.constantFrom([4, 1], [2, 2], [3, 5]), async (values, [rows, columns]) => {
        const before = withWeight(mlp.model, 'fc1.weight', values)
        const options = { pattern: `block ${rows}x${columns}`, sparsity: 0.5, include: ['fc1'] }
        const after = weightsOf(await prune(before, options), 'fc1.weight')
        const blocks: { sum: number; gone: boolean }[] = []
        for (let row = 0; row < 16; row += rows)
          for (let column = 0; column < 8; column += columns) {
            const places: number[] = []
            for (let r = row; r < Math.min(16, row + rows); r++)
              for (let c = column; c < Math.min(8, column + columns); c++) places.push(r * 8 + c)
            const sum = places.reduce((total, place) => total + Math.abs(values[place]), 0)
            if (sum === 0) continue
            const gone = places.every((place) => after[place] === 0)
            blocks.push({ sum, gone })
            if (!gone) for (const place of places) expect(after[place]).toBe(values[place])
          }
        const sums = (wanted: boolean) => blocks.filter(({ gone }) => gone === wanted).map(({ sum }) => sum)
        expect(Math.max(...sums(true), 0)).toBeLessThanOrEqual(Math.min(...sums(false), Infinity))
      }),
      { numRuns: 30 },
    )
  })

  it('keeps the best block where all were to go, and says so', async () => {
    const skipped: string[] = []
    const options = { pattern: 'block 4x8', quality: 1000, include: ['fc1'] }
    const after = weightsOf(await prune(mlp.model, options, context(skipped)), 'fc1.weight')
    expect(after.filter((value) => value !== 0)).toHaveLength(32)
    expect(skipped).toContain('fc1: all of its weights were to go: the best stays')
  })
})

describe('patterns', () => {
  it('are read from text, and anything else is refused', () => {
    expect(parsePattern('unstructured')).toBeUndefined()
    expect(parsePattern('2:4')).toEqual({ kind: 'n-of-m', keep: 2, of: 4 })
    expect(parsePattern('block 8x4')).toEqual({ kind: 'block', rows: 8, columns: 4 })
    for (const text of ['4:4', '5:4', '0:4', 'block 0x4', 'block4x4', '2:4 ', 'rows'])
      expect(patternOption.safeParse(text).success).toBe(false)
  })

  it('put every weight of every layer into one set', () => {
    for (const { model } of tinyModels())
      for (const layer of layers(model))
        for (const text of ['2:4', '1:3', 'block 2x3']) {
          const units = unitsOf(model, layer, parsePattern(text)!)!
          const sizes = new Uint32Array(units.count)
          for (const unit of units.of) sizes[unit]++
          expect(sizes.every((size) => size > 0)).toBe(true)
          units.keep?.forEach((keep, unit) => expect(keep).toBeLessThanOrEqual(sizes[unit]))
        }
  })

  it('a sparsity that removes a whole layer is refused, by its name', async () => {
    await expect(prune(mlp.model, { layers: { fc2: { sparsity: 1 } } })).rejects.toMatchObject({
      code: 'removes-whole-layer',
      place: 'fc2',
    })
    await expect(prune(mlp.model, { sparsity: 1, scope: 'global' })).rejects.toMatchObject({ place: 'fc1' })
  })
})
