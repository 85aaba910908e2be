import { fingerprint } from '../codecs/fingerprint.ts'
import type { DataSplits } from '../datasets/dataset.ts'
import type { Engine } from '../engines/engine.ts'
import { ModelError, UnsupportedError, UsageError } from '../errors.ts'
import { readModel } from '../formats/onnx/read.ts'
import { encodeModel, writeModel } from '../formats/onnx/write.ts'
import { writePack } from '../formats/pack/write.ts'
import type { Model } from '../ir/model.ts'
import { assertValid, verify } from '../ir/verify.ts'
import type { Context, ProofCheck, Sensitivity } from '../methods/method.ts'
import type { ProgressListener } from '../progress.ts'
import type { CheckpointStore } from '../training/checkpoint.ts'
import { fedInputs, sampleInputs } from '../datasets/inputs.ts'
import { measureAccuracy, measureLatency, measureSize, packParts, parameterBytes } from './measure.ts'
import { measureLayers, totalWork } from './measure-layers.ts'
import { prove } from './proof.ts'
import type { Recipe } from './recipe.ts'
import { remarksOn } from './remarks.ts'
import type { AccuracyMeasure, BudgetResult, RunReport, Skipped, StageResult } from './result.ts'
import { searchStrength } from './search.ts'

/**
 * Keeps what a stage made, and of the stage that runs what its trainings need, so that a run that was killed goes on
 * where it was. Names are letters, digits and dots.
 */
export interface StageStore {
  load(name: string): Promise<Uint8Array | undefined>
  save(name: string, bytes: Uint8Array): Promise<void>
  /** Forgets what has this name, if anything has. */
  remove(name: string): Promise<void>
}

/** What a run gets from outside. */
export interface RunEnvironment {
  readonly engine: Engine
  /** Training and validation data go to the methods; the test data only measure. */
  readonly data?: DataSplits
  /** Overrides the recipe's. */
  readonly seed?: number
  readonly signal?: AbortSignal
  readonly progress?: ProgressListener
  readonly store?: StageStore
  /** Called after each stage, for a display. */
  readonly onStage?: (stage: StageResult, position: number) => void
  /** What the report calls the model; default: the graph's name. */
  readonly modelName?: string
  /** Bytes of the file that the model came from; default: of the ONNX file that we would write. */
  readonly originalFileBytes?: number
  /** Set to false to leave latency out. */
  readonly latency?: boolean
}

export interface RunResult {
  readonly model: Model
  readonly pack: Uint8Array
  readonly report: RunReport
}

interface Pass {
  readonly model: Model
  readonly pack: Uint8Array
  readonly stages: readonly StageResult[]
  readonly skipped: readonly Skipped[]
  /** What the methods checked of their own work. */
  readonly checks: readonly ProofCheck[]
}

/**
 * Applies a recipe to a model and measures and proves the result. Where the recipe has a budget, the strengths of its
 * methods are searched on the validation data. The model is not changed.
 * @throws ModelError or UnsupportedError when the model is not valid or the engine does not take it, UsageError when recipe and data do not fit; whatever a method throws.
 */
export async function runRecipe(model: Model, recipe: Recipe, environment: RunEnvironment): Promise<RunResult> {
  const start = performance.now()
  assertValid(model)
  const seed = environment.seed ?? recipe.seed
  await assertAccepted(model, environment, seed)
  const { pass, budget } = await withinBudget(model, recipe, environment, seed)
  return finishRun(model, recipe, environment, { pass, budget, seed, start })
}

/** Above so many bytes of parameters a session only to see whether there can be one costs too much. */
const MOST_TRIED_BYTES = 50_000_000

/** The proof will run the original: what the engine refuses is better known before hours of work. */
async function assertAccepted(model: Model, { engine, data }: RunEnvironment, seed: number): Promise<void> {
  if (parameterBytes(model) > MOST_TRIED_BYTES) return
  if (!(await sampleInputs(model, { seed, batch: 1, data: data?.validation }))) return
  const session = await engine.createSession(model, { purpose: 'check' })
  await session.close()
}

