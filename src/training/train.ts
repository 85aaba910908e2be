/** Trains a model: the loop over epochs and steps around the step graph. */
import { fingerprint } from '../codecs/fingerprint.ts'
import { NO_TRAINING_EXAMPLES, type Dataset } from '../datasets/dataset.ts'
import type { Engine } from '../engines/engine.ts'
import { DataError, UsageError } from '../errors.ts'
import type { Model } from '../ir/model.ts'
import { toFloat32Model, withNarrowedInitializers } from '../ir/precision.ts'
import type { ProgressListener } from '../progress.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { OVERFLOWS } from './arithmetic/flexpoint.ts'
import { checkShiftNormalization, withPowersOfTwo } from './arithmetic/shift-normalization.ts'
import { epochOrder, readBatches, type StepBatches } from './batches.ts'
import { readCheckpoint, writeCheckpoint, type Checkpoint, type CheckpointStore } from './checkpoint.ts'
import { createLossWatch, diverged } from './divergence.ts'
import { aborted, evaluateWith } from './evaluate.ts'
import type { Constraint, Memory, Penalty } from './extensions.ts'
import { isBetter, type EpochRecord } from './history.ts'
import { losses } from './losses/index.ts'
import { trainableParameters } from './parameters.ts'
import { chunkAfter, planTraining, type Chunk, type TrainingPlan } from './plan.ts'
import { createPredictor, type Predictor } from './predictor.ts'
import { createReporter } from './reporter.ts'
import { createStepRunner } from './runner.ts'
import { learningRateAt } from './schedules.ts'
import type { TrainingSettings } from './settings.ts'
import { buildStep, type TrainingStep } from './step.ts'
import { createTeacher, type Teacher, type TeacherOptions } from './teacher.ts'
import { batchElements, chooseStepsPerRun, estimateStepMs } from './work.ts'

export interface TrainOptions {
  readonly data: Dataset
  /** Examples for choices: measured after each epoch. */
  readonly validation?: Dataset
  readonly settings: TrainingSettings
  /** Names of the float32 initializers that are trained; default `trainableParameters(model)`, memories left out. */
  readonly parameters?: readonly string[]
  readonly engine: Engine
  /** Of the order of the examples, augmentation, dropout and noise. */
  readonly seed: number
  readonly signal?: AbortSignal
  readonly progress?: ProgressListener
  /** What progress events call the work; default 'train'. */
  readonly task?: string
  /** Where to keep what a killed run needs to go on, and how often to write it; default every 60 seconds. */
  readonly checkpoint?: { readonly store: CheckpointStore; readonly everySeconds?: number }
  /** A model whose outputs the loss 'kullback-leibler' follows. */
  readonly teacher?: TeacherOptions
  /** Further terms of the loss. */
  readonly penalties?: readonly Penalty[]
  /** Post-processing of parameters after each update. */
  readonly constraint?: Constraint
  /** Initializers that are rewritten after each update, by rules instead of gradients. */
  readonly memory?: readonly Memory[]
  /** The output that is trained; default: the first. */
  readonly output?: string
  /** Leaves batch normalization in its inference form, with the statistics that the model has. */
  readonly frozenStatistics?: boolean
  /** Steps in one run of the engine; default: what keeps a run short. Results agree to rounding. */
  readonly stepsPerRun?: number
  /** Threads of the engine; default: one for steps under 20 ms, the engine's choice otherwise. */
  readonly threads?: number
}

export interface TrainResult {
  /** The same graph with new initializers. */
  readonly model: Model
  readonly history: readonly EpochRecord[]
  /** Updates made, those before a resumption included. */
  readonly steps: number
  /** The epoch whose parameters the model has; the last one unless `patience` is set. */
  readonly epoch: number
}

