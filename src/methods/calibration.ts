/** What the inputs of layers look like on data: the statistics by which errors of weights are weighed. */
import { checkInputs, NO_TRAINING_EXAMPLES, type Dataset } from '../datasets/dataset.ts'
import type { Session } from '../engines/engine.ts'
import { UsageError } from '../errors.ts'
import { createDraft, type AttributeValue, type Draft } from '../ir/draft.ts'
import { intAttribute, type Model } from '../ir/model.ts'
import { toFloat32Model } from '../ir/precision.ts'
import type { Layer } from '../ir/rewrite.ts'
import { rebatch } from '../ir/shapes.ts'
import { toFloat32 } from '../tensor/half.ts'
import { createTensor, float32, int64, type Tensor } from '../tensor/tensor.ts'
import { fitInput, type FittedInput } from '../training/predictor.ts'
import type { Context } from './method.ts'
import { weightRows, type WeightRows } from './weight-rows.ts'

/** Second moments of what the rows of a layer are multiplied with, averaged over examples and places. */
export interface InputMoments {
  readonly groups: number
  /** Inputs that a row sees, K. */
  readonly length: number
  /** E[x], [groups, K]. */
  readonly mean: Float64Array
  /** E[x xᵀ], [groups, K, K]. */
  readonly gram: Float64Array
}

/** Layers whose rows are longer than this get no moments: their matrix would not fit the memory of a browser. */
export const LONGEST_ROW = 2400

/** Elements of all matrices that one pass over the data collects. */
const MOST_ELEMENTS = 2 ** 22

/** Examples of one run of the engine. */
export const CALIBRATION_BATCH = 8

/** The examples that statistics are taken from. @throws UsageError when there are none. */
export function calibrationSet({ data }: Pick<Context, 'data'>): Dataset {
  if (data && data.train.size > 0) return data.train
  if (data)
    throw new UsageError(
      'no-calibration-data',
      'the inputs of layers are to be measured on training examples, and there are only others',
      { place: data.train.name, hint: NO_TRAINING_EXAMPLES },
    )
  throw new UsageError('no-calibration-data', 'the inputs of layers are to be measured, but there is no data', {
    place: 'data',
    hint: 'Name a data set with data: in the recipe or --data, or choose a method that needs none.',
  })
}

/**
 * Runs the model on the first `samples` examples and returns E[x] and E[x xᵀ] of each layer's inputs, by the name of its
 * weight; of a weight that several layers read the mean over these. Patches of convolutions are cut out by a convolution
 * with an identity kernel, so that the engine does the work. Layers without `weightRows`, transposed convolutions whose
 * places overlap included, or with very long rows have no entry.
 * @throws UsageError when the model's input does not fit the data, or there are no examples.
 */
export async function inputMoments(
  model: Model,
  layers: readonly Layer[],
  data: Dataset,
  samples: number,
  context: Pick<Context, 'engine' | 'signal' | 'progress'>,
): Promise<ReadonlyMap<string, InputMoments>> {
  const wide = rebatch(toFloat32Model(model), CALIBRATION_BATCH)
  const input = fitInput(wide, data.inputShape)
  const found = new Map<string, InputMoments & { readers: number }>()
  const usable = layers.flatMap((layer) => {
    const rows = weightRows(model, layer)
    return rows && rows.length <= LONGEST_ROW ? [{ layer, rows }] : []
  })
  const parts = inParts(usable)
  for (const [part, members] of parts.entries()) {
    const draft = createDraft(wide)
    draft.outputs.splice(0)
    for (const member of members) addMoments(draft, member, wide)
    const session = await context.engine.createSession(draft.finish(), { purpose: 'check' })
    try {
      const sums = await sumOutputs(session, input, data, samples, {
        onDone(done) {
          context.signal?.throwIfAborted()
          const total = parts.length * samples
          context.progress?.({ task: 'calibrate', done: part * samples + done, total })
        },
      })
      for (const [i, member] of members.entries()) {
        const [gram, mean, count] = session.outputs.slice(3 * i, 3 * i + 3).map((name) => sums.get(name)!)
        accumulate(found, member, { gram, mean, count: count[0] })
      }
    } finally {
      await session.close()
    }
  }
  return found
}

/** A layer whose inputs are looked at. */
export interface Member {
  readonly layer: Layer
  readonly rows: WeightRows
}

function inParts(members: readonly Member[]): Member[][] {
  const parts: Member[][] = []
  let elements = MOST_ELEMENTS
  for (const member of members) {
    const own = member.rows.groups * member.rows.length ** 2
    if (elements + own > MOST_ELEMENTS) {
      parts.push([])
      elements = 0
    }
    parts.at(-1)!.push(member)
    elements += own
  }
  return parts
}

function listsOf(draft: Draft): (values: readonly number[]) => string {
  return (values) => draft.constant('calibration.list', int64(values))
}

