import { z } from 'zod'
import { cutDeadChannels } from '../../../ir/cut-dead.ts'
import type { Draft } from '../../../ir/draft.ts'
import { graphIndex } from '../../../ir/graph.ts'
import { intAttribute, type Model } from '../../../ir/model.ts'
import type { Layer } from '../../../ir/rewrite.ts'
import { int64 } from '../../../tensor/tensor.ts'
import { layerChoiceOptions, layerKind, layerOverrides, optionsOfLayer } from '../../layer-choice.ts'
import { defineMethod, type Context } from '../../method.ts'
import { createCutProof } from './family/cut-proof.ts'
import { retrainMasked } from '../rounds.ts'
import {
  assertAlive,
  reportFull,
  scalarIn,
  scaledOverrides,
  sparseLayers,
  sparseTrainingOptions,
  trainShrinking,
  type Shrink,
} from '../sparse-training.ts'

const MOST = 10
const lambda = z.number().min(0).max(MOST)

/** The penalties, by kind of group. */
const lambdas = {
  filters: lambda.describe('what the norm of a filter costs, in units of the loss'),
  channels: lambda.describe('what the norm of all weights that read one channel costs'),
  shapes: lambda.describe('what the norm of the weights at one place of all filters costs'),
  depth: lambda.describe('what the norm of a whole layer costs, where something leads around it'),
}

type Kind = keyof typeof lambdas

const options = z.strictObject({
  filters: lambdas.filters.default(1e-4),
  channels: lambdas.channels.default(1e-4),
  shapes: lambdas.shapes.default(0),
  depth: lambdas.depth.default(0),
  ...sparseTrainingOptions,
  ...layerChoiceOptions,
  layers: layerOverrides(lambdas),
})

type Options = z.infer<typeof options>

/**
 * Wen et al. 2016, equations 1 to 5: group lasso, Σ_g λ ‖w_g‖₂, over the filters W[n, :, :, :], the channels W[:, c, :, :],
 * the places W[:, c, m, k] of filters and the whole weight of layers around which a shortcut leads; rows and columns of
 * dense layers are filters and channels. The channels that die are cut with all that belongs to them, and what is left is
 * trained without the penalty. λ R(W) of equation 1 is the weight decay of the training settings.
 *
 * Differs from the paper: the penalty is not added to the loss, where norms only come near zero and a threshold of 1e-4
 * decides, but each update is followed by its proximal step, w_g ← w_g · max(0, 1 − η λ / ‖w_g‖), which makes zeros; where
 * groups overlap, the kinds take turns. Places of filters that died stay as zeros, since no dense operator leaves them out,
 * and so does a layer that died as a whole, whose channels are those of the shortcut; the report says so.
 */
export const structuredSparsity = defineMethod({
  name: 'structured-sparsity',
  family: 'pruning',
  summary: 'Trains with a penalty on the norms of filters and channels that makes whole ones vanish, and cuts these.',
  paper: {
    title: 'Learning Structured Sparsity in Deep Neural Networks',
    authors: 'Wen, Wu, Wang, Chen, Li',
    venue: 'NIPS',
    year: 2016,
    arxiv: '1608.03665',
  },
  needs: ['training-data', 'gradients'],
  options,
  apply,
  strength: (written, s) => ({
    ...written,
    ...scaledOverrides({ own: lambdasOf(written) }, s * s, MOST).own,
    ...(written.layers ? { layers: scaledOverrides(written.layers, s * s, MOST) } : {}),
  }),
})

