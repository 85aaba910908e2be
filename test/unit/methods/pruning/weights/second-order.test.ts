import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../../../src/engines/onnxruntime.ts'
import { createDraft, type AttributeValue } from '../../../../../src/ir/draft.ts'
import type { Model } from '../../../../../src/ir/model.ts'
import { layers } from '../../../../../src/ir/rewrite.ts'
import { inputMoments } from '../../../../../src/methods/calibration.ts'
import type { Context, Method } from '../../../../../src/methods/method.ts'
import { layerWiseSurgeon } from '../../../../../src/methods/pruning/weights/layer-wise-surgeon.ts'
import { magnitude } from '../../../../../src/methods/pruning/weights/magnitude.ts'
import { optimalBrainCompression } from '../../../../../src/methods/pruning/weights/optimal-brain-compression.ts'
import { optimalBrainSurgeon } from '../../../../../src/methods/pruning/weights/optimal-brain-surgeon.ts'
import { sparseGpt } from '../../../../../src/methods/pruning/weights/sparse-gpt.ts'
import { refitRows } from '../../../../../src/methods/refit.ts'
import { rowHessian } from '../../../../../src/methods/row-hessians.ts'
import { fromFloat32, toFloat32 } from '../../../../../src/tensor/half.ts'
import { invertPositive, submatrix } from '../../../../../src/tensor/linalg.ts'
import { createRandom } from '../../../../../src/tensor/random.ts'
import { elementCount } from '../../../../../src/tensor/tensor.ts'
import { correlatedData, outputError, squaredChange } from '../../../../support/least-squares.ts'
import { tinyModels } from '../../../../support/tiny-models.ts'

interface OneLayer {
  readonly op: string
  readonly input: readonly number[]
  readonly weight: readonly number[]
  readonly attributes?: Record<string, AttributeValue>
}

const dense: OneLayer = { op: 'Gemm', input: [24], weight: [6, 24], attributes: { transB: 1 } }
const conv: OneLayer = { op: 'Conv', input: [4, 5, 5], weight: [6, 2, 3, 3], attributes: { group: 2 } }

