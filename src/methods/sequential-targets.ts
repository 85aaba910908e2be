/** What a layer's weights should be for the inputs that already changed layers give it. */
import { createDraft, type Draft } from '../ir/draft.ts'
import { renameNodes } from '../ir/inline.ts'
import type { Model } from '../ir/model.ts'
import { toFloat32Model } from '../ir/precision.ts'
import { layers, type Layer } from '../ir/rewrite.ts'
import { rebatch } from '../ir/shapes.ts'
import { solveCholesky, times } from '../tensor/linalg.ts'
import { fitInput } from '../training/predictor.ts'
import { addColumns, CALIBRATION_BATCH, calibrationSet, LONGEST_ROW, sumOutputs } from './calibration.ts'
import type { Context } from './method.ts'
import { factorOf, rowHessian, splitRows, type HessianOptions } from './row-hessians.ts'
import { weightRows } from './weight-rows.ts'
import { finiteWeights } from './weights.ts'

/** The least squares problem of a layer whose inputs have changed. */
export interface SequentialTargets {
  /** The rows to approximate, [rows][K]. */
  readonly targets: readonly Float64Array[]
  /** Of each group H = E[x̂ x̂ᵀ], damped, [K, K]: an error e of a row counts eᵀ H e. */
  readonly hessians: readonly Float64Array[]
}

/**
 * Methods that change one layer after the other are to keep what each layer put out in the original, w x, on the inputs x̂
 * that the changed layers before it give: E[(w x - ŵ x̂)²] = (t - ŵ)ᵀ H (t - ŵ) and what no ŵ reaches, with
 * t = H⁻¹ E[x̂ xᵀ] w. Where nothing in front has changed, t is w. Damping is added to both moments.
 * @param original the model before any layer was changed; it still has the weight.
 * @param current the model as it is now; the layers that read the weight are as they were.
 * @returns undefined where the rows cannot be told, or are very long.
 * @throws UsageError when there is no data, or it does not fit the model.
 */
export async function sequentialTargets(
  original: Model,
  current: Model,
  weight: string,
  { samples, damping }: HessianOptions,
  context: Context,
): Promise<SequentialTargets | undefined> {
  const readers = layers(current).filter((layer) => layer.weight === weight)
  const rows = weightRows(current, readers[0])
  const data = calibrationSet(context)
  if (!rows || rows.length > LONGEST_ROW) return undefined
  const wide = rebatch(toFloat32Model(current), CALIBRATION_BATCH)
  const before = rebatch(toFloat32Model(original), CALIBRATION_BATCH)
  const draft = createDraft(wide)
  draft.outputs.splice(0)
  const renamed = appendModel(draft, before)
  const twin = new Map(layers(original).map((layer) => [layer.name, layer]))
  for (const layer of readers) addProducts(draft, { layer, twin: twin.get(layer.name)!, renamed }, wide)
  const session = await context.engine.createSession(draft.finish(), { purpose: 'check' })
  try {
    const input = fitInput(wide, data.inputShape)
    const sums = await sumOutputs(session, input, data, samples, {
      onDone(done) {
        context.signal?.throwIfAborted()
        context.progress?.({ task: 'calibrate', done, total: samples, detail: { layer: readers[0].name } })
      },
    })
    const [gram, cross] = [0, 1].map((which) => {
      const parts = readers.map((_, i) => sums.get(session.outputs[2 * i + which])!)
      return parts.reduce((all, part) => all.map((value, i) => value + part[i]))
    })
    const values = splitRows(finiteWeights(weight, current.graph.initializers.get(weight)!), rows)
    return solve({ ...rows, gram, cross }, values, damping, readers[0].name)
  } finally {
    await session.close()
  }
}

/** Puts the nodes of another model with the same inputs into a draft, and returns what its values are called there. */
function appendModel(draft: Draft, { graph }: Model): Map<string, string> {
  const renamed = new Map<string, string>()
  const inputs = new Set(graph.inputs.map(({ name }) => name))
  for (const [name, tensor] of graph.initializers)
    if (!inputs.has(name)) renamed.set(name, draft.constant(name, tensor))
  // The names of nodes are not known to the draft: a prefix sets the copies apart.
  const fresh = (hint: string) => draft.fresh(`original/${hint}`)
  draft.nodes.push(...renameNodes(graph.nodes, renamed, undefined, fresh))
  return renamed
}

interface Twins {
  readonly layer: Layer
  /** The same layer in the original. */
  readonly twin: Layer
  readonly renamed: ReadonlyMap<string, string>
}

/** Appends the sums of x̂ x̂ᵀ and of x̂ xᵀ as two outputs. */
function addProducts(draft: Draft, { layer, twin, renamed }: Twins, model: Model): void {
  const rows = weightRows(model, layer)!
  const inputs = twin.node.inputs.map((name) => renamed.get(name) ?? name)
  const now = addColumns(draft, { layer, rows }, model)
  const then = addColumns(draft, { layer: { ...layer, node: { ...twin.node, inputs } }, rows }, model)
  for (const columns of [now, then])
    draft.output(draft.add('MatMul', [now, draft.add('Transpose', [columns], { perm: [0, 2, 1] })]), 'float32')
}

interface Moments {
  readonly groups: number
  readonly length: number
  readonly count: number
  /** Sums of x̂ x̂ᵀ and of x̂ xᵀ, [groups, K, K]. */
  readonly gram: Float64Array
  readonly cross: Float64Array
}

function solve(
  { groups, length, count, gram, cross }: Moments,
  rows: readonly Float64Array[],
  damping: number,
  place: string,
): SequentialTargets {
  const targets: Float64Array[] = []
  const hessians: Float64Array[] = []
  for (let group = 0; group < groups; group++) {
    const hessian = rowHessian({ groups, length, gram, mean: new Float64Array(0) }, group, damping)
    const factor = factorOf(hessian, length, place)
    const own = cross.slice(group * length ** 2, (group + 1) * length ** 2)
    for (let i = 0; i < length; i++)
      own[i * length + i] += hessian[i * length + i] - gram[(group * length + i) * length + i]
    for (const row of rows.slice((group * count) / groups, ((group + 1) * count) / groups))
      targets.push(solveCholesky(factor, length, times(own, length, row)))
    hessians.push(hessian)
  }
  return { targets, hessians }
}
