import { describe, expect, it } from 'vitest'
import type { Dataset } from '../../../../src/datasets/dataset.ts'
import { onnxruntime } from '../../../../src/engines/onnxruntime.ts'
import { channelGroups } from '../../../../src/ir/channel-groups.ts'
import { cutChannels } from '../../../../src/ir/cut.ts'
import { createMaskTrials } from '../../../../src/methods/pruning/mask-trials.ts'
import { evaluate } from '../../../../src/training/evaluate.ts'
import { patternData } from '../../../support/small-data.ts'
import { tinyModels } from '../../../support/tiny-models.ts'

const [, cnn] = tinyModels()
const facts = { classes: cnn.classes, inputShape: cnn.inputShape }
const data = {
  train: patternData({ size: 8, seed: 1, ...facts }),
  validation: patternData({ size: 50, seed: 2, ...facts }),
}
const context = { engine: onnxruntime, seed: 3, data }
const ids = channelGroups(cnn.model)
  .filter(({ reason }) => reason === undefined)
  .map(({ id }) => id)

describe('mask trials', () => {
  it('measure what the cut model does on the same examples', async () => {
    const trials = await createMaskTrials(cnn.model, ids, 20, context)
    try {
      expect(trials.data.size).toBe(20)
      for (const removals of [
        new Map(),
        new Map([['conv1', [0, 2]]]),
        new Map([
          ['conv1', [3]],
          ['conv2', [1, 5]],
        ]),
      ]) {
        const found = await trials.measure(removals)
        const cut = await evaluate(cutChannels(cnn.model, removals), trials.data, onnxruntime)
        expect(found.hits).toEqual(cut.hits)
        expect(found.loss).toBeCloseTo(cut.loss, 5)
      }
    } finally {
      await trials.close()
    }
  })

  it('look at the same examples with the same seed, at others with another, and never at more than there are', async () => {
    const labels = async (seed: number, samples: number) => {
      const trials = await createMaskTrials(cnn.model, ids, samples, { ...context, seed })
      await trials.close()
      const { inputs } = await trials.data.batch(Array.from({ length: trials.data.size }, (_, i) => i))
      return inputs.data
    }
    expect(await labels(1, 10)).toEqual(await labels(1, 10))
    expect(await labels(1, 10)).not.toEqual(await labels(2, 10))
    expect(await labels(1, 1000)).toEqual(await labels(2, 50))
  })

  it('need data', async () => {
    const attempt = createMaskTrials(cnn.model, ids, 10, { engine: onnxruntime, seed: 1 })
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
    const attempt = async (validation: Dataset) => {
      const trials = await createMaskTrials(cnn.model, ids, 10, { ...context, data: { ...data, validation } })
      try {
        await trials.measure(new Map())
      } finally {
        await trials.close()
      }
    }
    await expect(attempt(unlabelled)).rejects.toMatchObject({
      code: 'label-range',
      hint: expect.stringMatching(/class/),
    })
    const wide = patternData({ size: 10, seed: 1, classes: 4, inputShape: [1, 9, 9] })
    await expect(attempt(wide)).rejects.toMatchObject({ code: 'input-shape', place: 'x' })
  })

  it('stop when told to', async () => {
    const controller = new AbortController()
    const trials = await createMaskTrials(cnn.model, ids, 10, { ...context, signal: controller.signal })
    controller.abort()
    await expect(trials.measure(new Map())).rejects.toThrow()
    await trials.close()
  })
})