/**
 * Trains a classifier and returns it with new parameters and running statistics; the graph stays the same. With
 * `patience` and validation data the result is the epoch with the best validation accuracy (the lowest loss among
 * equals), otherwise the last. The same seed, engine and number of threads give the same bits, also when a run was
 * killed and went on from a checkpoint. With `shiftNormalization` scales and variances of batch normalization come out
 * as the powers of two that they stand for, and validation sees them so. A checkpoint of a finished run gives its
 * result again at once; the caller deletes it.
 * @throws UsageError `aborted` when `signal` says so (after writing a checkpoint), `training-diverged` when the loss
 * explodes, `checkpoint-mismatch` when the checkpoint belongs to another run.
 */
export async function train(original: Model, options: TrainOptions): Promise<TrainResult> {
  const model = toFloat32Model(original)
  const { data, validation, settings, engine, signal } = options
  if (data.size === 0)
    throw new DataError('no-examples', 'there are no examples to train on', {
      place: data.name,
      hint: NO_TRAINING_EXAMPLES,
    })
  if (settings.patience !== undefined && !validation)
    throw new UsageError('no-validation', 'stopping early needs validation data', { place: 'patience' })
  if (settings.shiftNormalization) checkShiftNormalization(model)
  const remembered = new Set(options.memory?.map(({ name }) => name))
  const parameters = options.parameters ?? trainableParameters(model).filter((name) => !remembered.has(name))
  const batchSize = Math.min(settings.batchSize, data.size)
  const stepMs = estimateStepMs(model, batchSize)
  const perRun = options.stepsPerRun ?? chooseStepsPerRun(stepMs, batchElements(data.inputShape, batchSize))
  const plan = planTraining(data.size, settings, perRun)
  const threads = options.threads ?? (stepMs < 20 ? 1 : undefined)

  const block = await engine.block?.()
  const build = (size: number) =>
    buildStep(model, {
      ...options,
      parameters,
      batchSize: size,
      totalSteps: plan.totalSteps,
      ...(threads ? { threads } : {}),
      ...(block === undefined ? {} : { block }),
    })
  const first = build(plan.batchSize)
  checkFit(first, data)
  const fingerprint = options.checkpoint ? fingerprintOf(first, options, parameters) : ''
  const resumed = await readResumption(options, fingerprint, first)

  const runner = createStepRunner({
    engine,
    batchSize: plan.batchSize,
    stepsPerRun: perRun,
    build: (size) => (size === plan.batchSize ? first : build(size)),
    ...(threads === undefined ? {} : { threads }),
  })
  const modelState = first.state.filter(({ ofModel }) => ofModel).map(({ name }) => name)
  let predictor: Predictor | undefined
  let teacher: Teacher | undefined
  const watch = createLossWatch(
    losses[settings.loss].chance(first.classes, options.teacher?.temperature ?? 1),
    resumed?.position,
  )

  let state: ReadonlyMap<string, Tensor> =
    resumed?.state ?? new Map(first.state.map(({ name, initial }) => [name, initial]))
  const history: EpochRecord[] = [...(resumed?.history ?? [])]
  let best = resumed?.best
  let steps = resumed?.position.steps ?? 0
  let finished = resumed?.position.finished ?? false
  let lossSum = resumed?.position.lossSum ?? 0
  let correct = resumed?.position.correct ?? 0
  let examples = resumed?.position.examples ?? 0
  const report = createReporter(options.progress, options.task ?? 'train', plan, steps)

  const save = async () => {
    if (!options.checkpoint || steps === 0) return
    const position = { steps, examples, lossSum, correct, finished, ...watch.trend() }
    await options.checkpoint.store.write(
      writeCheckpoint({ fingerprint, position, history, state, ...(best ? { best } : {}) }),
    )
  }
  const nextChunk = (): Chunk | 'epoch-end' | undefined => {
    if (finished) return undefined
    const ends = examples === plan.examples || (steps === plan.totalSteps && examples > 0)
    return ends ? 'epoch-end' : chunkAfter(plan, steps)
  }
  const ofModel = (all: ReadonlyMap<string, Tensor>) => {
    const own = new Map(modelState.map((name) => [name, all.get(name)!]))
    return settings.shiftNormalization ? withPowersOfTwo(model, own) : own
  }

  const takeSteps = async (chunk: Chunk) => {
    const batches = await reader.take(chunk)
    const teacherLogits = await teacher?.logits(batches.images, batches.examples)
    const learningRates = Array.from({ length: chunk.steps }, (_, i) =>
      learningRateAt(settings, (steps + i) / plan.totalSteps),
    )
    const { batchSize } = chunk
    const request = { batches, batchSize, learningRates, before: steps }
    const results = await runner.run(teacherLogits ? { ...request, teacher: teacherLogits } : request, state)
    for (let i = 0; i < chunk.steps; i++) {
      watch.observe(results.losses[i], steps + i + 1, learningRates[i])
      lossSum += results.losses[i] * batchSize
      correct += results.correct[i]
    }
    state = results.state
    steps += chunk.steps
    examples += chunk.steps * batchSize
    report.steps(steps, chunk.steps * batchSize, { loss: lossSum / examples, accuracy: correct / examples })
  }

  const finishEpoch = async () => {
    const epoch = Math.ceil(steps / plan.stepsPerEpoch)
    const learningRate = learningRateAt(settings, (steps - 1) / plan.totalSteps)
    let record: EpochRecord = { epoch, loss: lossSum / examples, accuracy: correct / examples, learningRate }
    const overflows = state.get(OVERFLOWS)
    if (overflows)
      record = {
        ...record,
        overflows: sumOf(overflows.data as Float32Array) - sumOf(history.map((one) => one.overflows ?? 0)),
      }
    let over = steps === plan.totalSteps
    if (predictor && validation) {
      const stop = signal ? { signal } : {}
      const { loss, accuracy } = await evaluateWith(predictor, validation, stop, Object.fromEntries(ofModel(state)))
      record = { ...record, validation: { loss, accuracy } }
      if (settings.patience !== undefined) {
        const previous = best && history.find((one) => one.epoch === best!.epoch)?.validation
        if (!previous || isBetter({ loss, accuracy }, previous)) best = { epoch, state: ofModel(state) }
        over ||= epoch - best!.epoch >= settings.patience
      }
    }
    if (over) checkFinite(state, steps, learningRate)
    history.push(record)
    lossSum = correct = examples = 0
    finished = over
    report.epoch(record)
  }

  const reader = createReader(plan, options, first)
  const everySeconds = options.checkpoint?.everySeconds ?? 60
  let saved = performance.now()
  try {
    if (validation)
      predictor = await createPredictor(model, validation.inputShape, engine, {
        ...options,
        promoted: [...ofModel(state).keys()],
      })
    if (options.teacher)
      teacher = await createTeacher(options.teacher, {
        ...options,
        fixed: settings.augmentation === 'none' && settings.epochs > 1,
        ...(threads === undefined ? {} : { threads }),
      })
    for (let chunk = nextChunk(); chunk; chunk = nextChunk()) {
      if (signal?.aborted) throw aborted('training')
      if (chunk === 'epoch-end') await finishEpoch()
      else await takeSteps(chunk)
      if (finished || performance.now() - saved > 1000 * everySeconds) {
        await save()
        saved = performance.now()
      }
      // Lets signals and timers in: an engine may compute without ever giving the thread back.
      await new Promise((resolve) => setTimeout(resolve, 0))
    }
  } catch (error) {
    // Also an evaluation that was stopped: what it would have added is not there yet, so the run can go on before it.
    if (error instanceof UsageError && error.code === 'aborted') {
      await save()
      throw aborted('training')
    }
    throw error
  } finally {
    reader.close()
    await runner.close()
    await predictor?.close()
    await teacher?.close()
  }
  const result = best?.state ?? ofModel(state)
  return {
    model: withNarrowedInitializers(original, result),
    history,
    steps,
    epoch: best?.epoch ?? history.at(-1)!.epoch,
  }
}

