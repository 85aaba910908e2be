/** What the comparison of decompositions has measured, kept as data in the repository. */
import { z } from 'zod'
import { DataError } from '../../errors.ts'

const share = z.number().min(0).max(1)

/** A layer in a network of which all convolutions were changed. */
const layerSchema = z.strictObject({
  name: z.string(),
  /** Bits a weight of codes and scales, by arithmetic; absent where the layer was left as it was. */
  bits: z.number().positive().optional(),
  /** ‖ŷ - y‖ / ‖y‖ of the outputs: y those of the network as it was, ŷ those in the changed network. */
  error: z.number().min(0),
})

const entrySchema = z.strictObject({
  variant: z.string(),
  /** Bits a weight that were asked for. */
  bits: z.number().positive(),
  layers: z.array(layerSchema),
  /** Of the changed network, on the test data. */
  accuracy: share,
  /** Bytes of the pack, the graph and what was not changed included. */
  pack: z.number().int().positive(),
})

const resultsSchema = z.strictObject({
  network: z.string(),
  /** Test accuracy of the network as it was. */
  accuracy: share,
  /** Its convolutions. */
  layers: z.array(z.strictObject({ name: z.string(), shape: z.array(z.number().int().positive()) })),
  entries: z.array(entrySchema),
})

export type LayerError = z.infer<typeof layerSchema>
export type DecompositionEntry = z.infer<typeof entrySchema>
export type DecompositionResults = z.infer<typeof resultsSchema>

/** @throws DataError when the text is no results file. */
export function parseDecompositionResults(text: string, place: string): DecompositionResults {
  try {
    return resultsSchema.parse(JSON.parse(text))
  } catch (cause) {
    throw new DataError('decomposition-results', 'the file does not hold results of the comparison of decompositions', {
      place,
      hint: 'Delete it and run the comparison again.',
      cause,
    })
  }
}

export function formatDecompositionResults(results: DecompositionResults): string {
  return `${JSON.stringify(results, null, 2)}\n`
}
