import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../src/engines/onnxruntime.ts'
import { createDraft, type AttributeValue } from '../../../src/ir/draft.ts'
import type { Model } from '../../../src/ir/model.ts'
import type { Context } from '../../../src/methods/method.ts'
import { refitRows, refitWeights } from '../../../src/methods/refit.ts'
import { invertPositive } from '../../../src/tensor/linalg.ts'
import { fromFloat32, toFloat32 } from '../../../src/tensor/half.ts'
import { createRandom } from '../../../src/tensor/random.ts'
import { elementCount } from '../../../src/tensor/tensor.ts'
import { correlatedData, outputError, randomHessian, squaredChange } from '../../support/least-squares.ts'

interface OneLayer {
  readonly op: string
  readonly input: readonly number[]
  readonly weight: readonly number[]
  readonly bias?: number
  readonly attributes?: Record<string, AttributeValue>
}

function oneLayer({ op, input, weight, bias, attributes = {} }: OneLayer): Model {
  const draft = createDraft()
  const random = createRandom(4)
  const normal = (name: string, shape: readonly number[]) =>
    draft.constant(
      name,
      fromFloat32(
        'float32',
        shape,
        Float32Array.from({ length: elementCount(shape) }, () => random.normal()),
      ),
    )
  const x = draft.input('x', 'float32', ['n', ...input])
  const inputs = [x, normal('w', weight), ...(bias === undefined ? [] : [normal('b', [bias])])]
  draft.output(draft.add(op, inputs, attributes, { name: 'layer' }), 'float32')
  return draft.finish()
}

const halfMask = (count: number) => {
  const random = createRandom(9)
  return Float32Array.from({ length: count }, () => (random.uniform() < 0.5 ? 0 : 1))
}

function contextWith(inputShape: readonly number[], skipped: string[] = []): Context {
  const data = correlatedData(inputShape, 64)
  return {
    seed: 1,
    engine: onnxruntime,
    data: { train: data, validation: data },
    skip: (layer, reason) => skipped.push(`${layer}: ${reason}`),
  }
}

describe('the refit of rows', () => {
  it('is the one worked out by hand: of two equal inputs one takes the weight of both', () => {
    // E[x xᵀ] of (a, a, b): nearly, since it has to be positive definite.
    const hessian = Float64Array.of(1, 1, 0, 1, 1 + 1e-9, 0, 0, 0, 1)
    const [row] = refitRows(hessian, 3, [Float64Array.of(2, 3, 4)], [0, 2], 'layer')
    expect(row[0]).toBeCloseTo(5, 12)
    expect(row[1]).toBe(0)
    expect(row[2]).toBe(4)
  })

  it('cannot be bettered, and is the same by the inverse', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 0, max: 1e9 }), (size, seed) => {
        const random = createRandom(seed)
        const hessian = randomHessian(size, seed)
        const row = Float64Array.from({ length: size }, () => random.normal())
        const kept = [...row.keys()].filter(() => random.uniform() < 0.6)
        const [fitted] = refitRows(hessian, size, [row], kept, 'layer')
        const [byInverse] = refitRows(hessian, size, [row], kept, 'layer', invertPositive(hessian, size))
        const best = squaredChange(hessian, row, fitted)
        for (const [k, value] of fitted.entries()) {
          expect(value - byInverse[k]).toBeCloseTo(0, 8)
          if (!kept.includes(k)) expect(value).toBe(0)
          for (const step of [-1e-3, 1e-3]) {
            if (!kept.includes(k)) continue
            const moved = fitted.slice()
            moved[k] += step
            expect(squaredChange(hessian, row, moved)).toBeGreaterThan(best)
          }
        }
      }),
      { numRuns: 50 },
    )
  })

  it('refuses a metric that is none, and names the layer', () => {
    expect(() => refitRows(Float64Array.of(1, 1, 1, 1), 2, [Float64Array.of(1, 2)], [0, 1], 'fc')).toThrowError(
      expect.objectContaining({ code: 'calibration-singular', place: 'fc' }),
    )
  })
})

