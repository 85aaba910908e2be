/** What the comparison of criteria has measured, kept as data in the repository. */
import { z } from 'zod'
import { DataError } from '../../errors.ts'

const share = z.number().min(0).max(1)

/** One pruned network. */
const prunedSchema = z.strictObject({
  /** The share of the multiply-accumulates that was asked for, and the one that is gone. */
  macs: share,
  removed: share,
  /** On the test data, before any retraining and after. */
  accuracy: share,
  retrained: share.optional(),
})

const entrySchema = z.strictObject({
  criterion: z.string(),
  seed: z.number().int(),
  /** Why the criterion cannot be applied to the network. */
  reason: z.string().optional(),
  /** Spearman's rank correlation with the oracle: over all channels, and the mean over the layers. */
  spearman: z.strictObject({ all: z.number().optional(), layers: z.number().optional() }).optional(),
  pruned: z.array(prunedSchema),
})

const resultsSchema = z.strictObject({
  network: z.string(),
  /** Test accuracy of the network before pruning, by seed. */
  original: z.array(z.strictObject({ seed: z.number().int(), accuracy: share })),
  entries: z.array(entrySchema),
})

export type CriterionEntry = z.infer<typeof entrySchema>
export type CriteriaResults = z.infer<typeof resultsSchema>

/** @throws DataError when the text is no results file. */
export function parseCriteriaResults(text: string, place: string): CriteriaResults {
  try {
    return resultsSchema.parse(JSON.parse(text))
  } catch (cause) {
    throw new DataError('criteria-results', 'the file does not hold results of the comparison of criteria', {
      place,
      hint: 'Delete it and run the comparison again.',
      cause,
    })
  }
}

export function formatCriteriaResults(results: CriteriaResults): string {
  return `${JSON.stringify(results, null, 2)}\n`
}
