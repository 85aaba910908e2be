/** What the rows have in common that train a network on MNIST and apply a recipe to it. */
import type { DataSplits } from '../datasets/dataset.ts'
import { openData } from '../datasets/open.ts'
import type { Model } from '../ir/model.ts'
import { trainingSettings, type TrainingSettings } from '../training/settings.ts'
import { trainOnce } from './train-once.ts'
import type { RowEnvironment } from './row.ts'

export interface MnistRow {
  readonly name: string
  readonly network: string
  build(options: { readonly seed: number }): Model
  /** How the dense network is trained before. */
  readonly dense: Partial<TrainingSettings>
  /** Text of the recipe. */
  readonly recipe: string
  readonly minutes: number
}

/** The data of such a row, for its record. */
export const mnistData = 'MNIST, 55,000 images to train, 5,000 for choices, 10,000 to test'

/** Trains the dense network that a row starts from; rows that start from the same share it. */
export async function trainOnMnist(
  model: Model,
  settings: Partial<TrainingSettings>,
  environment: RowEnvironment,
): Promise<{ readonly data: DataSplits; readonly dense: Model }> {
  const { seed, path } = environment
  const data = await openData(`mnist:${path('mnist')}`, { seed })
  return { data, dense: await trainOnce(model, trainingSettings.parse(settings), data.train, environment) }
}