/** Appends the sums of x xᵀ, of x and of 1 as three outputs. */
function addMoments(draft: Draft, member: Member, model: Model): void {
  const list = listsOf(draft)
  const columns = addColumns(draft, member, model)
  const square = draft.add('MatMul', [columns, draft.add('Transpose', [columns], { perm: [0, 2, 1] })])
  draft.output(square, 'float32')
  draft.output(draft.add('ReduceSum', [columns, list([2])], { keepdims: 0 }), 'float32')
  draft.output(draft.add('Cast', [draft.add('Shape', [columns], { start: 2, end: 3 })], { to: 1 }), 'float32')
}

/**
 * Appends the inputs of a layer's rows as columns, [groups, K, examples and places].
 * @param model where the shape of the layer's weight is found, with `CALIBRATION_BATCH` examples.
 */
export function addColumns(draft: Draft, { layer, rows }: Member, model: Model): string {
  const list = listsOf(draft)
  const { node, input } = layer
  const { groups, length } = rows
  const x = node.inputs[1 - input]
  if (node.op.startsWith('Conv')) {
    const patches = node.op === 'Conv' ? addPatches(draft, { layer, rows }, model) : x
    const split = draft.add('Reshape', [patches, list([CALIBRATION_BATCH, groups, length, -1])])
    const together = draft.add('Transpose', [split], { perm: [1, 2, 0, 3] })
    return draft.add('Reshape', [together, list([groups, length, -1])])
  }
  // A left factor is summed over its last axis, a right one over the last but one, unless Gemm transposes it.
  const transposed = node.op === 'Gemm' && intAttribute(node, input === 1 ? 'transA' : 'transB', 0) !== 0
  const rowsFirst = (input === 1) !== transposed ? x : draft.add('Transpose', [x], { perm: [1, 0] })
  const flat = draft.add('Reshape', [rowsFirst, list([-1, length])])
  return draft.add('Unsqueeze', [draft.add('Transpose', [flat], { perm: [1, 0] }), list([0])])
}

/** The patches that a convolution looks at, [N, groups · K, ...places]: filter k of a group picks element k. */
function addPatches(draft: Draft, { layer: { node, weight }, rows: { groups, length } }: Member, model: Model): string {
  const kernel = new Float32Array(groups * length * length)
  for (let g = 0; g < groups; g++) for (let k = 0; k < length; k++) kernel[(g * length + k) * length + k] = 1
  const shape = [groups * length, ...model.graph.initializers.get(weight)!.shape.slice(1)]
  const attributes = node.attributes as Readonly<Record<string, AttributeValue>>
  return draft.add('Conv', [node.inputs[0], draft.constant('calibration.kernel', float32(kernel, shape))], attributes)
}

/** Further inputs of a run, and what is called after each. */
export interface SumOptions {
  readonly extra?: (labels: Int32Array) => Readonly<Record<string, Tensor>>
  readonly onDone: (examples: number) => void
}

/** Runs batch after batch and adds up all outputs; where the examples do not fill the last batch it begins anew. */
export async function sumOutputs(
  session: Session,
  input: FittedInput,
  data: Dataset,
  samples: number,
  { extra, onDone }: SumOptions,
): Promise<ReadonlyMap<string, Float64Array>> {
  const sums = new Map<string, Float64Array>()
  const count = Math.min(samples, data.size)
  for (let start = 0; start < count; start += CALIBRATION_BATCH) {
    const examples = Array.from({ length: CALIBRATION_BATCH }, (_, i) => (start + i) % count)
    const batch = await data.batch(examples)
    checkInputs(data, examples, batch)
    const { inputs, labels } = batch
    const outputs = await session.run({
      ...extra?.(labels),
      [input.name]: createTensor('float32', input.shape(CALIBRATION_BATCH), inputs.data),
    })
    for (const [name, tensor] of Object.entries(outputs)) {
      const values = toFloat32(tensor)
      const sum = sums.get(name) ?? new Float64Array(values.length)
      for (let i = 0; i < values.length; i++) sum[i] += values[i]
      sums.set(name, sum)
    }
    onDone(Math.min(count, start + CALIBRATION_BATCH))
  }
  return sums
}

interface Sums {
  readonly gram: Float64Array
  readonly mean: Float64Array
  readonly count: number
}

/** Adds one reader's moments to those of a weight, as the mean over the readers. */
function accumulate(
  found: Map<string, InputMoments & { readers: number }>,
  { layer: { weight }, rows: { groups, length } }: Member,
  { gram, mean, count }: Sums,
): void {
  const known = found.get(weight)
  const readers = (known?.readers ?? 0) + 1
  const blend = (sum: Float64Array, old: Float64Array | undefined) =>
    sum.map((value, i) => (value / count + (old ? old[i] * (readers - 1) : 0)) / readers)
  found.set(weight, { groups, length, readers, gram: blend(gram, known?.gram), mean: blend(mean, known?.mean) })
}
