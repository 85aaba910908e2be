import { z } from 'zod'
import { UsageError } from '../errors.ts'
import type { Model } from '../ir/model.ts'
import { identical, type Tensor } from '../tensor/tensor.ts'
import { trainingSettings, type TrainingSettings } from '../training/settings.ts'
import { train, type TrainOptions } from '../training/train.ts'
import type { Context } from './method.ts'
import { withInitializers } from './weights.ts'

type Shape = typeof trainingSettings.shape
type Optionals = { [Key in keyof Shape]: z.ZodOptional<z.ZodType<TrainingSettings[Key]>> }

/** The training settings with nothing filled in, so that what is not said can come from further out. */
export const partialTrainingSettings = z.strictObject(
  Object.fromEntries(
    Object.entries(trainingSettings.shape).map(([key, schema]) => [
      key,
      (schema instanceof z.ZodDefault ? (schema.unwrap() as z.ZodType) : schema).optional(),
    ]),
  ) as unknown as Optionals,
)

/** The option by which a method says how it retrains; left out, it does so with the recipe's settings if there is data. */
export const retrainOption = z
  .union([z.literal(false), partialTrainingSettings])
  .optional()
  .describe('training settings of the retraining, or false for none; default: as the recipe says, where there is data')

export type RetrainOption = z.infer<typeof retrainOption>

/** The option of methods that fix all weights in the end, by which they say how what is left is trained then. */
export const finishOption = z
  .union([z.literal(false), partialTrainingSettings])
  .optional()
  .describe('training settings that differ in the last training, when no weight is free any more, or false for none')

/** Whether a method with this option retrains in this context. @throws UsageError when it is asked to without data. */
export function retrains(option: RetrainOption, context: Context): boolean {
  if (option === false) return false
  if (option && !context.data)
    throw new UsageError('retrain-without-data', 'retraining was asked for, but there is no data to train on', {
      place: 'retrain',
      hint: 'Name a data set with data: in the recipe or --data, or set retrain: false.',
    })
  return context.data !== undefined
}

/**
 * Trains the named initializers and returns all initializers as they are then, running statistics included.
 * @param prepared the graph to train, with masks or codebooks written into it.
 * @param label what the progress display calls it; it also separates the random streams and the checkpoints of several
 * trainings in a method.
 * @param further terms of the loss, and what else the method asks of the training.
 * @throws UsageError when the settings ask for a teacher where the context has no original model.
 */
export async function retrain(
  prepared: Model,
  parameters: readonly string[],
  option: Exclude<RetrainOption, false>,
  context: Context,
  label: string,
  further: Pick<TrainOptions, 'penalties' | 'constraint' | 'memory'> = {},
): Promise<ReadonlyMap<string, Tensor>> {
  const settings = trainingSettings.parse({ ...context.training, ...option })
  const { model: trained } = await train(prepared, {
    data: context.data!.train,
    validation: context.data!.validation,
    settings,
    parameters,
    engine: context.engine,
    seed: seedOf(context.seed, label),
    signal: context.signal,
    ...further,
    ...teacherOf(settings, context),
    ...(context.checkpoints ? { checkpoint: { store: context.checkpoints(label) } } : {}),
    progress: context.progress && ((event) => context.progress!({ ...event, task: `${label}: ${event.task}` })),
  })
  return trained.graph.initializers
}

/** The original as teacher, where the loss asks for one. */
function teacherOf(settings: TrainingSettings, { original }: Context): Pick<TrainOptions, 'teacher'> {
  if (settings.loss !== 'kullback-leibler') return {}
  if (!original)
    throw new UsageError('no-teacher', 'the loss kullback-leibler follows the original model, which is not there', {
      place: 'loss',
      hint: 'Apply the method in a recipe, or give the context an original.',
    })
  return { teacher: { model: original, temperature: settings.temperature, weight: settings.teacherWeight } }
}

/** `model` with each initializer for which `trained` holds one of the same name, type and shape, but other values. */
export function adoptTrained(model: Model, trained: ReadonlyMap<string, Tensor>): Model {
  const changed = new Map<string, Tensor>()
  for (const [name, before] of model.graph.initializers) {
    const after = trained.get(name)
    if (!after || after === before || after.dtype !== before.dtype) continue
    if (after.shape.join() === before.shape.join() && !identical(after, before)) changed.set(name, after)
  }
  return withInitializers(model, changed)
}

function seedOf(seed: number, label: string): number {
  let hash = seed >>> 0
  for (const character of label) hash = Math.imul(hash ^ character.codePointAt(0)!, 0x01000193) >>> 0
  return hash
}
