/** What a method may add to the training step: terms of the loss, rules for parameters, and values with rules of their own. */
import type { Draft } from '../ir/draft.ts'

/** Values that a penalty can be built from. Parameters go by the names of their initializers. */
export interface PenaltyNames {
  readonly logits: string
  readonly labels: string
  readonly parameters: readonly string[]
}

/** A further term of the loss: appends nodes and returns a float32 scalar, which is added to the loss. */
export type Penalty = (draft: Draft, names: PenaltyNames) => string

/** Names of the float32 scalars that change from step to step. */
export interface StepScalars {
  readonly learningRate: string
  /** Number of the update, from 1. */
  readonly step: string
}

/**
 * Post-processing of a parameter after each update, such as clipping: appends nodes that read `value` and returns the
 * value that takes its place; `value` itself where the parameter is to be left alone.
 */
export type Constraint = (draft: Draft, parameter: string, value: string, scalars: StepScalars) => string

/** What the rule of a memory can be built from. */
export interface MemoryNames extends StepScalars {
  /** By parameter, its value after the step; its own name holds the value before. */
  readonly parameters: ReadonlyMap<string, string>
}

/**
 * A float32 initializer of the model that no gradient moves but a rule rewrites after each step, such as a mask that
 * follows the weights. It is part of the model that comes out, and of every checkpoint.
 */
export interface Memory {
  /** The initializer. */
  readonly name: string
  /** Appends nodes and returns the value after the step; the initializers' own names hold the values before. */
  next(draft: Draft, names: MemoryNames): string
}
