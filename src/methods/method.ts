import type { z } from 'zod'
import type { Dataset } from '../datasets/dataset.ts'
import type { Engine } from '../engines/engine.ts'
import type { Model } from '../ir/model.ts'
import type { Paper } from '../paper.ts'
import type { ProgressListener } from '../progress.ts'
import type { CheckpointStore } from '../training/checkpoint.ts'
import type { TrainingSettings } from '../training/settings.ts'

export const families = [
  'pruning',
  'quantization',
  'sharing',
  'factorization',
  'distillation',
  'architecture',
  'coding',
] as const
export type Family = (typeof families)[number]

/** What a method cannot work without. */
export type Need = 'calibration-data' | 'training-data' | 'gradients'

/** One check of the proof. A run whose checks do not all pass is a bug, and says so. */
export interface ProofCheck {
  readonly check: string
  /** False for a failure only. */
  readonly passed: boolean
  /** Set where the check could not be made: nothing failed, and nothing is shown either. */
  readonly leftOut?: true
  readonly detail: string
}

/** The options by which weight quantizers are told how precise a layer is; each counts from few to many. */
export type Precision = 'bits' | 'powers' | 'codebooks'

/** What the model's accuracy is when one layer alone is pruned, more and more, or written more and more precisely. */
export interface SensitivityCurve {
  /** The layer, or the first of several that can only be pruned together. */
  readonly layer: string
  /** How many filters or weights it has. */
  readonly size: number
  /**
   * Ascending by `at`, which is told in the unit; the loss is the mean cross-entropy in nats, absent where the model no
   * longer computes numbers.
   */
  readonly points: readonly { readonly at: number; readonly accuracy: number; readonly loss?: number }[]
  /** Of those tried: the largest share that loses no more than was allowed, or the precision that the budget gives it. */
  readonly chosen?: number
}

/** How sensitive each layer is to pruning or to few bits, before any retraining. */
export interface Sensitivity {
  /** What is turned in a layer: the share of its parts that is gone, from 0, or what says how precise its weights are. */
  readonly unit: 'ratio' | Precision
  /** What a layer is counted in, and shares are shares of. */
  readonly parts: 'filters' | 'weights'
  /** The data and how many of its examples it was measured on: of the validation data, never of the test data. */
  readonly data: string
  readonly count: number
  /** Of the model as it is. */
  readonly accuracy: number
  /** Points of accuracy that each layer may lose alone or, of precisions, all together, where the choice went by it. */
  readonly maxLoss?: number
  /** Bits that a weight may take on average, where precisions were chosen by it. */
  readonly averageBits?: number
  readonly curves: readonly SensitivityCurve[]
}

/** All that a method gets from outside; nothing is a global. */
export interface Context {
  readonly seed: number
  readonly engine: Engine
  readonly signal?: AbortSignal
  readonly progress?: ProgressListener
  /** Present when the caller has data. `validation` is for choices; no method ever sees the test set. */
  readonly data?: { readonly train: Dataset; readonly validation: Dataset }
  /** The model as the user brought it: the teacher of retraining with the loss 'kullback-leibler'. */
  readonly original?: Model
  /** How retraining is to be done where the method's own options do not say. */
  readonly training?: Partial<TrainingSettings>
  /**
   * Where a training inside the method keeps what it needs to go on after a kill; `name` tells the trainings of one
   * application apart. A method that is applied again asks for the same names in the same order, and what had finished
   * gives its result again at once. Absent where nothing is kept.
   */
  readonly checkpoints?: (name: string) => CheckpointStore
  /** Says that a layer was left alone, and why: it ends up in the report. */
  skip(layer: string, reason: string): void
  /** Tells what the method has checked of its own work: it becomes part of the report's proof. */
  proved?(check: ProofCheck): void
  /** Tells how sensitive the layers are, where the method has measured it: it becomes part of the report. */
  sensitivity?(found: Sensitivity): void
}

/**
 * A method of the literature: one file, one frozen record. The family owns the mechanism; the record holds what the paper says.
 * `apply` leaves its input unchanged, and its result is plain ONNX that stock onnxruntime runs.
 */
export interface Method<Name extends string = string, Options = unknown> {
  readonly name: Name
  readonly family: Family
  /** One full sentence. */
  readonly summary: string
  readonly paper: Paper
  readonly needs: readonly Need[]
  readonly options: z.ZodType<Options>
  /** What it takes away, where it takes something away. */
  readonly removes?: 'weights' | 'filters'
  apply(model: Model, options: Options, context: Context): Promise<Model>
  /**
   * The same options, milder or stronger: 0 hardly changes the model, 1 is what `options` say, 2 is the strongest.
   * A search for the smallest file within an accuracy budget turns this one knob. Absent where there is none to turn.
   */
  strength?(options: Options, strength: number): Options
  /**
   * What the method thinks of each channel, by the id of its group: the larger the more it is worth. Absent where it
   * removes no filters, or chooses them without scoring each.
   */
  scores?(model: Model, options: Options, context: Context): Promise<ReadonlyMap<string, Float64Array>>
  /**
   * What accuracy it costs when one layer alone gives up a share of what this method removes, or has each of the
   * precisions that it offers. Absent where there is neither. @throws UsageError when there is no validation data.
   */
  sensitivity?(model: Model, options: Options, context: Context): Promise<Sensitivity>
}

/** Freezes a record. Families have functions of their own that end here. */
export function defineMethod<const Name extends string, Options>(method: Method<Name, Options>): Method<Name, Options> {
  return Object.freeze(method)
}