function sumOf(values: Float32Array | readonly number[]): number {
  let sum = 0
  for (const value of values) sum += value
  return sum
}

/** Reads ahead: while the engine computes, the next examples are on their way. */
function createReader(plan: TrainingPlan, options: TrainOptions, step: TrainingStep) {
  let order: { epoch: number; indices: Uint32Array } | undefined
  let ahead: { before: number; batches: Promise<StepBatches> } | undefined
  const read = (chunk: Chunk) => {
    if (order?.epoch !== chunk.epoch)
      order = { epoch: chunk.epoch, indices: epochOrder(plan.examples, options.seed, chunk.epoch) }
    // A partial batch has the random inputs of the full one, those of the examples cut to size.
    const random = step.inputs.random.map((input) =>
      input.batched
        ? { ...input, shape: [(input.shape[0] / step.batchSize) * chunk.batchSize, ...input.shape.slice(1)] }
        : input,
    )
    return readBatches({
      ...chunk,
      dataset: options.data,
      order: order.indices,
      seed: options.seed,
      settings: options.settings,
      random,
    })
  }
  const readAhead = (chunk: Chunk | undefined) => {
    ahead = chunk && { before: chunk.before, batches: read(chunk) }
    // Whoever takes it sees the error; when nobody does, it is of no interest.
    ahead?.batches.catch(() => {})
  }
  return {
    async take(chunk: Chunk): Promise<StepBatches> {
      if (ahead?.before !== chunk.before) readAhead(chunk)
      const batches = await ahead!.batches
      readAhead(chunkAfter(plan, chunk.before + chunk.steps))
      return batches
    },
    close() {
      ahead = undefined
    },
  }
}

