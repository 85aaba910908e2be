import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../../../src/engines/onnxruntime.ts'
import { createDraft, float, type Draft } from '../../../../../src/ir/draft.ts'
import type { Model } from '../../../../../src/ir/model.ts'
import { verify } from '../../../../../src/ir/verify.ts'
import { foldBatchNorm } from '../../../../../src/methods/architecture/fold-batch-norm.ts'
import type { ProofCheck } from '../../../../../src/methods/method.ts'
import { fromNumbers, toNumbers } from '../../../../../src/tensor/elements.ts'
import { toFloat32 } from '../../../../../src/tensor/half.ts'
import { createRandom } from '../../../../../src/tensor/random.ts'
import { elementCount, float32, int64 } from '../../../../../src/tensor/tensor.ts'

const CHANNELS = 3
const random = createRandom(5)
const normal = (shape: readonly number[]) =>
  float32(
    Float32Array.from({ length: elementCount(shape) }, () => random.normal()),
    shape,
  )

interface Case {
  /** Of what is normalized: [N, C, ...]. */
  readonly shape?: readonly number[]
  readonly gain?: readonly number[]
  /** What stands between the normalization and the product. */
  readonly between?: (draft: Draft, value: string) => string
  readonly inputs: number
  /** Writes the product; default: a Gemm with a bias. */
  readonly product?: (draft: Draft, value: string, inputs: number) => string
}

const gemm = (draft: Draft, value: string, inputs: number, attributes: object = { transB: 1 }) =>
  draft.add(
    'Gemm',
    [value, draft.constant('fc.weight', normal([4, inputs])), draft.constant('fc.bias', normal([4]))],
    { ...attributes },
    { name: 'fc' },
  )

const flatten = (draft: Draft, value: string) => draft.add('Flatten', [value], { axis: 1 })

function network({ shape = [2, CHANNELS, 4, 4], gain = [0.7, 1.3, 0], between, inputs, product = gemm }: Case): Model {
  const draft = createDraft()
  const x = draft.input('x', 'float32', ['N', ...shape.slice(1)])
  const norm = draft.add(
    'BatchNormalization',
    [
      x,
      draft.constant('gain', float32([...gain])),
      draft.constant('shift', normal([CHANNELS])),
      draft.constant('mean', normal([CHANNELS])),
      draft.constant('variance', float32([0.5, 2, 1])),
    ],
    { epsilon: float(1e-3) },
    { name: 'norm' },
  )
  draft.output(product(draft, between ? between(draft, norm) : norm, inputs), 'float32', ['N', 4])
  return draft.finish()
}

async function run(model: Model): Promise<Float32Array> {
  const shape = [2, ...(model.graph.inputs[0].type!.shape!.slice(1) as number[])]
  const stream = createRandom(8)
  const x = float32(
    Float32Array.from({ length: elementCount(shape) }, () => stream.normal()),
    shape,
  )
  const session = await onnxruntime.createSession(model)
  try {
    return toFloat32(Object.values(await session.run({ x }))[0])
  } finally {
    await session.close()
  }
}

async function fold(model: Model, options: object = {}) {
  const [skipped, checks]: [string[], ProofCheck[]] = [[], []]
  const folded = await foldBatchNorm.apply(model, foldBatchNorm.options.parse(options), {
    seed: 1,
    engine: onnxruntime,
    skip: (layer, reason) => skipped.push(`${layer}: ${reason}`),
    proved: (check) => checks.push(check),
  })
  expect(verify(folded)).toEqual([])
  return { folded, skipped, checks, ops: folded.graph.nodes.map(({ op }) => op) }
}

const negative = [0.7, -1.3, 0]
const averages = { kernel_shape: [2, 2], strides: [2, 2] }

