import { describe, expect, it } from 'vitest'
import type { Formulation } from '../../../src/autodiff/lower/formulation.ts'
import { formulations } from '../../../src/autodiff/lower/rules.ts'
import { lower, needsLowering } from '../../../src/autodiff/lower.ts'
import { onnxruntime } from '../../../src/engines/onnxruntime.ts'
import { noise } from '../../../src/ir/families/noise.ts'
import type { Model } from '../../../src/ir/model.ts'
import type { Operator, Sample } from '../../../src/ir/operator.ts'
import { operators } from '../../../src/ir/ops/index.ts'
import type { Tensor } from '../../../src/tensor/tensor.ts'
import { formulatedModel } from '../../support/formulations.ts'
import { keyOf, sampleModel, sampleNode } from '../../support/operator-sample.ts'

/** Shapes beyond those of the records' samples: batch, channels, filters, kernel, stride, pads, dilation, groups, image. */
const convolutions: [string, number, number, number, number[], number[], number[], number[], number, number[]][] = [
  ['3x3 same', 2, 16, 16, [3, 3], [1, 1], [1, 1, 1, 1], [1, 1], 1, [6, 5]],
  ['5x5 valid', 3, 1, 4, [5, 5], [1, 1], [0, 0, 0, 0], [1, 1], 1, [8, 8]],
  ['5x5 valid, channels', 2, 20, 7, [5, 5], [1, 1], [0, 0, 0, 0], [1, 1], 1, [7, 9]],
  ['stride 2', 2, 8, 6, [3, 3], [2, 2], [1, 1, 1, 1], [1, 1], 1, [8, 8]],
  ['stride 2 with a rest', 2, 8, 6, [3, 3], [2, 2], [0, 0, 1, 1], [1, 1], 1, [8, 9]],
  ['stride 3, 2x3 kernel', 2, 3, 4, [2, 3], [3, 2], [1, 0, 0, 2], [1, 1], 1, [9, 7]],
  ['dilation', 2, 7, 4, [3, 2], [1, 1], [2, 1, 1, 0], [2, 3], 1, [9, 8]],
  ['1x1', 3, 8, 5, [1, 1], [1, 1], [0, 0, 0, 0], [1, 1], 1, [4, 3]],
  ['1x1 stride 2', 3, 8, 5, [1, 1], [2, 2], [0, 0, 0, 0], [1, 1], 1, [5, 6]],
  ['1x1 groups', 2, 8, 4, [1, 1], [1, 1], [0, 0, 0, 0], [1, 1], 2, [4, 3]],
  ['groups', 2, 8, 6, [3, 3], [1, 1], [1, 1, 1, 1], [1, 1], 2, [5, 5]],
  ['groups, stride 2', 2, 16, 4, [3, 3], [2, 2], [1, 1, 1, 1], [1, 1], 2, [7, 6]],
  ['depthwise', 2, 6, 6, [3, 3], [1, 1], [1, 1, 1, 1], [1, 1], 6, [5, 6]],
  ['depthwise, stride 2', 2, 6, 6, [3, 3], [2, 2], [1, 1, 1, 1], [1, 1], 6, [8, 7]],
  ['depthwise, multiplier', 2, 3, 6, [3, 3], [1, 1], [1, 1, 1, 1], [1, 1], 3, [5, 5]],
  ['one-dimensional', 2, 8, 4, [3], [2], [1, 1], [1], 1, [9]],
  ['three-dimensional', 1, 7, 3, [2, 3, 2], [1, 2, 1], [0, 1, 0, 0, 1, 1], [1, 1, 1], 1, [3, 5, 4]],
]

function convolutionSamples(side: 'x' | 'w'): Sample[] {
  return convolutions.map(([name, batch, channels, filters, kernel, strides, pads, dilations, group, image]) => {
    const rank = kernel.length
    const outputs = image.map((size, axis) =>
      Math.floor(
        (size + pads[axis] + pads[axis + rank] - (kernel[axis] - 1) * dilations[axis] - 1) / strides[axis] + 1,
      ),
    )
    const x = [batch, channels, ...image]
    const w = [filters, channels / group, ...kernel]
    const dy = noise(1, [batch, filters, ...outputs])
    const attributes = { strides, pads, dilations, group, shape: side === 'x' ? x : w }
    return { name, inputs: [dy, noise(2, side === 'x' ? w : x)], attributes }
  })
}

const further: Record<string, Sample[]> = {
  'espalier.ConvGradX': convolutionSamples('x'),
  'espalier.ConvGradW': convolutionSamples('w'),
}

describe.each([...formulations])('%s', (key, entries) => {
  const record = operators.get(key)!
  const samples = [...record.samples, ...(further[key] ?? [])]

  it.each(samples.map((sample) => [sample.name, sample] as const))(
    '%s: every form equals evaluate',
    async (_, sample) => {
      const expected = evaluate(record, sample)
      let applied = 0
      for (const entry of entries)
        for (const backend of ['cpu', 'wasm'] as const) {
          const model = formulatedModel(record, sample, entry, { backend, threads: 1 })
          if (!model) continue
          applied++
          for (const purpose of ['training', 'inference'] as const)
            await compare(model, sample, expected, purpose, entry)
        }
      expect(applied).toBeGreaterThan(0)
    },
  )
})

describe('operators with a body', () => {
  const withBody = [...operators.values()].filter((record) => record.body)

  it.each(withBody.map((record) => [keyOf(record), record] as const))('%s', async (_, record) => {
    for (const sample of record.samples) {
      const model = sampleModel(record, sample, () => true)
      expect(needsLowering(model)).toBe(true)
      const lowered = lower(model)
      expect(needsLowering(lowered)).toBe(false)
      for (const purpose of ['training', 'inference'] as const)
        await compare(lowered, sample, evaluate(record, sample), purpose)
    }
  })
})

describe('every operator of the espalier domain', () => {
  const ours = [...operators.values()].filter(({ domain }) => domain === 'espalier')

  it.each(ours.map((record) => [keyOf(record), record] as const))('%s can be lowered', (_, record) => {
    for (const sample of record.samples)
      for (const backend of ['cpu', 'wasm'] as const)
        expect(
          needsLowering(
            lower(
              sampleModel(record, sample, () => true),
              { backend, threads: 1 },
            ),
          ),
        ).toBe(false)
  })
})

function evaluate(record: Operator, sample: Sample): readonly Tensor[] {
  return record.evaluate!({ node: sampleNode(record, sample), inputs: sample.inputs })
}

async function compare(
  model: Model,
  sample: Sample,
  expected: readonly Tensor[],
  purpose: 'training' | 'inference',
  entry?: Formulation,
): Promise<void> {
  const session = await onnxruntime.createSession(model, { purpose, threads: 1 })
  const feeds = Object.fromEntries(sample.inputs.flatMap((input, i) => (input ? [[`i${i}`, input]] : [])))
  const results = await session.run(feeds)
  await session.close()
  expected.slice(0, sample.outputs ?? 1).forEach((tensor, i) => {
    const place = `${sample.name}, ${entry?.name ?? 'body'}, ${purpose}, output ${i}`
    const result = results[`o${i}`]
    expect(result.shape, place).toEqual(tensor.shape)
    expect(result.dtype, place).toBe(tensor.dtype)
    const tolerance = sample.tolerance ?? 2e-5
    for (let j = 0; j < tensor.data.length; j++) {
      const [a, b] = [Number(result.data[j]), Number(tensor.data[j])]
      if (Math.abs(a - b) > tolerance * Math.max(1, Math.abs(b)))
        expect.fail(`${place}: element ${j} is ${a}, not ${b}`)
    }
  })
}