async function withinBudget(model: Model, recipe: Recipe, environment: RunEnvironment, seed: number) {
  const { data, engine, signal } = environment
  if (!recipe.budget || !data) return { pass: await applySteps(model, recipe, environment, seed, 1), budget: undefined }
  const { maxAccuracyLoss } = recipe.budget
  const before = await measureAccuracy(model, data.validation, engine, signal)
  const found = await searchStrength(
    recipe.budget,
    recipe.steps.some(({ method }) => method.strength) ? undefined : 0,
    {
      run: async (strength) => {
        const pass = await applySteps(model, recipe, environment, seed, strength)
        const after = await measureAccuracy(pass.model, data.validation, engine, signal)
        return { pass, accuracyLoss: (before.accuracy - after.accuracy) * 100 }
      },
    },
  )
  const budget: BudgetResult = {
    maxAccuracyLoss,
    met: found.best.accuracyLoss <= maxAccuracyLoss,
    accuracyLoss: found.best.accuracyLoss,
    strength: found.best.strength,
    tried: found.tried.map(({ strength, accuracyLoss, pass }) => ({
      strength,
      accuracyLoss,
      packBytes: pass.pack.length,
    })),
  }
  return { pass: found.best.pass, budget }
}

async function applySteps(
  model: Model,
  recipe: Recipe,
  environment: RunEnvironment,
  seed: number,
  strength: number,
): Promise<Pass> {
  const { engine, data, signal, progress, store } = environment
  const skipped: Skipped[] = []
  const checks: ProofCheck[] = []
  const stages: StageResult[] = []
  let current = model
  let pack: Uint8Array | undefined
  let key = store
    ? fingerprint([writeModel(model), data?.train.name ?? '', String(seed), JSON.stringify(recipe.training ?? {})])
    : ''
  for (const [position, { method, options: written, patternPlaces }] of recipe.steps.entries()) {
    signal?.throwIfAborted()
    const options = strength === 1 || !method.strength ? written : method.strength(written, strength)
    if (method.needs.includes('training-data') && !data)
      throw new UsageError('step-needs-data', `the method '${method.name}' needs training data`, {
        place: `step ${position + 1}`,
        hint: 'Name a data set with data: in the recipe or --data.',
      })
    key = store ? fingerprint([key, method.name, JSON.stringify(options)]) : ''
    const kept = store && (await restoreStage(store, key))
    if (kept) {
      current = kept.model
      skipped.push(...kept.skipped)
      checks.push(...kept.checks)
      stages.push(kept.stage)
      pack = undefined
      environment.onStage?.(kept.stage, position)
      continue
    }
    const start = performance.now()
    const ownSkips: Skipped[] = []
    const ownChecks: ProofCheck[] = []
    let sensitivity: Sensitivity | undefined
    const trainings = store && trainingCheckpoints(store, key)
    const context: Context = {
      seed,
      engine,
      signal,
      progress,
      data: data && { train: data.train, validation: data.validation },
      original: model,
      training: recipe.training,
      ...(trainings ? { checkpoints: trainings.open } : {}),
      skip: (layer, reason) => ownSkips.push({ layer, method: method.name, reason }),
      proved: (check) => ownChecks.push(check),
      sensitivity: (found) => {
        sensitivity = found
      },
    }
    current = await placed(patternPlaces, () => method.apply(current, options, context))
    const problems = verify(current)
    if (problems.length > 0)
      throw new ModelError(
        'method-broke-model',
        `after '${method.name}' the graph is not valid: ${JSON.stringify(problems[0])}`,
        {
          place: `step ${position + 1}`,
          hint: 'This is a bug of Espalier: please report it with the model and the recipe.',
        },
      )
    const bytes = writePack(current, { progress })
    pack = bytes
    const stage: StageResult = {
      method: method.name,
      options,
      size: measureSize(model, current, bytes.length),
      ...(data ? { accuracy: await measureAccuracy(current, data.test, engine, signal) } : {}),
      ...(sensitivity ? { sensitivity } : {}),
      seconds: (performance.now() - start) / 1000,
    }
    stages.push(stage)
    skipped.push(...ownSkips)
    checks.push(...ownChecks)
    if (store) await keepStage(store, key, current, { stage, skipped: ownSkips, checks: ownChecks })
    await trainings?.remove()
    environment.onStage?.(stage, position)
  }
  return { model: current, pack: pack ?? writePack(current, { progress }), stages, skipped, checks }
}

