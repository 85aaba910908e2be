import { fingerprint } from '../codecs/fingerprint.ts'
import type { Dataset } from '../datasets/dataset.ts'
import type { Model } from '../ir/model.ts'
import type { TrainingSettings } from '../training/settings.ts'
import { train } from '../training/train.ts'
import type { RowEnvironment } from './row.ts'

/**
 * Trains a network, or takes what another row has trained from the same start in the same way. Where the loss follows a
 * teacher, that is the network as it is at the start.
 */
export async function trainOnce(
  model: Model,
  settings: TrainingSettings,
  data: Dataset,
  { seed, engine, shared, progress, signal }: RowEnvironment,
  task = 'dense',
): Promise<Model> {
  const start = fingerprint([JSON.stringify([settings, data.name, data.size]), ...model.graph.initializers.values()])
  const name = `${task}-${seed}-${start}`
  const store = { read: () => shared.read(name), write: (bytes: Uint8Array) => shared.write(name, bytes) }
  const teacher =
    settings.loss === 'kullback-leibler'
      ? { teacher: { model, temperature: settings.temperature, weight: settings.teacherWeight } }
      : {}
  const options = { data, settings, engine, seed, signal, progress, task, checkpoint: { store }, ...teacher }
  return (await train(model, options)).model
}
