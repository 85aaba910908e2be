/** What operator records ask of their context: inputs that must be there, axes, constant lists of integers. */
import { ModelError } from '../../errors.ts'
import { integersOf } from '../../tensor/elements.ts'
import type { Tensor } from '../../tensor/tensor.ts'
import type { Dim, Node } from '../model.ts'
import type { EvaluateContext, GradientContext, InferContext } from '../operator.ts'

/** A `ModelError` about one node. */
export function nodeError(node: Node, code: string, message: string): ModelError {
  return new ModelError(code, `${node.op}: ${message}`, { place: node.name || node.outputs[0] })
}

/** Counts a negative axis from the end. @throws ModelError when it is not in [-rank, rank). */
export function normalizeAxis(axis: number, rank: number, node: Node): number {
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank)
    throw nodeError(node, 'axis-range', `axis ${axis} is outside of a tensor with ${rank} axes`)
  return axis < 0 ? axis + rank : axis
}

/** Non-negative, ascending axes. @throws ModelError when one is out of range or named twice. */
export function normalizeAxes(axes: readonly number[], rank: number, node: Node): number[] {
  const result = axes.map((axis) => normalizeAxis(axis, rank, node)).sort((a, b) => a - b)
  if (new Set(result).size !== result.length)
    throw nodeError(node, 'axis-twice', `axes [${axes.join(', ')}] name one axis twice`)
  return result
}

/** The tensor at input `index`. @throws ModelError when it is left out. */
export function required({ node, inputs }: EvaluateContext, index: number): Tensor {
  const tensor = inputs[index]
  if (!tensor) throw nodeError(node, 'input-missing', `input ${index} is missing`)
  return tensor
}

/** The integers at input `index`, or undefined where it is left out. */
export function integersAt(context: EvaluateContext, index: number): number[] | undefined {
  const tensor = context.inputs[index]
  return tensor && integersOf(tensor)
}

/** Whether the node has something connected to input `index`. */
export function hasInput(node: Node, index: number): boolean {
  return (node.inputs[index] ?? '') !== ''
}

/**
 * The integers at input `index` while inferring: 'absent' when nothing is connected, 'unknown' when it is no constant.
 */
export function inferredIntegers(context: InferContext, index: number): number[] | 'absent' | 'unknown' {
  if (!hasInput(context.node, index)) return 'absent'
  const tensor = context.constant(index)
  return tensor ? integersOf(tensor) : 'unknown'
}

/**
 * The integers at input `index` of a node that is differentiated, or undefined where it is left out.
 * @throws ModelError when they are computed from data.
 */
export function gradientIntegers(context: GradientContext, index: number): number[] | undefined {
  const name = context.inputs[index]
  if (!name) return undefined
  const tensor = context.constant(name)
  if (!tensor)
    throw nodeError(context.node, 'gradient-constant', `input ${index} must be a constant to be differentiated`)
  return integersOf(tensor)
}

/** The product of sizes, or null when one is not a number. A zero makes the product zero whatever the others are. */
export function dimProduct(dims: readonly Dim[]): Dim {
  if (dims.includes(0)) return 0
  const symbols = dims.filter((dim) => typeof dim !== 'number')
  const numbers = dims.filter((dim) => typeof dim === 'number').reduce((product, dim) => product * dim, 1)
  if (symbols.length === 0) return numbers
  return symbols.length === 1 && numbers === 1 ? symbols[0] : null
}

/** A list of `rank` sizes of which nothing is known. */
export function unknownDims(rank: number): Dim[] {
  return Array.from({ length: rank }, () => null)
}