function checkFit(step: TrainingStep, data: Dataset): void {
  const size = batchElements(data.inputShape, step.batchSize)
  const { imageShape } = step.inputs
  if (batchElements(imageShape, 1) !== size)
    throw new UsageError(
      'input-shape',
      `the model takes [${imageShape.slice(1).join(', ')}], but examples are [${data.inputShape.join(', ')}]`,
      { place: data.name, hint: 'Choose the data, or its preprocessing, that the model was made for.' },
    )
  if (step.classes < data.classes)
    throw new UsageError('class-count', `the model has ${step.classes} outputs, but the data ${data.classes} classes`, {
      place: data.name,
      hint: 'Choose the data that the model was made for, or name the output that holds the classes.',
    })
}

function checkFinite(state: ReadonlyMap<string, Tensor>, step: number, learningRate: number): void {
  for (const [name, { data }] of state)
    if (!(data as Float32Array).every(Number.isFinite)) throw diverged(step, learningRate, `'${name}' is not finite`)
}

/** Tells whether a checkpoint is of this run: the settings, the data's name and size, the starting model, the teacher. */
function fingerprintOf(step: TrainingStep, options: TrainOptions, parameters: readonly string[]): string {
  const { settings, seed, data, validation, teacher, penalties, constraint, memory, frozenStatistics = false } = options
  const facts = JSON.stringify({
    settings,
    seed,
    parameters,
    data: [data.name, data.size],
    validation: validation ? [validation.name, validation.size] : [],
    teacher: teacher ? [teacher.temperature, teacher.weight] : [],
    extras: [penalties?.length ?? 0, constraint !== undefined, frozenStatistics],
    ...(memory?.length ? { memory: memory.map(({ name }) => name) } : {}),
    nodes: step.model.graph.nodes.length,
  })
  const tensors = step.state.map(({ initial }) => initial)
  return fingerprint([facts, ...tensors, ...(teacher?.model.graph.initializers.values() ?? [])])
}

async function readResumption(
  { checkpoint }: TrainOptions,
  fingerprint: string,
  step: TrainingStep,
): Promise<Checkpoint | undefined> {
  const bytes = await checkpoint?.store.read()
  if (!bytes) return undefined
  const found = readCheckpoint(bytes)
  if (found.fingerprint !== fingerprint || step.state.some(({ name }) => !found.state.has(name)))
    throw new UsageError(
      'checkpoint-mismatch',
      'the checkpoint belongs to another run: model, data, settings, teacher or seed differ',
      {
        place: 'checkpoint',
        hint: 'Delete it to start anew, or continue with the settings that it was made with.',
      },
    )
  return found
}
