/** The smallest file of a network for MNIST: what the rows of LeNet-300-100 and LeNet-5 have in common. */
import { entropyPenalisedReparameterization } from '../paper.ts'
import { evaluate } from '../training/evaluate.ts'
import { applyRecipe } from './apply-recipe.ts'
import { mnistData, trainOnMnist, type MnistRow } from './mnist.ts'
import { definePaperRow, type Figure, type PaperRow } from './row.ts'

/** A size that the recipe comes by, and what is known of networks of that size. */
export interface Point {
  /** Behind the names of its figures, where there are several points. */
  readonly suffix?: string
  /** The step after which it is measured, from 0. */
  readonly step: number
  /** The best that is published, which the difference names. */
  readonly published: { readonly ratio: number; readonly error: number }
  /** What we hold ourselves to. */
  readonly atLeast: number
  readonly errorAtMost: number
}

export interface Smallest extends MnistRow {
  /** Bytes of the parameters in single precision, biases included: the denominator of every ratio. */
  readonly bytes: number
  /** Names of the methods in the recipe. */
  readonly method: string
  readonly points: readonly Point[]
  /** Whose figures the published ones are, and why ours differ, in full sentences. */
  readonly difference: string
}

/** Trains the dense network, runs the recipe, and measures the file that comes out. */
export function defineSmallestRow(row: Smallest): PaperRow {
  return definePaperRow({
    name: row.name,
    summary: 'Trains a network and retrains it with the bits of its integer weights as a term of the loss.',
    network: row.network,
    data: mnistData,
    method: row.method,
    paper: entropyPenalisedReparameterization,
    needs: ['mnist'],
    figures: [{ name: 'error before', unit: '%' }, ...row.points.flatMap(figuresOf)],
    seeds: [1, 2, 3],
    minutes: row.minutes,
    difference: row.difference,
    async run(environment) {
      const { seed, engine, signal } = environment
      const { data, dense } = await trainOnMnist(row.build({ seed }), row.dense, environment)
      const { report } = await applyRecipe(dense, row, data, environment)
      const values = row.points.map(({ step, suffix = '' }) => {
        const { size, accuracy } = report.stages[step]
        return {
          [`error after${suffix}`]: 100 * (1 - accuracy!.accuracy),
          [`bytes of the pack${suffix}`]: row.bytes / size.packBytes,
          [`weights kept${suffix}`]: size.ratios.weights,
          [`storage with indices, by arithmetic${suffix}`]: size.ratios.storage,
          [`pack${suffix}`]: size.packBytes,
        }
      })
      const { error } = await evaluate(dense, data.test, engine, { signal })
      return Object.assign({ 'error before': 100 * error }, ...values) as Record<string, number>
    },
  })
}

function figuresOf({ suffix = '', published, atLeast, errorAtMost }: Point): Figure[] {
  return [
    { name: `error after${suffix}`, unit: '%', published: published.error, atMost: errorAtMost, headline: true },
    {
      name: `bytes of the pack${suffix}`,
      unit: 'x',
      published: published.ratio,
      atLeast,
      digits: 0,
      headline: true,
    },
    { name: `weights kept${suffix}`, unit: 'x', digits: 0 },
    { name: `storage with indices, by arithmetic${suffix}`, unit: 'x', digits: 0 },
    { name: `pack${suffix}`, unit: 'bytes', digits: 0 },
  ]
}
