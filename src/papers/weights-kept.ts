/** Sparse networks for MNIST: what the rows of methods that leave few weights have in common. */
import type { Model } from '../ir/model.ts'
import type { Paper } from '../paper.ts'
import { evaluate } from '../training/evaluate.ts'
import { applyRecipe } from './apply-recipe.ts'
import { mnistData, trainOnMnist, type MnistRow } from './mnist.ts'
import { definePaperRow, type PaperRow } from './row.ts'

export interface WeightsKept extends MnistRow {
  /** One full sentence: what is done. */
  readonly summary: string
  /** Names of the methods in the recipe. */
  readonly method: string
  readonly paper: Paper
  readonly published: { readonly weights: number; readonly errorBefore?: number; readonly errorAfter?: number }
  /** What we hold ourselves to. */
  readonly atLeast: number
  readonly errorAtMost: number
  /** Why our figure differs from the paper's, in full sentences. */
  readonly difference: string
}

/** Trains the dense network, runs the recipe, and says how few weights are left, counted in three ways. */
export function defineWeightsKeptRow(row: WeightsKept): PaperRow {
  const { published } = row
  return definePaperRow({
    ...row,
    data: mnistData,
    needs: ['mnist'],
    figures: [
      { name: 'error before', unit: '%', published: published.errorBefore },
      { name: 'error after', unit: '%', published: published.errorAfter, atMost: row.errorAtMost, headline: true },
      {
        name: 'weights kept',
        unit: 'x',
        published: published.weights,
        atLeast: row.atLeast,
        digits: 1,
        headline: true,
      },
      { name: 'storage with indices, by arithmetic', unit: 'x', digits: 1 },
      { name: 'bytes of the pack', unit: 'x', digits: 1 },
      { name: 'pack', unit: 'bytes', digits: 0 },
    ],
    seeds: [1, 2, 3],
    async run(environment) {
      const { seed, engine, signal } = environment
      const { data, dense } = await trainOnMnist(row.build({ seed }), row.dense, environment)
      const { model, report } = await applyRecipe(dense, row, data, environment)
      const error = async (measured: Model) => 100 * (await evaluate(measured, data.test, engine, { signal })).error
      const { ratios, packBytes } = report.stages.at(-1)!.size
      return {
        'error before': await error(dense),
        'error after': await error(model),
        'weights kept': ratios.weights,
        'storage with indices, by arithmetic': ratios.storage,
        'bytes of the pack': ratios.bytes,
        pack: packBytes,
      }
    },
  })
}