async function apply(model: Model, written: Options, context: Context): Promise<Model> {
  const shrinks = new Map<string, Shrink>()
  const penalised: Layer[] = []
  const mortal: Layer[] = []
  for (const layer of sparseLayers(model, written, context)) {
    const around = hasWayAround(model, layer)
    const groups = groupsOf(model, layer, lambdasOf(optionsOfLayer(written, layer, model)), around)
    if (groups.length > 0) {
      shrinks.set(layer.weight, shrinkGroups(groups))
      penalised.push(layer)
    } else context.skip(layer.name, 'none of the groups that it has is penalised')
    if (!around) mortal.push(layer)
  }
  if (shrinks.size === 0) return model
  const trained = await trainShrinking(model, shrinks, written, context)
  assertAlive(trained, mortal, 'Lower its penalties, or exclude the layer.')
  reportFull(trained, penalised, context)
  const { model: cut, left } = cutDeadChannels(trained)
  for (const { layer, channels, reason } of left)
    context.skip(layer, `${channels.length} of its channels do nothing, but stay: ${reason}`)
  const proof = createCutProof('structured-sparsity', context)
  await proof.compare(trained, new Map(), cut)
  const check = proof.check()
  if (check) context.proved?.(check)
  return retrainMasked(cut, new Map(), { ...written.retrain, ...written.finish }, context, 'retrain')
}

function lambdasOf({ filters, channels, shapes, depth }: Record<Kind, number>): Record<Kind, number> {
  return { filters, channels, shapes, depth }
}

/** The groups of one kind: the weights that agree in all axes but these. */
interface Groups {
  readonly axes: readonly number[]
  readonly lambda: number
}

/** The groups of a layer. Where a convolution has groups of its own, an index of its inputs stands for several channels. */
function groupsOf(model: Model, layer: Layer, penalties: Record<Kind, number>, around: boolean): Groups[] {
  const { outAxis, inAxis } = layer
  const { shape } = model.graph.initializers.get(layer.weight)!
  const single = intAttribute(layer.node, 'group', 1) === 1
  const without = (kept: number | undefined) => shape.map((_, axis) => axis).filter((axis) => axis !== kept)
  const kinds: [Kind, readonly number[] | undefined][] = [
    ['filters', outAxis !== undefined && (single || layer.node.op === 'Conv') ? without(outAxis) : undefined],
    ['channels', inAxis !== undefined && single ? without(inAxis) : undefined],
    ['shapes', outAxis !== undefined && single && layerKind(layer) === 'conv' ? [outAxis] : undefined],
    ['depth', around ? without(undefined) : undefined],
  ]
  return kinds.flatMap(([kind, axes]) => (axes && penalties[kind] > 0 ? [{ axes, lambda: penalties[kind] }] : []))
}

/** w_g ← w_g · max(0, 1 − η λ / ‖w_g‖₂), kind after kind. */
function shrinkGroups(kinds: readonly Groups[]): Shrink {
  return (draft, value, step) => {
    let shrunk = value
    for (const { axes, lambda } of kinds) {
      const norm = normOf(draft, shrunk, axes)
      const share = draft.add('Sub', [scalarIn(draft, 1), draft.add('Div', [step(lambda), norm])])
      shrunk = draft.add('Mul', [shrunk, draft.add('Relu', [share])])
    }
    return shrunk
  }
}

/** ‖w_g‖₂, as good as nothing where a group is zero. */
function normOf(draft: Draft, value: string, axes: readonly number[]): string {
  const norm = draft.add('ReduceL2', [value, draft.constant('axes', int64(axes))], { keepdims: 1 })
  return draft.add('Add', [norm, scalarIn(draft, 1e-20)])
}

/** Whether the output depends on an input even when the layer gives nothing. */
function hasWayAround({ graph }: Model, { node }: Layer): boolean {
  const index = graphIndex(graph)
  const outputs = new Set(graph.outputs.map(({ name }) => name))
  const pending = graph.inputs.map(({ name }) => name).filter((name) => !graph.initializers.has(name))
  const seen = new Set(pending)
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    if (outputs.has(value)) return true
    for (const reader of index.consumers(value))
      if (reader !== node)
        for (const output of reader.outputs) if (!seen.has(output) && seen.add(output)) pending.push(output)
  }
  return false
}
