/** Where methods measure what layers and channels may lose: examples of the validation data. */
import { z } from 'zod'
import { splitDataset, type Dataset } from '../datasets/dataset.ts'
import { UsageError } from '../errors.ts'
import type { Context } from './method.ts'

/** The options of methods that keep what they take from layers within a loss; each says what for. */
export function maxLossOptions(loss: string, samples: string) {
  return {
    maxLoss: z.number().min(0).max(100).optional().describe(loss),
    maxLossSamples: z.number().int().min(1).max(1_000_000).default(1000).describe(samples),
  }
}

/**
 * Examples of the validation data, chosen by the seed; all where there are no more.
 * @throws UsageError when there are none.
 */
export function trialData(samples: number, { data, seed }: Pick<Context, 'data' | 'seed'>): Dataset {
  const validation = data?.validation
  if (!validation?.size)
    throw new UsageError('no-validation-data', 'the model is to be tried on validation data, and there is none', {
      place: 'data',
      hint: 'Name a data set with data: in the recipe or --data.',
    })
  return splitDataset(validation, Math.min(samples, validation.size), seed)[1]
}
