/** Executes training steps: the sessions for full and partial batches, and the state that goes from one to the next. */
import type { Engine, Session } from '../engines/engine.ts'
import type { Model } from '../ir/model.ts'
import { float32, reshaped, type Tensor } from '../tensor/tensor.ts'
import type { StepBatches } from './batches.ts'
import { loopStep, STEPS_INPUT, stepsFeed } from './loop.ts'
import type { TrainingStep } from './step.ts'

export interface StepResults {
  /** One entry a step. */
  readonly losses: Float32Array
  readonly correct: Float32Array
  readonly state: ReadonlyMap<string, Tensor>
}

export interface StepRequest {
  readonly batches: StepBatches
  readonly batchSize: number
  /** One entry a step. */
  readonly learningRates: readonly number[]
  /** Updates before the first step. */
  readonly before: number
  /** Logits of the teacher, `[steps · N, classes]`. */
  readonly teacher?: Tensor<'float32'>
}

export interface StepRunner {
  run(request: StepRequest, state: ReadonlyMap<string, Tensor>): Promise<StepResults>
  close(): Promise<void>
}

export interface RunnerOptions {
  readonly engine: Engine
  readonly threads?: number
  /** More than one: full batches go through a Loop. */
  readonly stepsPerRun: number
  /** The size of a full batch. */
  readonly batchSize: number
  /** Builds the step for a batch size. */
  build(batchSize: number): TrainingStep
}

/** Sessions are made when a batch size is met for the first time. */
export function createStepRunner(options: RunnerOptions): StepRunner {
  const prepared = new Map<number, Promise<Prepared>>()
  const prepare = (batchSize: number) => {
    let found = prepared.get(batchSize)
    if (!found) {
      found = prepareStep(options, batchSize)
      prepared.set(batchSize, found)
    }
    return found
  }
  return {
    run: async (request, state) => execute(await prepare(request.batchSize), request, state),
    async close() {
      for (const one of prepared.values()) {
        // A session that could not be made has been reported where it was asked for.
        const { session } = await one.catch(() => ({ session: undefined }))
        await session?.close()
      }
    },
  }
}

interface Prepared {
  readonly step: TrainingStep
  readonly session: Session
  readonly looped: boolean
}

async function prepareStep(options: RunnerOptions, batchSize: number): Promise<Prepared> {
  const step = options.build(batchSize)
  const looped = options.stepsPerRun > 1 && batchSize === options.batchSize
  const model: Model = looped ? loopStep(step) : step.model
  const session = await options.engine.createSession(model, {
    purpose: 'training',
    ...(options.threads === undefined ? {} : { threads: options.threads }),
  })
  return { step, session, looped }
}

async function execute(
  { step, session, looped }: Prepared,
  { batches, learningRates, before, teacher }: StepRequest,
  state: ReadonlyMap<string, Tensor>,
): Promise<StepResults> {
  const { inputs, outputs } = step
  const steps = learningRates.length
  const axes = looped ? [steps] : []
  const feeds: Record<string, Tensor> = {
    [inputs.images]: reshaped(batches.images, [...axes, ...inputs.imageShape]),
    [inputs.labels]: reshaped(batches.labels, [...axes, step.batchSize]),
    [inputs.learningRate]: float32(learningRates, axes),
  }
  if (looped) feeds[STEPS_INPUT] = stepsFeed(steps)
  if (inputs.step !== undefined)
    feeds[inputs.step] = float32(
      Array.from({ length: steps }, (_, i) => before + i + 1),
      axes,
    )
  if (inputs.teacher !== undefined) feeds[inputs.teacher] = reshaped(teacher!, [...axes, step.batchSize, step.classes])
  inputs.random.forEach(({ input, shape }, i) => {
    feeds[input] = reshaped(batches.random[i], [...axes, ...shape])
  })
  for (const { name, input } of step.state) feeds[input] = state.get(name)!
  const results = await session.run(feeds)
  return {
    losses: results[outputs.loss].data as Float32Array,
    correct: results[outputs.correct].data as Float32Array,
    state: new Map(step.state.map(({ name, output }) => [name, results[output]])),
  }
}
