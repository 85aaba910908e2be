/** Which weights stay or go together: single ones, N of M in a row, or blocks. */
import { z } from 'zod'
import { intAttribute, type Model } from '../../../../ir/model.ts'
import type { Layer } from '../../../../ir/rewrite.ts'
import { elementCount } from '../../../../tensor/tensor.ts'
import { weightRows } from '../../../weight-rows.ts'

const syntax = /^(?:unstructured|([1-9]\d{0,3}):([1-9]\d{0,3})|block ([1-9]\d{0,3})x([1-9]\d{0,3}))$/

/** The option by which a weight pruner is told the pattern. */
export const patternOption = z
  .string()
  .max(40)
  .refine((text) => syntax.test(text) && keepsLess(parsePattern(text)), {
    message: "a pattern is 'unstructured', 'N:M' with N below M such as '2:4', or 'block RxC' such as 'block 4x1'",
  })
  .default('unstructured')
  .describe(
    "'unstructured'; '2:4': of 4 weights in a row along the input channels 2 stay; 'block 4x1': of 4 outputs by 1 input",
  )

/** Of each `of` weights in a row along the input channels `keep` stay. */
interface NOfM {
  readonly kind: 'n-of-m'
  readonly keep: number
  readonly of: number
}

/** Blocks of the matrix [out, in × places of the kernel] stay or go as a whole. */
interface Block {
  readonly kind: 'block'
  readonly rows: number
  readonly columns: number
}

export type Pattern = NOfM | Block
export type PatternKind = Pattern['kind']

/** Undefined for 'unstructured'. The text has to be one that `patternOption` takes. */
export function parsePattern(text: string): Pattern | undefined {
  const [, keep, of, rows, columns] = syntax.exec(text) ?? []
  if (keep !== undefined) return { kind: 'n-of-m', keep: Number(keep), of: Number(of) }
  return rows === undefined ? undefined : { kind: 'block', rows: Number(rows), columns: Number(columns) }
}

function keepsLess(pattern: Pattern | undefined): boolean {
  return pattern?.kind !== 'n-of-m' || pattern.keep < pattern.of
}

/** The weights of a layer in the sets that a pattern makes of them. */
export interface Units {
  readonly count: number
  /** For each weight the set that it belongs to. */
  readonly of: Uint32Array
  /** How many weights of each set stay; absent where sets stay or go as a whole. */
  readonly keep?: Uint32Array
}

/**
 * The sets of weights of a layer; undefined where a Reshape hides which inputs they are multiplied with.
 *
 * N:M runs along the input channels, at each place of a kernel by itself, as NVIDIA's Automatic SParsity (ASP) has it; what
 * is left at the end of a row, less than M, keeps its share, rounded up.
 */
export function unitsOf(model: Model, layer: Layer, pattern: Pattern): Units | undefined {
  return pattern.kind === 'block' ? blocks(model, layer, pattern) : sequences(model, layer, pattern)
}

function blocks(model: Model, layer: Layer, { rows: height, columns: width }: Block): Units | undefined {
  const rows = weightRows(model, layer)
  if (!rows) return undefined
  const across = Math.ceil(rows.length / width)
  const of = new Uint32Array(rows.count * rows.length)
  for (let r = 0; r < rows.count; r++)
    for (let k = 0; k < rows.length; k++)
      of[rows.base[r] + k * rows.stride] = Math.floor(r / height) * across + Math.floor(k / width)
  return { count: Math.ceil(rows.count / height) * across, of }
}

function sequences(model: Model, { node, inAxis, weight }: Layer, { keep, of: size }: NOfM): Units | undefined {
  if (inAxis === undefined) return undefined
  const { shape } = model.graph.initializers.get(weight)!
  const stride = elementCount(shape.slice(inAxis + 1))
  // The first axis of a transposed convolution holds the inputs of all groups.
  const length = shape[inAxis] / (node.op === 'ConvTranspose' ? intAttribute(node, 'group', 1) : 1)
  const a = Math.ceil(length / size)
  const of = Uint32Array.from({ length: elementCount(shape) }, (_, i) => {
    const along = Math.floor(i / stride)
    const row = Math.floor(along / length) * stride + (i % stride)
    return row * a + Math.floor((along % length) / size)
  })
  const count = length === 0 ? 0 : (of.length / length) * a
  const last = Math.ceil((keep * (length - (a - 1) * size)) / size)
  return { count, of, keep: Uint32Array.from({ length: count }, (_, u) => (u % a === a - 1 ? last : keep)) }
}
