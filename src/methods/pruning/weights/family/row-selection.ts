/** Methods that remove weights of a layer by the Hessian of its squared output error, row by row. */
import { UsageError } from '../../../../errors.ts'
import { fromFloat32 } from '../../../../tensor/half.ts'
import type { InputMoments } from '../../../calibration.ts'
import type { Context } from '../../../method.ts'
import { createPace } from '../../../pace.ts'
import {
  joinRows,
  momentsOfWeights,
  NO_MOMENTS,
  rowHessian,
  splitRows,
  type HessianOptions,
} from '../../../row-hessians.ts'
import { weightRows, type WeightRows } from '../../../weight-rows.ts'
import { withInitializers } from '../../../weights.ts'
import type { LayersToSelect, PruningOptions } from './family.ts'
import { parsePattern, unitsOf, type Units } from './patterns.ts'

export type RowOptions = PruningOptions & HessianOptions

/** A layer as such a method sees it. */
export interface RowsToPrune<Options extends RowOptions = RowOptions> {
  readonly name: string
  readonly rows: WeightRows
  /** The weights, [rows][K]. */
  readonly values: readonly Float64Array[]
  readonly moments: InputMoments
  /** How many weights are to be zero afterwards, those included that are zero already. */
  readonly remove: number
  /** With a pattern N:M for each row and place the set it belongs to, [rows][K], and how many of each set are to go. */
  readonly pattern?: { readonly of: readonly Float64Array[]; readonly remove: Uint32Array }
  readonly options: Options
  readonly context: Context
  /** To be called with the multiplications done, now and then. */
  readonly pace: (multiplications: number) => Promise<void>
}

/**
 * The selection of a method that works on rows: `prune` gives the new rows of a layer. A layer whose inputs cannot be
 * measured stays as it is, and the report says so.
 * @param sequential whether each layer's inputs are those that the layers pruned before it give; otherwise, in one pass,
 * those of the model as it came.
 */
export function selectByRows<Options extends RowOptions>(
  prune: (layer: RowsToPrune<Options>) => Promise<readonly Float64Array[]>,
  { sequential = false } = {},
): (input: LayersToSelect<Options>) => Promise<ReadonlyMap<string, Float32Array>> {
  return async ({ model, layers, options, context }) => {
    if (options.scope === 'global')
      throw new UsageError('layer-scope-only', 'errors at the outputs of different layers cannot be compared', {
        place: 'scope',
        hint: 'Use scope: layer, and options of single layers where they are to lose different shares.',
      })
    const all = new Set(layers.map(({ layer }) => layer.weight))
    const shared = sequential ? undefined : await momentsOfWeights(model, all, options.samples, context)
    const pace = createPace(context)
    const pruned = new Map<string, Float32Array>()
    let current = model
    for (const [position, { layer, weight, shape, remove }] of layers.entries()) {
      const { name } = layer
      context.progress?.({ task: 'select', done: position, total: layers.length, detail: { layer: name } })
      const rows = weightRows(model, layer)
      const moments = shared ?? (await momentsOfWeights(current, new Set([layer.weight]), options.samples, context))
      const own = moments.get(layer.weight)
      if (!rows || !own) {
        context.skip(name, NO_MOMENTS)
        continue
      }
      const kind = parsePattern(options.pattern)
      const units = kind && unitsOf(model, layer, kind)
      const values = splitRows(weight, rows)
      const pattern = units && patternOf(units, rows)
      const after = await prune({ name, rows, values, moments: own, remove, pattern, options, context, pace })
      const joined = joinRows(after, rows)
      pruned.set(layer.weight, joined)
      const { dtype } = model.graph.initializers.get(layer.weight)!
      if (sequential) current = withInitializers(current, new Map([[layer.weight, fromFloat32(dtype, shape, joined)]]))
    }
    context.progress?.({ task: 'select', done: layers.length, total: layers.length })
    return pruned
  }
}

function patternOf({ of, count, keep }: Units, rows: WeightRows): RowsToPrune['pattern'] {
  const remove = new Uint32Array(count)
  for (const unit of of) remove[unit]++
  if (keep) for (let unit = 0; unit < count; unit++) remove[unit] -= keep[unit]
  return { of: splitRows(of, rows), remove }
}

/** The group of each row, by which it finds its Hessian. */
export function groupOf({ count, groups }: WeightRows, row: number): number {
  return Math.floor(row / (count / groups))
}

/** What `make` makes of each group's damped Hessian, [K, K], made when it is first asked for. */
export function byGroup<Made>(
  { moments, options }: Pick<RowsToPrune, 'moments' | 'options'>,
  make: (hessian: Float64Array) => Made,
): (group: number) => Made {
  const made = new Map<number, Made>()
  return (group) => {
    const known = made.get(group)
    if (known !== undefined) return known
    const fresh = make(rowHessian(moments, group, options.damping))
    made.set(group, fresh)
    return fresh
  }
}