describe('the refit of a model', () => {
  const cases: OneLayer[] = [
    { op: 'MatMul', input: [12], weight: [12, 5] },
    { op: 'Gemm', input: [12], weight: [5, 12], bias: 5, attributes: { transB: 1 } },
    { op: 'Conv', input: [3, 6, 6], weight: [4, 3, 3, 3], bias: 4, attributes: { pads: [1, 1, 1, 1] } },
    { op: 'Conv', input: [4, 6, 6], weight: [4, 2, 3, 3], attributes: { group: 2 } },
    { op: 'ConvTranspose', input: [6, 3, 3], weight: [6, 4, 1, 1], bias: 4 },
  ]
  it.each(cases)('comes nearer to what $op $weight put out than its mask alone', async (layer) => {
    const model = oneLayer(layer)
    const mask = halfMask(elementCount(layer.weight))
    const context = contextWith(layer.input)
    const refitted = await refitWeights(model, new Map([['w', mask]]), context, { samples: 64, damping: 1e-6 })
    const values = toFloat32(refitted.graph.initializers.get('w')!)
    expect([...values].map((value) => (value === 0 ? 0 : 1))).toEqual([...mask])
    const weight = model.graph.initializers.get('w')!
    const masked = toFloat32(weight).map((value, i) => value * mask[i])
    const initializers = new Map(model.graph.initializers).set('w', fromFloat32('float32', weight.shape, masked))
    const plain: Model = { ...model, graph: { ...model.graph, initializers } }
    const after = await outputError(model, refitted, context)
    expect(after).toBeLessThan(0.95 * (await outputError(model, plain, context)))
    // No other weights on the same places do better, nor another bias.
    for (const [name, tensor] of refitted.graph.initializers) {
      const nudged = toFloat32(tensor).map((value, i) => (value === 0 ? 0 : value + (i % 2 ? 0.02 : -0.02)))
      const moved = new Map(refitted.graph.initializers).set(name, fromFloat32('float32', tensor.shape, nudged))
      const other = { ...refitted, graph: { ...refitted.graph, initializers: moved } }
      expect(await outputError(model, other, context)).toBeGreaterThan(after)
    }
  })

  it('keeps the mean of the outputs where there is a bias', async () => {
    const model = oneLayer({ op: 'Gemm', input: [6], weight: [2, 6], bias: 2, attributes: { transB: 1 } })
    const context = contextWith([6])
    const nothing = new Map([['w', new Float32Array(12)]])
    const refitted = await refitWeights(model, nothing, context, { samples: 64, damping: 0.01 })
    expect([...toFloat32(refitted.graph.initializers.get('w')!)]).toEqual(Array.from({ length: 12 }, () => 0))
    const outputs = async (of: Model) => {
      const session = await onnxruntime.createSession(of)
      const { inputs } = await context.data!.train.batch(Array.from({ length: 64 }, (_, i) => i))
      const values = toFloat32(Object.values(await session.run({ x: inputs }))[0])
      await session.close()
      return [0, 1].map((r) => values.filter((__, i) => i % 2 === r).reduce((sum, value) => sum + value / 64, 0))
    }
    const [before, after] = [await outputs(model), await outputs(refitted)]
    for (const r of [0, 1]) expect(after[r]).toBeCloseTo(before[r], 4)
  })

  it('leaves weights alone that make up for nothing, and zeros zero', async () => {
    const model = oneLayer({ op: 'MatMul', input: [4], weight: [4, 2] })
    const values = Float32Array.of(1, 0, 2, 3, 0, 4, 5, 6)
    const initializers = new Map(model.graph.initializers).set('w', fromFloat32('float32', [4, 2], values))
    const sparse: Model = { ...model, graph: { ...model.graph, initializers } }
    const options = { samples: 64, damping: 0.01 }
    const none = new Map([['w', values.map((value) => (value === 0 ? 0 : 1))]])
    const same = await refitWeights(sparse, none, contextWith([4]), options)
    expect(toFloat32(same.graph.initializers.get('w')!)).toEqual(values)
    const one = new Map([['w', Float32Array.of(0, 1, 1, 1, 1, 1, 1, 1)]])
    const refitted = toFloat32(
      (await refitWeights(sparse, one, contextWith([4]), options)).graph.initializers.get('w')!,
    )
    expect([0, 1, 4].map((i) => refitted[i])).toEqual([0, 0, 0])
    // The second row lost nothing.
    expect([3, 5, 7].map((i) => refitted[i])).toEqual([3, 4, 6])
    expect(refitted[2]).not.toBe(2)
  })

  it('masks and reports a layer whose inputs cannot be measured', async () => {
    const model = oneLayer({ op: 'Conv', input: [300, 3, 3], weight: [2, 300, 3, 3] })
    const mask = halfMask(5400)
    const skipped: string[] = []
    const options = { samples: 8, damping: 0.01 }
    const refitted = await refitWeights(model, new Map([['w', mask]]), contextWith([300, 3, 3], skipped), options)
    const before = toFloat32(model.graph.initializers.get('w')!)
    const after = toFloat32(refitted.graph.initializers.get('w')!)
    for (const [i, value] of after.entries()) expect(value).toBe(mask[i] === 0 ? 0 : before[i])
    expect(skipped).toEqual([expect.stringMatching(/^layer: its weights were not refitted/)])
  })

  it('says what it needs where there is no data, and stops when it is told to', async () => {
    const model = oneLayer({ op: 'MatMul', input: [4], weight: [4, 2] })
    const masks = new Map([['w', halfMask(8)]])
    const { data: _, ...bare } = contextWith([4])
    const options = { samples: 8, damping: 0.01 }
    await expect(refitWeights(model, masks, bare, options)).rejects.toMatchObject({ code: 'no-calibration-data' })
    const signal = AbortSignal.abort(new Error('enough'))
    await expect(refitWeights(model, masks, { ...contextWith([4]), signal }, options)).rejects.toThrow('enough')
  })
})
