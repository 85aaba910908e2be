import type { Engine } from '../engines/engine.ts'
import type { Paper } from '../paper.ts'
import type { ProgressListener } from '../progress.ts'

/** One number that a paper states and that a run measures. */
export interface Figure {
  readonly name: string
  /** Behind the number: 'x', '%', 'points', 'bytes', 'images'. */
  readonly unit: string
  /** What the paper says; absent where nobody published it. */
  readonly published?: number
  /** What we hold ourselves to, on the mean over the seeds. */
  readonly atLeast?: number
  readonly atMost?: number
  /** Digits behind the point; default 2. */
  readonly digits?: number
  /** Whether the figure also stands in the table of the README. */
  readonly headline?: boolean
}

/** A table on the page in the place of a list of figures. */
export interface FigureTable {
  /** What the entries are. */
  readonly head: string
  readonly entries: readonly string[]
  readonly columns: readonly string[]
}

/** The name of the figure of an entry and a column. */
export function figureOf(entry: string, column: string): string {
  return `${entry}: ${column}`
}

/** Keeps what a long run has done so far, so that it goes on after a kill. */
export interface RowStore {
  read(name: string): Promise<Uint8Array | undefined>
  write(name: string, bytes: Uint8Array): Promise<void>
  /** Forgets what has this name, if anything has. */
  remove(name: string): Promise<void>
}

export interface RowEnvironment {
  readonly seed: number
  readonly engine: Engine
  /** The absolute path of a file or folder of the shared data. */
  path(name: string): string
  readonly store: RowStore
  /** Keeps what several rows have in common, such as a trained network, until somebody deletes the cache. */
  readonly shared: RowStore
  readonly progress?: ProgressListener
  readonly signal?: AbortSignal
}

/** A row of the table "paper, ours, why they differ": one experiment, run once a seed. */
export interface PaperRow {
  readonly name: string
  /** One full sentence: what is done. */
  readonly summary: string
  readonly network: string
  readonly data: string
  readonly method: string
  readonly paper?: Paper
  /** Files below the shared data folder; the row is skipped, and says so, when one is absent. */
  readonly needs: readonly string[]
  readonly figures: readonly Figure[]
  /** Present where the figures fill a table, one for each entry and column: `figureOf` names them. */
  readonly table?: FigureTable
  readonly seeds: readonly number[]
  /** About how long one seed takes on two cores. */
  readonly minutes: number
  /** Why our figure differs from the paper's, in full sentences. */
  readonly difference: string
  /** @returns one value for every figure. */
  run(environment: RowEnvironment): Promise<Readonly<Record<string, number>>>
}

/** Freezes a row after checking that its figures have different names. */
export function definePaperRow(row: PaperRow): PaperRow {
  if (new Set(row.figures.map((figure) => figure.name)).size !== row.figures.length)
    throw new Error(`the figures of ${row.name} must have different names`)
  return Object.freeze(row)
}