function oneLayer({ op, input, weight, attributes = {} }: OneLayer): Model {
  const draft = createDraft()
  const random = createRandom(4)
  const values = Float32Array.from({ length: elementCount(weight) }, () => random.normal())
  const x = draft.input('x', 'float32', ['n', ...input])
  const w = draft.constant('w', fromFloat32('float32', weight, values))
  draft.output(draft.add(op, [x, w], attributes, { name: 'layer' }), 'float32')
  return draft.finish()
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

async function prune(method: Method, model: Model, context: Context, given: object): Promise<Model> {
  return method.apply(model, method.options.parse({ retrain: false, ...given }), context)
}

const weightsOf = (model: Model, name = 'w') => toFloat32(model.graph.initializers.get(name)!)
const zerosOf = (values: Float32Array) => values.reduce((sum, value) => sum + (value === 0 ? 1 : 0), 0)

async function hessianOf(model: Model, context: Context, damping: number): Promise<Float64Array> {
  const moments = await inputMoments(model, layers(model), context.data!.train, 64, context)
  return rowHessian(moments.get('w')!, 0, damping)
}

const layerWise: Method[] = [layerWiseSurgeon, optimalBrainCompression, sparseGpt]

describe.each(layerWise)('$name', (method) => {
  it.each([
    ['dense', dense],
    ['convolutional', conv],
  ])(
    'changes the outputs of a %s layer less than magnitude does, and removes just as many weights',
    async (_, layer) => {
      const model = oneLayer(layer)
      const context = contextWith(layer.input)
      const amount = { sparsity: 0.3, samples: 64, damping: 1e-3 }
      const pruned = await prune(method, model, context, amount)
      const plain = await prune(magnitude, model, context, { sparsity: 0.3 })
      expect(zerosOf(weightsOf(pruned))).toBe(zerosOf(weightsOf(plain)))
      expect(await outputError(model, pruned, context)).toBeLessThan(0.9 * (await outputError(model, plain, context)))
    },
  )

  it('gives the same again, and needs more data than weights only without damping', async () => {
    const model = oneLayer(dense)
    const context = contextWith(dense.input)
    const once = await prune(method, model, context, { sparsity: 0.5, samples: 2 })
    expect(weightsOf(once).every(Number.isFinite)).toBe(true)
    expect(zerosOf(weightsOf(once))).toBe(72)
    expect(weightsOf(await prune(method, model, context, { sparsity: 0.5, samples: 2 }))).toEqual(weightsOf(once))
  })

  it('keeps zeros, and counts them', async () => {
    const model = oneLayer(dense)
    const values = weightsOf(model).map((value, i) => (i % 3 === 0 ? 0 : value))
    const initializers = new Map(model.graph.initializers).set('w', fromFloat32('float32', dense.weight, values))
    const sparse: Model = { ...model, graph: { ...model.graph, initializers } }
    const context = contextWith(dense.input)
    for (const [sparsity, count] of [
      [0.5, 72],
      [0.1, 48],
    ]) {
      const after = weightsOf(await prune(method, sparse, context, { sparsity }))
      expect(zerosOf(after)).toBe(count)
      for (let i = 0; i < after.length; i += 3) expect(after[i]).toBe(0)
    }
  })

  it('leaves a layer alone whose inputs it cannot measure, and says so', async () => {
    const draft = createDraft()
    const x = draft.input('x', 'float32', ['n', 6])
    const w = draft.constant(
      'w',
      fromFloat32(
        'float32',
        [24],
        Float32Array.from({ length: 24 }, (_, i) => i + 1),
      ),
    )
    const shape = draft.constant('shape', { dtype: 'int64', shape: [2], data: BigInt64Array.of(6n, 4n) })
    draft.output(draft.add('MatMul', [x, draft.add('Reshape', [w, shape])], {}, { name: 'layer' }), 'float32')
    const model = draft.finish()
    const skipped: string[] = []
    const pruned = await prune(method, model, contextWith([6], skipped), { sparsity: 0.5 })
    expect(weightsOf(pruned)).toEqual(weightsOf(model))
    expect(skipped).toEqual([expect.stringMatching(/^layer: /)])
  })

  it('refuses one budget for all layers, and to work without data', async () => {
    const model = oneLayer(dense)
    const context = contextWith(dense.input)
    const global = prune(method, model, context, { sparsity: 0.5, scope: 'global' })
    await expect(global).rejects.toMatchObject({ code: 'layer-scope-only', place: 'scope' })
    const { data: _, ...bare } = context
    await expect(prune(method, model, bare, {})).rejects.toMatchObject({ code: 'no-calibration-data' })
  })
})

describe.each([optimalBrainCompression, sparseGpt])('$name with N:M', (method: Method) => {
  it('keeps 2 of 4 along the inputs, for less error than magnitude', async () => {
    const model = oneLayer(dense)
    const context = contextWith(dense.input)
    const pruned = await prune(method, model, context, { pattern: '2:4', samples: 64, damping: 1e-3 })
    const plain = await prune(magnitude, model, context, { pattern: '2:4' })
    const values = weightsOf(pruned)
    for (let i = 0; i < values.length; i += 4) expect(zerosOf(values.subarray(i, i + 4))).toBe(2)
    expect(await outputError(model, pruned, context)).toBeLessThan(0.9 * (await outputError(model, plain, context)))
  })
})

describe('layer-wise surgeon', () => {
  it('removes the one weight of the layer that costs least, and makes up for it exactly', async () => {
    const model = oneLayer(dense)
    const context = contextWith(dense.input)
    const damping = 0.01
    const pruned = weightsOf(await prune(layerWiseSurgeon, model, context, { sparsity: 1 / 144, samples: 64, damping }))
    const hessian = await hessianOf(model, context, damping)
    const rows = Array.from({ length: 6 }, (_, r) => Float64Array.from(weightsOf(model).subarray(24 * r, 24 * r + 24)))
    let best: { error: number; place: number; row: Float64Array } = { error: Infinity, place: -1, row: rows[0] }
    for (const [r, row] of rows.entries())
      for (const place of row.keys()) {
        const kept = [...row.keys()].filter((k) => k !== place)
        const [fitted] = refitRows(hessian, 24, [row], kept, 'layer')
        const error = squaredChange(hessian, row, fitted)
        if (error < best.error) best = { error, place: 24 * r + place, row: fitted }
      }
    expect(pruned.indexOf(0)).toBe(best.place)
    const r = Math.floor(best.place / 24)
    for (let k = 0; k < 24; k++) expect(pruned[24 * r + k]).toBeCloseTo(best.row[k], 5)
    const others = (values: Float32Array) => [...values].filter((_, i) => Math.floor(i / 24) !== r)
    expect(others(pruned)).toEqual(others(weightsOf(model)))
  })
})

describe('a refit', () => {
  it('makes up for all removals of the layer-wise surgeon together, and finds nothing to mend in exact ones', async () => {
    const model = oneLayer(dense)
    const context = contextWith(dense.input)
    const given = { sparsity: 0.5, samples: 64, damping: 0.01 }
    const refit = { samples: 64, damping: 0.01 }
    const error = async (method: Method, more: object) =>
      outputError(model, await prune(method, model, context, { ...given, ...more }), context)
    expect(await error(layerWiseSurgeon, { refit })).toBeLessThan(0.9 * (await error(layerWiseSurgeon, {})))
    const exact = await error(optimalBrainCompression, {})
    expect(await error(optimalBrainCompression, { refit })).toBeCloseTo(exact, 5)
  })
})

describe('optimal brain compression', () => {
  it('comes near the best of all subsets of a row', async () => {
    const layer: OneLayer = { op: 'Gemm', input: [10], weight: [1, 10], attributes: { transB: 1 } }
    const model = oneLayer(layer)
    const context = contextWith(layer.input)
    const damping = 1e-3
    const hessian = await hessianOf(model, context, damping)
    const row = Float64Array.from(weightsOf(model))
    const pruned = await prune(optimalBrainCompression, model, context, { sparsity: 0.5, samples: 64, damping })
    const errors: number[] = []
    for (let bits = 0; bits < 2 ** 10; bits++) {
      const kept = [...row.keys()].filter((k) => (bits >> k) & 1)
      if (kept.length === 5) errors.push(squaredChange(hessian, row, refitRows(hessian, 10, [row], kept, 'layer')[0]))
    }
    errors.sort((a, b) => a - b)
    const found = squaredChange(hessian, row, Float64Array.from(weightsOf(pruned)))
    expect(found).toBeGreaterThanOrEqual(errors[0] * (1 - 1e-5))
    // Greedy elimination is not the best, but among the best few of 252.
    expect(found).toBeLessThanOrEqual(errors[12])
  })

  it('takes weights where they cost least: rows whose inputs say nothing lose more', async () => {
    const model = oneLayer(dense)
    const values = weightsOf(model).map((value, i) => (i < 24 ? value / 100 : value))
    const initializers = new Map(model.graph.initializers).set('w', fromFloat32('float32', dense.weight, values))
    const uneven: Model = { ...model, graph: { ...model.graph, initializers } }
    const pruned = await prune(optimalBrainCompression, uneven, contextWith(dense.input), { sparsity: 0.2 })
    expect(zerosOf(weightsOf(pruned).subarray(0, 24))).toBeGreaterThan(20)
  })
})

describe('SparseGPT', () => {
  it('moves the columns behind as the inverse Hessian of these says', async () => {
    const model = oneLayer(dense)
    const context = contextWith(dense.input)
    const damping = 0.01
    const given = { sparsity: 0.5, samples: 64, damping, block: 8 }
    const pruned = weightsOf(await prune(sparseGpt, model, context, given))
    const hessian = await hessianOf(model, context, damping)
    for (let r = 0; r < 6; r++) {
      const row = Float64Array.from(weightsOf(model).subarray(24 * r, 24 * r + 24))
      for (let k = 0; k < 24; k++) {
        if (pruned[24 * r + k] !== 0) {
          expect(row[k]).toBeCloseTo(pruned[24 * r + k], 4)
          continue
        }
        const behind = Array.from({ length: 24 - k }, (_, i) => k + i)
        const inverse = invertPositive(submatrix(hessian, 24, behind), behind.length)!
        const moved = row[k] / inverse[0]
        for (const [i, j] of behind.entries()) row[j] -= moved * inverse[i]
      }
    }
    // Half of each block goes, by rows that may differ.
    for (let start = 0; start < 24; start += 8) {
      const block = pruned.filter((_, i) => i % 24 >= start && i % 24 < start + 8)
      expect(zerosOf(block)).toBe(24)
    }
  })
})

describe('optimal brain surgeon', () => {
  const [mlp] = tinyModels()
  const context = contextWith(mlp.inputShape)

  it('hurts the answers less than magnitude does, in one budget or in one a layer', async () => {
    for (const scope of ['layer', 'global']) {
      const amount = { sparsity: 0.4, scope }
      const pruned = await prune(optimalBrainSurgeon, mlp.model, context, { ...amount, samples: 64 })
      const plain = await prune(magnitude, mlp.model, context, amount)
      expect(await outputError(mlp.model, pruned, context)).toBeLessThan(await outputError(mlp.model, plain, context))
      const zeros = ['fc1.weight', 'fc2.weight'].map((name) => zerosOf(weightsOf(pruned, name)))
      expect(zeros[0] + zeros[1]).toBe(Math.round(0.4 * 128) + Math.round(0.4 * 64))
      if (scope === 'layer') expect(zeros).toEqual([Math.round(0.4 * 128), Math.round(0.4 * 64)])
    }
  })

  it('lets weights of one layer make up for those of another', async () => {
    const only = { include: ['fc1'], sparsity: 0.3, samples: 64 }
    const pruned = await prune(optimalBrainSurgeon, mlp.model, context, only)
    expect(weightsOf(pruned, 'fc2.weight')).toEqual(weightsOf(mlp.model, 'fc2.weight'))
    const both = {
      ...only,
      include: undefined,
      layers: { fc1: { sparsity: 0.3 }, fc2: { sparsity: 0 } },
      sparsity: undefined,
    }
    const moved = weightsOf(await prune(optimalBrainSurgeon, mlp.model, context, both), 'fc2.weight')
    expect(zerosOf(moved)).toBe(0)
    expect(moved).not.toEqual(weightsOf(mlp.model, 'fc2.weight'))
  })

  it('refuses large layers, and says what to do', async () => {
    const large = oneLayer({ op: 'Gemm', input: [100], weight: [50, 100], attributes: { transB: 1 } })
    await expect(prune(optimalBrainSurgeon, large, contextWith([100]), {})).rejects.toMatchObject({
      code: 'surgeon-too-large',
      place: 'layer',
      hint: expect.stringContaining('layer-wise-surgeon'),
    })
  })
})
