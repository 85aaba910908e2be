import { describe, expect, it } from 'vitest'
import type { Dataset } from '../../../../../../src/datasets/dataset.ts'
import { onnxruntime } from '../../../../../../src/engines/onnxruntime.ts'
import { channelGroups } from '../../../../../../src/ir/channel-groups.ts'
import { cutChannels } from '../../../../../../src/ir/cut.ts'
import { withMaskTrials } from '../../../../../../src/methods/pruning/filters/family/mask-trials.ts'
import { evaluate } from '../../../../../../src/training/evaluate.ts'
import { patternData } from '../../../../../support/small-data.ts'
import { tinyModels } from '../../../../../support/tiny-models.ts'

const [, cnn] = tinyModels()
const facts = { classes: cnn.classes, inputShape: cnn.inputShape }
const data = {
  train: patternData({ size: 8, seed: 1, ...facts }),
  validation: patternData({ size: 50, seed: 2, ...facts }),
}
const context = { engine: onnxruntime, seed: 3, data }
const groups = channelGroups(cnn.model).filter(({ reason }) => reason === undefined)
const toTry = { model: cnn.model, groups, samples: 10, context }

describe('mask trials', () => {
  it('measure what the cut model does on the same examples', async () => {
    await withMaskTrials({ ...toTry, samples: 20 }, async (trials) => {
      expect(trials.data.size).toBe(20)
      const both = new Map([
        ['conv1', [3]],
        ['conv2', [1, 5]],
      ])
      for (const removals of [new Map(), new Map([['conv1', [0, 2]]]), both]) {
        const found = await trials.measure(removals)
        const cut = await evaluate(cutChannels(cnn.model, removals), trials.data, onnxruntime)
        expect(found.hits).toEqual(cut.hits)
        expect(found.loss).toBeCloseTo(cut.loss, 5)
      }
    })
  })

  it('look at the same examples with the same seed, at others with another, and never at more than there are', async () => {
    const inputs = (seed: number, samples: number) =>
      withMaskTrials({ ...toTry, samples, context: { ...context, seed } }, async ({ data: { size, batch } }) => {
        const { inputs: examples } = await batch(Array.from({ length: size }, (_, i) => i))
        return examples.data
      })
    expect(await inputs(1, 10)).toEqual(await inputs(1, 10))
    expect(await inputs(1, 10)).not.toEqual(await inputs(2, 10))
    expect(await inputs(1, 1000)).toEqual(await inputs(2, 50))
  })

  it('need data', async () => {
    const attempt = withMaskTrials({ ...toTry, context: { engine: onnxruntime, seed: 1 } }, async () => {})
    await expect(attempt).rejects.toMatchObject({ code: 'no-validation-data', name: 'UsageError' })
  })

  it('need the class of each example, and examples of the right shape', async () => {
    const unlabelled: Dataset = {
      ...data.validation,
      batch: async (indices) => ({
        ...(await data.validation.batch(indices)),
        labels: new Int32Array(indices.length).fill(-1),
      }),
    }
    const attempt = (validation: Dataset) =>
      withMaskTrials({ ...toTry, context: { ...context, data: { ...data, validation } } }, ({ measure }) =>
        measure(new Map()),
      )
    await expect(attempt(unlabelled)).rejects.toMatchObject({
      code: 'label-range',
      hint: expect.stringMatching(/class/),
    })
    const wide = patternData({ size: 10, seed: 1, classes: 4, inputShape: [1, 9, 9] })
    await expect(attempt(wide)).rejects.toMatchObject({ code: 'input-shape', place: 'x' })
  })

  it('stop when told to', async () => {
    const controller = new AbortController()
    const attempt = withMaskTrials(
      { ...toTry, context: { ...context, signal: controller.signal } },
      async ({ measure }) => {
        controller.abort()
        return measure(new Map())
      },
    )
    await expect(attempt).rejects.toThrow()
  })
})