/** A pattern that fits no layer is complained about where the recipe writes it. */
async function placed(places: ReadonlyMap<string, string>, apply: () => Promise<Model>): Promise<Model> {
  try {
    return await apply()
  } catch (error) {
    const place = error instanceof UsageError && error.code === 'layer-pattern' && places.get(error.place ?? '')
    if (!place) throw error
    throw new UsageError(error.code, error.message, { place, hint: error.hint, cause: error })
  }
}

async function finishRun(
  model: Model,
  recipe: Recipe,
  environment: RunEnvironment,
  { pass, budget, seed, start }: { pass: Pass; budget: BudgetResult | undefined; seed: number; start: number },
): Promise<RunResult> {
  const { engine, data, signal, progress } = environment
  const originalOnnx = environment.originalFileBytes ?? onnxLength(model)
  // Before the proof, because of all the work this takes the most memory: an engine keeps some of what it had.
  const latency = environment.latency === false ? undefined : await latencyOf(model, pass.model, environment, seed)
  const proof = await prove({
    original: model,
    compressed: pass.model,
    pack: pass.pack,
    engine,
    seed,
    data: data?.validation,
    progress,
  })
  const after = pass.stages.at(-1)?.accuracy
  const accuracy: { before: AccuracyMeasure; after: AccuracyMeasure } | undefined = data &&
    after && { before: await measureAccuracy(model, data.test, engine, signal), after }
  const layers = measureLayers(model, pass.model, pass.pack, proof.outputErrors)
  const work = totalWork(layers)
  const files = {
    originalOnnx,
    originalParameters: parameterBytes(model),
    onnx: onnxLength(pass.model),
    pack: pass.pack.length,
  }
  const report: Omit<RunReport, 'remarks'> = {
    format: 'espalier-report',
    version: 1,
    model: environment.modelName ?? (model.graph.name || fedInputs(model)[0]?.name || 'model'),
    recipe: { name: recipe.name, ...(recipe.summary === undefined ? {} : { summary: recipe.summary }), seed },
    files,
    size: pass.stages.at(-1)!.size,
    ...(accuracy ? { accuracy } : {}),
    ...(latency ? { latency } : {}),
    ...(work ? { work } : {}),
    stages: pass.stages,
    layers,
    parts: packParts(pass.pack),
    skipped: pass.skipped,
    proof: [...pass.checks, ...proof.checks],
    ...(budget ? { budget } : {}),
    seconds: (performance.now() - start) / 1000,
  }
  return { model: pass.model, pack: pass.pack, report: { ...report, remarks: remarksOn(report) } }
}

/** Undefined where the inputs are not known or the engine does not run one of the models, of which the proof says more. */
async function latencyOf(model: Model, result: Model, { engine, data, signal }: RunEnvironment, seed: number) {
  const feeds = await sampleInputs(model, { seed, batch: 1, data: data?.validation })
  if (!feeds) return undefined
  try {
    return await measureLatency(model, result, feeds, engine, { signal })
  } catch (error) {
    if (error instanceof ModelError || error instanceof UnsupportedError) return undefined
    throw error
  }
}

/** Bytes of the ONNX file of a model, which is not put together for that. */
function onnxLength(model: Model): number {
  return encodeModel(model).model.reduce((sum, chunk) => sum + chunk.length, 0)
}

interface StageFacts {
  readonly stage: StageResult
  readonly skipped: readonly Skipped[]
  readonly checks: readonly ProofCheck[]
}

async function restoreStage(store: StageStore, key: string) {
  const bytes = await store.load(`${key}.onnx`)
  const facts = await store.load(`${key}.json`)
  if (!bytes || !facts) return undefined
  return { model: readModel(bytes), ...(JSON.parse(new TextDecoder().decode(facts)) as StageFacts) }
}

/** The checkpoints of the trainings inside one stage, which are of no use once the stage itself is kept. */
function trainingCheckpoints(store: StageStore, key: string) {
  const names = new Set<string>()
  return {
    open(label: string): CheckpointStore {
      const name = `${key}.${fingerprint([label])}.training`
      names.add(name)
      return { read: () => store.load(name), write: (bytes) => store.save(name, bytes) }
    },
    async remove() {
      for (const name of names) await store.remove(name)
    },
  }
}

async function keepStage(store: StageStore, key: string, model: Model, facts: StageFacts) {
  // The facts come last: where they are, the model is whole.
  await store.save(`${key}.onnx`, writeModel(model))
  await store.save(`${key}.json`, new TextEncoder().encode(JSON.stringify(facts)))
}
