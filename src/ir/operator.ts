/**
 * The record of an operator: everything Espalier knows about it, in one file under `ops/`.
 * Rules are written once, for the form of the operator in the canonical opset.
 */
import { dtypes } from '../tensor/dtype.ts'
import { elementCount, type Tensor } from '../tensor/tensor.ts'
import type { AttributeValue } from './draft.ts'
import type { Node, TensorType } from './model.ts'

export interface InferContext {
  readonly node: Node
  /** One entry an input; undefined where left out or unknown. */
  readonly inputs: readonly (TensorType | undefined)[]
  /** The value of input `index` where it is a known constant (shapes, axes, sizes). */
  readonly constant: (index: number) => Tensor | undefined
}

export interface EvaluateContext {
  readonly node: Node
  readonly inputs: readonly (Tensor | undefined)[]
}

/** What a rule that writes nodes may use: the node it stands for, what is known of values, and ways to add to the graph. */
export interface EmitContext {
  readonly node: Node
  /** Value names; undefined where an optional input is left out. */
  readonly inputs: readonly (string | undefined)[]
  /** Type of any value of the graph, also of values emitted here; shapes are static. */
  readonly shape: (value: string) => readonly number[]
  readonly dtype: (value: string) => TensorType['dtype']
  /** The value where it is an initializer or folds to a constant. */
  readonly constant: (value: string) => Tensor | undefined
  /** Appends a node; its type is inferred at once. Prefix 'espalier.' for semantic operators. */
  readonly emit: (
    op: string,
    inputs: readonly (string | undefined)[],
    attributes?: Record<string, AttributeValue>,
  ) => string
  readonly emitMany: (
    op: string,
    inputs: readonly (string | undefined)[],
    outputs: number,
    attributes?: Record<string, AttributeValue>,
  ) => string[]
  /** A constant; numbers become scalars of the given value's type. */
  readonly literal: (value: number | Tensor, like?: string) => string
  /** Sums `value` over the axes along which `shape` was broadcast, so that the result has exactly `shape`. */
  readonly unbroadcast: (value: string, shape: readonly number[]) => string
}

export interface GradientContext extends EmitContext {
  readonly outputs: readonly string[]
  /** The gradient of the loss by each output; undefined where the loss does not depend on it. */
  readonly outputGradients: readonly (string | undefined)[]
  /** Whether the caller wants the gradient of input `index`: emit nothing for the others. */
  readonly wants: (index: number) => boolean
}

/** Work and traffic of one execution, in the direct algorithm. */
export interface Cost {
  /** Multiply-accumulates. */
  readonly macs: number
  readonly bytesRead: number
  readonly bytesWritten: number
}

export interface CostContext {
  readonly node: Node
  /** Static shapes and types; undefined where an input is left out. */
  readonly inputs: readonly ({ readonly dtype: TensorType['dtype']; readonly shape: readonly number[] } | undefined)[]
  readonly outputs: readonly { readonly dtype: TensorType['dtype']; readonly shape: readonly number[] }[]
  /** The value of input `index` where it is a known constant: axes, starts, indices. */
  readonly constant?: (index: number) => Tensor | undefined
}

/**
 * An axis of an input or output in which a group of channels lies.
 * Channel `c` of a tie takes the `repeat` consecutive indices from `offset + c * repeat` of that axis.
 */
export interface ChannelPort {
  readonly side: 'input' | 'output'
  readonly index: number
  readonly axis: number
  readonly offset?: number
  readonly repeat?: number
}

/**
 * Ports whose channels are the same: removing channel c from one removes it from all. Where all ports are inputs, the
 * operator sums over the channels, and what a channel of zeros adds is nothing. Places of an axis in no tie cannot be cut.
 */
export interface ChannelTie {
  readonly ports: readonly ChannelPort[]
  /** How many channels there are; default: as many as fit the axis of a port without offset. */
  readonly count?: number
}

