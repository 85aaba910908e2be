import type { DataSplits } from '../datasets/dataset.ts'
import type { Model } from '../ir/model.ts'
import { parseRecipe } from '../pipelines/recipe.ts'
import { runRecipe, type RunResult } from '../pipelines/run.ts'
import type { RowEnvironment } from './row.ts'

/**
 * Applies the text of a row's recipe with the data that the row has opened. Stages are kept where the row keeps
 * everything; latency is left out, because a row runs beside others.
 */
export function applyRecipe(
  model: Model,
  row: { readonly name: string; readonly recipe: string },
  data: DataSplits,
  { seed, engine, store, progress, signal }: RowEnvironment,
): Promise<RunResult> {
  return runRecipe(model, parseRecipe(row.recipe, { file: row.name }), {
    engine,
    data,
    seed,
    signal,
    progress,
    latency: false,
    store: {
      load: (name) => store.read(name),
      save: (name, bytes) => store.write(name, bytes),
      remove: (name) => store.remove(name),
    },
  })
}
