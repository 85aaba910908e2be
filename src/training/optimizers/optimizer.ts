import type { Draft } from '../../ir/draft.ts'
import type { Paper } from '../../paper.ts'
import type { TrainingSettings } from '../settings.ts'

/** What an update rule gets to work with: names of values in a graph under construction. */
export interface UpdateContext {
  readonly draft: Draft
  /** The parameter's value before the step. */
  readonly parameter: string
  readonly shape: readonly number[]
  /** The gradient of the loss by it, of the same shape; weight decay is already in it. */
  readonly gradient: string
  /** The values of the rule's slots before the step, in the order of `slots`; each starts at zero. */
  readonly slots: readonly string[]
  /** Learning rate of this step, a float32 scalar. */
  readonly learningRate: string
  /** What `prepare` returned. */
  readonly shared: Readonly<Record<string, string>>
  readonly settings: OptimizerSettings
  /** A float32 scalar constant. */
  literal(value: number): string
  /** Random numbers, uniform in [0, 1), float32, of the parameter's shape and new in each step. */
  noise(): string
}

export type OptimizerSettings = Pick<TrainingSettings, 'momentum' | 'nesterov'> &
  Partial<Pick<TrainingSettings, 'gradientSparsity' | 'gradientWarmup' | 'gradientTernary'>>

/** What is computed once a step, for all parameters. */
export interface PrepareContext extends Pick<UpdateContext, 'draft' | 'settings' | 'literal'> {
  /** Number of updates so far, this one included, a float32 scalar: 1 in the first step. */
  readonly step: string
  /** How many updates the run takes. */
  readonly totalSteps: number
}

/** An update rule as a fragment of the training graph. */
export interface Optimizer {
  readonly name: TrainingSettings['optimizer']
  /** One full sentence. */
  readonly summary: string
  readonly paper: Paper
  /** Names of the tensors, each like the parameter, whose shape is given, that the rule carries from step to step. */
  slots(settings: OptimizerSettings, shape: readonly number[]): readonly string[]
  /** Scalars that all parameters share. */
  prepare?(context: PrepareContext): Readonly<Record<string, string>>
  /** Appends the update; returns the names of the new parameter and of the new slots. */
  update(context: UpdateContext): { readonly parameter: string; readonly slots: readonly string[] }
}

export function defineOptimizer(optimizer: Optimizer): Optimizer {
  return Object.freeze(optimizer)
}