/** The places of each axis of a value that stay, ascending; undefined for an axis of which all stay. */
export type KeptPlaces = readonly (readonly number[] | undefined)[]

/** What a rule sees that fits a node to inputs and outputs of which channels were cut. Shapes are those from before. */
export interface CutContext extends CostContext {
  readonly keptInputs: readonly (KeptPlaces | undefined)[]
  readonly keptOutputs: readonly KeptPlaces[]
  /** Adds an initializer and returns its name. */
  readonly literal: (tensor: Tensor) => string
  /** Adds a node in front and returns its output. */
  readonly emit: (op: string, inputs: readonly string[], attributes?: Record<string, AttributeValue>) => string
}

/** One example: feeds the conformance test against onnxruntime, the finite-difference check, the benchmark and the docs. */
export interface Sample {
  readonly name: string
  readonly inputs: readonly (Tensor | undefined)[]
  readonly attributes?: Readonly<Record<string, AttributeValue>>
  /** Number of outputs to ask for; default 1. */
  readonly outputs?: number
  /** Inputs whose gradient is checked; default: all float inputs, when the operator has a gradient. */
  readonly gradientOf?: readonly number[]
  /** The largest accepted difference to onnxruntime, relative to max(1, |value|); default 1e-5. */
  readonly tolerance?: number
}

export interface Operator {
  readonly type: string
  /** '' for standard operators, 'espalier' for our own. */
  readonly domain: string
  /** The opset version whose form the rules assume: the last change at or before the canonical opset. */
  readonly since: number
  /** One full sentence. */
  readonly summary: string
  /** Inputs that usually hold trained parameters: [1, 2] of a Conv. */
  readonly parameters?: readonly number[]
  /** Types of the outputs. Returns an entry undefined where it cannot be told. @throws ModelError when inputs do not fit. */
  infer(context: InferContext): readonly (TensorType | undefined)[]
  /** Reference evaluation in plain TypeScript, clear before fast. */
  evaluate?(context: EvaluateContext): readonly Tensor[]
  /** Emits the backward nodes; the gradient of each input, undefined where there is none to give. */
  gradient?(context: GradientContext): readonly (string | undefined)[]
  /**
   * The function that a custom operator of the 'espalier' domain computes, in standard operators: emits them and returns
   * the values that stand for its outputs. Lowering and export put them in the operator's place, so that what was
   * trained through a gradient of its own (straight-through and kin) leaves as plain ONNX.
   */
  body?(context: EmitContext): readonly string[]
  /** 'none': the operator is locally constant or integer-valued; its gradient is zero and differentiation stops without complaint. */
  readonly differentiable?: 'none'
  cost(context: CostContext): Cost
  coupling?(context: CostContext): readonly ChannelTie[]
  /**
   * The node that computes the same of what is left after a cut along its ties; nodes in front of it may be emitted.
   * Absent where the node stays as it is: constants among its inputs are cut along the ties themselves.
   */
  cut?(context: CutContext): Node
  readonly samples: readonly Sample[]
}

/** Checks a record for completeness and freezes it. */
export function defineOperator(
  operator: Omit<Operator, 'domain' | 'cost'> & Partial<Pick<Operator, 'domain' | 'cost'>>,
): Operator {
  return Object.freeze({ domain: '', cost: memoryCost, ...operator })
}

/** The cost of an operator that does no multiply-accumulates: it reads its inputs once and writes its outputs once. */
export function memoryCost(context: CostContext): Cost {
  const bytes = (values: CostContext['inputs']) =>
    values.reduce((sum, value) => sum + (value ? bytesOfType(value.dtype, value.shape) : 0), 0)
  return { macs: 0, bytesRead: bytes(context.inputs), bytesWritten: bytes(context.outputs) }
}

function bytesOfType(dtype: TensorType['dtype'], shape: readonly number[]): number {
  return Math.ceil((dtypes[dtype].bits * elementCount(shape)) / 8)
}
