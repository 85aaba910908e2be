import { z } from 'zod'
import { DataError } from '../errors.ts'
import type { Figure, PaperRow } from './row.ts'

const resultsSchema = z
  .object({
    row: z.string(),
    runs: z.array(
      z.object({ seed: z.number().int(), seconds: z.number(), values: z.record(z.string(), z.number()) }).strict(),
    ),
  })
  .strict()

/** What the runs of one row gave; kept in the repository as data that a command regenerates. */
export type RowResults = z.infer<typeof resultsSchema>

/** @throws DataError when the text is no results file. */
export function parseResults(text: string, place: string): RowResults {
  try {
    return resultsSchema.parse(JSON.parse(text))
  } catch (cause) {
    throw new DataError('papers-results', 'the file does not hold results of a row', {
      place,
      hint: 'Delete it and run the row again.',
      cause,
    })
  }
}

export function formatResults(results: RowResults): string {
  return `${JSON.stringify(results, null, 2)}\n`
}

/** Mean and sample standard deviation; the deviation of a single run is not known. */
export function spread(values: readonly number[]): { readonly mean: number; readonly deviation: number | undefined } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  if (values.length < 2) return { mean, deviation: undefined }
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  return { mean, deviation: Math.sqrt(squares / (values.length - 1)) }
}

export type Verdict = 'met' | 'missed' | 'not run' | 'no bound'

/** Whether the mean over the seeds keeps the bound of the figure. */
export function judge(figure: Figure, values: readonly number[]): Verdict {
  if (values.length === 0) return 'not run'
  if (figure.atLeast === undefined && figure.atMost === undefined) return 'no bound'
  const digits = 10 ** (figure.digits ?? 2)
  const mean = Math.round(spread(values).mean * digits) / digits
  if (figure.atLeast !== undefined && mean < figure.atLeast) return 'missed'
  if (figure.atMost !== undefined && mean > figure.atMost) return 'missed'
  return 'met'
}

/** The values that the finished runs gave for a figure, in the order of the seeds. */
export function figureValues(row: PaperRow, results: RowResults | undefined, figure: Figure): number[] {
  const runs = results?.runs.filter((run) => row.seeds.includes(run.seed)) ?? []
  return runs.map((run) => run.values[figure.name]).filter((value) => value !== undefined)
}
