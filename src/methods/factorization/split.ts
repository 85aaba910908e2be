/** One layer replaced by three: the columns' codes, a scale for each term, the rows' codes. */
import { createDraft, toAttribute, type AttributeValue } from '../../ir/draft.ts'
import { graphIndex } from '../../ir/graph.ts'
import { intAttribute, type Attribute, type Model } from '../../ir/model.ts'
import { layers, type Layer } from '../../ir/rewrite.ts'
import { inferShapes } from '../../ir/shapes.ts'
import type { DType } from '../../tensor/dtype.ts'
import { fromFloat32 } from '../../tensor/half.ts'
import { elementCount, type Tensor } from '../../tensor/tensor.ts'
import { partName } from '../layer-parts.ts'
import type { WeightRows } from '../weight-rows.ts'
import type { Term } from './terms.ts'

/** The initializers of a layer that was split, as plain floats. */
export interface Split {
  readonly model: Model
  /** The codes of the columns, and those of the rows. */
  readonly v: string
  readonly u: string
  /** One number a term and group. */
  readonly scale: string
}

/** Why a layer cannot be replaced by factors; undefined where it can. */
export function splitObstacle(model: Model, layer: Layer): string | undefined {
  const { node, input, weight } = layer
  if (input !== 1) return 'its weight is the left factor of a product'
  const readers = readersOf(model, weight)
  if (readers.some(({ node: { op }, input: at }) => op !== node.op || at !== input))
    return 'another layer reads its weight in another way'
  const index = graphIndex(model.graph)
  const along = new Set(readers.flatMap((reader) => [reader.node, ...reader.source]))
  const values = [weight, ...readers.flatMap(({ source }) => source.flatMap(({ outputs }) => outputs))]
  if (values.some((value) => index.isOutput(value) || index.consumers(value).some((reader) => !along.has(reader))))
    return 'something besides layers reads its weight'
  const [way, ...others] = readers.map(({ outAxis, inAxis, node: reader }) =>
    [outAxis, inAxis, intAttribute(reader, 'group', 1)].join(),
  )
  return others.some((other) => other !== way) ? 'another layer reads its weight in another way' : undefined
}

function readersOf(model: Model, weight: string): Layer[] {
  return layers(model).filter((layer) => layer.weight === weight)
}

/**
 * The model in which every layer that reads the weight is three: y = U (d ∘ (V x)) + bias. A convolution becomes one with
 * K filters a group and the same strides, pads and dilations, a multiplication of its channels, and one of 1 x 1, which
 * has the bias; of a transposed convolution the 1 x 1 comes first. The last node makes the value that the layer made; the nodes
 * are called after the layer, see `partName`. The codes are initializers of plain floats: what a training is to change.
 * @param terms the terms of each group, as many in each.
 */
export function splitLayer(model: Model, layer: Layer, rows: WeightRows, terms: readonly (readonly Term[])[]): Split {
  const { weight, node: first } = layer
  const shape = model.graph.initializers.get(weight)!.shape
  const type = inferShapes(model).get(first.inputs[1])?.dtype ?? model.graph.initializers.get(weight)!.dtype
  const draft = createDraft(model)
  const { v, u, scale } = factorTensors(first.op, rows, terms, shape, type)
  const names = {
    v: draft.constant(`${weight}.v`, v),
    scale: draft.constant(`${weight}.d`, scale),
    u: draft.constant(`${weight}.u`, u),
  }
  for (const reader of readersOf(model, weight)) {
    const { node } = reader
    const position = draft.nodes.indexOf(node)
    const name = reader.name
    const { inner, outer } = attributesOfParts(node.op, node.attributes)
    const narrow = draft.add(first.op === 'ConvTranspose' ? 'Conv' : node.op, [node.inputs[0], names.v], inner, {
      name: partName(name, 'v'),
    })
    const scaled = draft.add('Mul', [narrow, names.scale], {}, { name: partName(name, 'd') })
    draft.add(node.op, [scaled, names.u, ...node.inputs.slice(2)], outer, { name: partName(name, 'u') })
    draft.nodes[position] = { ...draft.nodes.pop()!, outputs: node.outputs }
  }
  return { model: draft.finish(), ...names }
}

type Attributes = Readonly<Record<string, Attribute>>

/** What of a layer's attributes the first part takes, and what the last. */
function attributesOfParts(
  op: string,
  attributes: Attributes,
): { inner: Record<string, AttributeValue>; outer: Record<string, AttributeValue> } {
  const group: Record<string, AttributeValue> = attributes.group ? { group: attributes.group } : {}
  switch (op) {
    case 'Conv':
      return { inner: attributes, outer: group }
    case 'ConvTranspose':
      return { inner: group, outer: attributes }
    case 'Gemm': {
      const { transA, alpha, beta } = attributes
      const transB = toAttribute(1)
      return {
        inner: { ...(transA ? { transA } : {}), transB },
        outer: { ...(alpha ? { alpha } : {}), ...(beta ? { beta } : {}), transB },
      }
    }
    default:
      return { inner: {}, outer: {} }
  }
}

/** The factors in the layouts that the operators read. */
function factorTensors(
  op: string,
  { count, length, groups }: WeightRows,
  terms: readonly (readonly Term[])[],
  shape: readonly number[],
  dtype: DType,
): { v: Tensor; u: Tensor; scale: Tensor } {
  const rank = terms[0].length
  const rows = count / groups
  const tensor = (sizes: readonly number[], values: Float32Array) => fromFloat32(dtype, sizes, values)
  const all = terms.flat()
  const columnsOf = joined(all.map(({ v }) => v))
  const scales = Float32Array.from(all, ({ scale }) => scale)
  const spatial = shape.slice(2)
  const ones = spatial.map(() => 1)
  // [groups, rank, rows] and, behind one another in each group, [groups, rows, rank].
  const byTerm = joined(all.map(({ u }) => u))
  const byRow = joined(terms.map((own) => transposed(joined(own.map(({ u }) => u)), rank, rows)))
  const channelScales = tensor([groups * rank, ...ones], scales)
  switch (op) {
    case 'Conv':
      return {
        v: tensor([groups * rank, ...shape.slice(1)], columnsOf),
        u: tensor([count, rank, ...ones], byRow),
        scale: channelScales,
      }
    case 'ConvTranspose':
      return {
        v: tensor([groups * rank, length, ...ones], columnsOf),
        u: tensor([groups * rank, rows / elementCount(spatial), ...spatial], byTerm),
        scale: channelScales,
      }
    case 'Gemm':
      return { v: tensor([rank, length], columnsOf), u: tensor([rows, rank], byRow), scale: tensor([rank], scales) }
    default:
      return {
        v: tensor([length, rank], transposed(columnsOf, rank, length)),
        u: tensor([rank, rows], byTerm),
        scale: tensor([rank], scales),
      }
  }
}

function joined(parts: readonly ArrayLike<number>[]): Float32Array {
  const result = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    result.set(part, at)
    at += part.length
  }
  return result
}

/** [rows, columns] as [columns, rows]. */
function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  return values.map((_, i) => values[(i % rows) * columns + Math.floor(i / rows)])
}
