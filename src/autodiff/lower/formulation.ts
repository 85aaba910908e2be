import { type Dim, type TensorType } from '../../ir/model.ts'
import type { EmitContext } from '../../ir/operator.ts'
import type { Emitter } from '../emitter.ts'

/** What a lowered graph is to run on. */
export interface Target {
  /** 'cpu' is onnxruntime's native build, with its contrib operators; 'wasm' the one for browsers. */
  readonly backend: 'cpu' | 'wasm'
  /** Threads inside one operator. */
  readonly threads: number
  /**
   * The channels a block of the native build's own layout, where it has one on this processor: convolutions and what
   * lies between them then stay in that layout.
   */
  readonly block?: number
}

export interface LowerContext extends EmitContext {
  readonly outputs: readonly string[]
  readonly target: Target
  /** Says the type of an operator's output that has no record, such as those of the com.microsoft domain. */
  declare(value: string, type: TensorType): string
  /** A name that nothing uses yet, for values of sub-graphs. */
  fresh(hint: string): string
}

/** One way to write a semantic operator in operators that a backend executes. */
export interface Formulation {
  /** Kebab-case; unique among those of the operator. */
  readonly name: string
  /** Whether it computes the operator for these shapes and attributes at all, on the target. */
  applies(context: LowerContext): boolean
  /** Whether it is the fastest known for them; default: it is, where it applies. */
  prefers?(context: LowerContext): boolean
  /** Emits the nodes and returns the values that stand for the operator's outputs. */
  write(context: LowerContext): readonly string[]
}

/** A batched matrix product with transposed operands, in one operator where the backend has it. */
export function matmul(
  context: LowerContext,
  a: string,
  b: string,
  options: { readonly transA?: boolean; readonly transB?: boolean } = {},
): string {
  const { emit, shape, dtype, declare, target } = context
  if (!options.transA && !options.transB) return emit('MatMul', [a, b])
  if (target.backend === 'cpu' && dtype(a) === 'float32') {
    const [left, right] = [shape(a), shape(b)]
    const rows = options.transA ? left.at(-1)! : left.at(-2)!
    const columns = options.transB ? right.at(-2)! : right.at(-1)!
    const batch: Dim[] = left.length >= right.length ? left.slice(0, -2) : right.slice(0, -2)
    const result = emit('com.microsoft.FusedMatMul', [a, b], {
      transA: options.transA ? 1 : 0,
      transB: options.transB ? 1 : 0,
    })
    return declare(result, { dtype: dtype(a), shape: [...batch, rows, columns] })
  }
  const swap = (value: string, wanted = false) => (wanted ? transposeLast(context, value) : value)
  return emit('MatMul', [swap(a, options.transA), swap(b, options.transB)])
}

function transposeLast({ emit, shape }: LowerContext, value: string): string {
  const rank = shape(value).length
  const perm = Array.from({ length: rank }, (_, axis) => axis)
  return emit('Transpose', [value], { perm: [...perm.slice(0, -2), rank - 1, rank - 2] })
}

/** The context of one node, over an emitter. */
export function lowerContext(
  emitter: Emitter,
  target: Target,
  node: LowerContext['node'],
  inputs: LowerContext['inputs'],
): LowerContext {
  return { ...emitter, node, inputs, outputs: node.outputs, target }
}
