/** The smallest file of a network for MNIST: what the rows of LeNet-300-100 and LeNet-5 have in common. */
import type { Model } from '../ir/model.ts'
import { entropyPenalisedReparameterization } from '../paper.ts'
import { parseRecipe } from '../pipelines/recipe.ts'
import { runRecipe } from '../pipelines/run.ts'
import { evaluate } from '../training/evaluate.ts'
import type { TrainingSettings } from '../training/settings.ts'
import { trainOnMnist } from './ladder.ts'
import { definePaperRow, stagesIn, type PaperRow } from './row.ts'

export interface Smallest {
  readonly name: string
  readonly network: string
  build(options: { readonly seed: number }): Model
  /** Bytes of the parameters in single precision, biases included: the denominator of the ratio. */
  readonly bytes: number
  /** How the dense network is trained before. */
  readonly dense: Partial<TrainingSettings>
  /** Text of the recipe. */
  readonly recipe: string
  /** Names of the methods in it. */
  readonly method: string
  /** The best that is published, which the difference names. */
  readonly published: { readonly ratio: number; readonly error: number }
  /** What we hold ourselves to. */
  readonly atLeast: number
  readonly errorAtMost: number
  /** Whose figures the published ones are, and why ours differ, in full sentences. */
  readonly difference: string
  readonly minutes: number
}

/** Trains the dense network, runs the recipe, and measures the file that comes out. */
export function defineSmallestRow(row: Smallest): PaperRow {
  return definePaperRow({
    name: row.name,
    summary: 'Trains a network and retrains it with the bits of its integer weights as a term of the loss.',
    network: row.network,
    data: 'MNIST, 55,000 images to train, 5,000 for choices, 10,000 to test',
    method: row.method,
    paper: entropyPenalisedReparameterization,
    needs: ['mnist'],
    figures: [
      { name: 'error before', unit: '%' },
      { name: 'error after', unit: '%', published: row.published.error, atMost: row.errorAtMost, headline: true },
      {
        name: 'bytes of the pack',
        unit: 'x',
        published: row.published.ratio,
        atLeast: row.atLeast,
        digits: 0,
        headline: true,
      },
      { name: 'weights kept', unit: 'x', digits: 0 },
      { name: 'storage with indices, by arithmetic', unit: 'x', digits: 0 },
      { name: 'pack', unit: 'bytes', digits: 0 },
    ],
    seeds: [1, 2, 3],
    minutes: row.minutes,
    difference: row.difference,
    async run(environment) {
      const { seed, engine, store, progress, signal } = environment
      const { data, dense } = await trainOnMnist(row.build({ seed }), row.dense, environment)
      const { model, pack, report } = await runRecipe(dense, parseRecipe(row.recipe, { file: row.name }), {
        engine,
        data,
        seed,
        signal,
        progress,
        latency: false,
        store: stagesIn(store),
      })
      const error = async (measured: Model) => 100 * (await evaluate(measured, data.test, engine, { signal })).error
      return {
        'error before': await error(dense),
        'error after': await error(model),
        'bytes of the pack': row.bytes / pack.length,
        'weights kept': report.size.ratios.weights,
        'storage with indices, by arithmetic': report.size.ratios.storage,
        pack: pack.length,
      }
    },
  })
}