describe('fold-batch-norm in front of a product', () => {
  it.each<[string, Case, string[]]>([
    ['as it is', { shape: [2, CHANNELS], gain: negative, inputs: CHANNELS }, ['Gemm']],
    ['through a Flatten', { gain: negative, between: flatten, inputs: 48 }, ['Flatten', 'Gemm']],
    [
      'through a Reshape',
      {
        gain: negative,
        between: (draft, value) => draft.add('Reshape', [value, draft.constant('shape', int64([-1, 48]))]),
        inputs: 48,
      },
      ['Reshape', 'Gemm'],
    ],
    [
      'through the average of all places',
      {
        gain: negative,
        between: (draft, value) => flatten(draft, draft.add('GlobalAveragePool', [value])),
        inputs: CHANNELS,
      },
      ['GlobalAveragePool', 'Flatten', 'Gemm'],
    ],
    [
      'through averages that leave padding out',
      {
        gain: negative,
        between: (draft, value) =>
          flatten(draft, draft.add('AveragePool', [value], { ...averages, pads: [1, 1, 1, 1] })),
        inputs: 27,
      },
      ['AveragePool', 'Flatten', 'Gemm'],
    ],
    [
      'through maxima, where all factors rise',
      { between: (draft, value) => flatten(draft, draft.add('MaxPool', [value], averages)), inputs: 12 },
      ['MaxPool', 'Flatten', 'Gemm'],
    ],
    [
      'into a MatMul, whose own addition stays',
      {
        gain: negative,
        between: flatten,
        inputs: 48,
        product: (draft, value, inputs) =>
          draft.add('Add', [
            draft.add('MatMul', [value, draft.constant('fc.weight', normal([inputs, 4]))], {}, { name: 'fc' }),
            draft.constant('fc.bias', normal([4])),
          ]),
      },
      ['Flatten', 'Gemm', 'Add'],
    ],
    [
      'into weights behind a Transpose',
      {
        between: flatten,
        inputs: 48,
        product: (draft, value, inputs) =>
          draft.add(
            'MatMul',
            [value, draft.add('Transpose', [draft.constant('fc.weight', normal([4, inputs]))], { perm: [1, 0] })],
            {},
            { name: 'fc' },
          ),
      },
      ['Transpose', 'Flatten', 'Gemm'],
    ],
  ])('goes into weights and bias %s', async (_, given, expected) => {
    const model = network(given)
    const { folded, skipped, checks, ops } = await fold(model)
    expect(ops.toSorted()).toEqual(expected.toSorted())
    expect(skipped).toEqual([])
    expect(checks).toMatchObject([{ passed: true, detail: expect.stringContaining('1 layers') }])
    const [before, after] = [await run(model), await run(folded)]
    for (const [i, value] of after.entries()) expect(value).toBeCloseTo(before[i], 4)
  })

  it('multiplies each input by the factor of its channel, and adds what is added to all', async () => {
    const model = network({ shape: [2, CHANNELS, 2], between: flatten, inputs: 6 })
    const { folded } = await fold(model)
    const of = (from: Model, name: string) => toNumbers(from.graph.initializers.get(name)!)
    const [gain, shift, mean] = ['gain', 'shift', 'mean'].map((name) => of(model, name))
    const factor = gain.map((value, c) => value / Math.sqrt([0.5, 2, 1][c] + 1e-3))
    const { inputs } = folded.graph.nodes.find(({ op }) => op === 'Gemm')!
    const [weight, changed] = [of(model, 'fc.weight'), of(folded, inputs[1])]
    const added = of(folded, inputs[2])
    for (let o = 0; o < 4; o++) {
      let bias = of(model, 'fc.bias')[o]
      for (let i = 0; i < 6; i++) {
        const c = Math.floor(i / 2)
        expect(changed[o * 6 + i]).toBeCloseTo(weight[o * 6 + i] * factor[c], 5)
        bias += weight[o * 6 + i] * (shift[c] - factor[c] * mean[c])
      }
      expect(added[o]).toBeCloseTo(bias, 5)
    }
  })

  it('takes the normalization behind the product in, too', async () => {
    const model = network({
      between: flatten,
      inputs: 48,
      product: (draft, value, inputs) => {
        const own = ['gain2', 'shift2', 'mean2'].map((name) => draft.constant(name, normal([4])))
        const variance = draft.constant('variance2', float32([1, 2, 3, 4]))
        return draft.add('BatchNormalization', [gemm(draft, value, inputs), ...own, variance])
      },
    })
    const { folded, ops } = await fold(model)
    expect(ops).toEqual(['Flatten', 'Gemm'])
    const [before, after] = [await run(model), await run(folded)]
    for (const [i, value] of after.entries()) expect(value).toBeCloseTo(before[i], 3)
  })

  it.each<[string, Case, RegExp]>([
    [
      'a negative factor and maxima',
      {
        gain: negative,
        between: (draft, value) => flatten(draft, draft.add('MaxPool', [value], averages)),
        inputs: 12,
      },
      /norm: .*a factor is negative, and maxima/,
    ],
    [
      'averages of padding',
      {
        between: (draft, value) =>
          flatten(draft, draft.add('AveragePool', [value], { ...averages, pads: [1, 1, 1, 1], count_include_pad: 1 })),
        inputs: 27,
      },
      /averages count zeros/,
    ],
    [
      'rows that are no examples',
      { between: (draft, value) => draft.add('Flatten', [value], { axis: 2 }), inputs: 16 },
      /not known which inputs/,
    ],
    [
      'codes',
      {
        between: flatten,
        inputs: 48,
        product: (draft, value, inputs) => {
          const codes = fromNumbers(
            'int8',
            [4, inputs],
            Float64Array.from({ length: 4 * inputs }, (_, i) => (i % 7) - 3),
          )
          const scale = draft.constant('fc.scale', float32([0.1], []))
          const weight = draft.add('DequantizeLinear', [draft.constant('fc.codes', codes), scale])
          return draft.add('Gemm', [value, weight], { transB: 1 }, { name: 'fc' })
        },
      },
      /no plain floats/,
    ],
    [
      'a product that is multiplied',
      {
        between: flatten,
        inputs: 48,
        product: (draft, value, inputs) => gemm(draft, value, inputs, { transB: 1, alpha: float(0.5) }),
      },
      /alpha or beta/,
    ],
  ])('stays in front of %s, and says why', async (_, given, reason) => {
    const model = network(given)
    const { folded, skipped } = await fold(model)
    expect(folded).toBe(model)
    expect(skipped).toEqual([expect.stringMatching(reason)])
  })

  it('stays where something else reads it, or its product is excluded', async () => {
    const model = network({ between: flatten, inputs: 48 })
    expect((await fold(model, { exclude: ['fc'] })).folded).toBe(model)
    const draft = createDraft(model)
    draft.output(draft.nodes.find(({ op }) => op === 'Flatten')!.outputs[0], 'float32', ['N', 48])
    const read = draft.finish()
    expect((await fold(read)).folded).toBe(read)
  })
})
