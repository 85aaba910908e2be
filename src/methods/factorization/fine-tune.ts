/** Training of factors through their codes: the graph in which they are, and what comes out of it. */
import { constantValues } from '../../ir/constant-values.ts'
import { createDraft, type Draft } from '../../ir/draft.ts'
import type { Model } from '../../ir/model.ts'
import { toFloat32Model, withNarrowedInitializers } from '../../ir/precision.ts'
import { layers, type Layer } from '../../ir/rewrite.ts'
import { fromFloat32, toFloat32 } from '../../tensor/half.ts'
import { scalar, type Tensor } from '../../tensor/tensor.ts'
import type { Constraint } from '../../training/extensions.ts'
import { trainableParameters } from '../../training/parameters.ts'
import type { Context } from '../method.ts'
import { retrain, type RetrainOption } from '../retraining.ts'
import { checkFrozen, checkReached } from '../trained-graphs.ts'
import type { WeightRows } from '../weight-rows.ts'
import { withInitializers } from '../weights.ts'
import { balanceLatents, recoverLatents, type Balanced, type CodeReach } from './latents.ts'
import { splitLayer, type Split } from './split.ts'
import type { Term } from './terms.ts'

/** How codes follow from the full-precision numbers behind them. */
export interface CodeTraining {
  /** Appends the nodes that give each latent, as a multiple of a code of one, its code; `literal` makes a scalar. */
  encode(draft: Draft, latent: string, literal: (value: number) => string): string
  /** The latents, as multiples, are clipped to ± this after each update. */
  readonly clip: number
  /** What latents of a code may be when training starts. */
  readonly reach: CodeReach
}

/** The factors of one group of a layer. */
export interface GroupFactors {
  /** What they were fitted to, [rows, columns] behind one another. */
  readonly matrix: Float64Array
  readonly terms: readonly Term[]
}

/** A layer that was factorized. */
export interface FactorizedLayer {
  /** As it was. */
  readonly layer: Layer
  readonly rows: WeightRows
  /** One entry a group, as many terms in each. */
  readonly groups: readonly GroupFactors[]
}

/** How often all latents are gone over in their recovery. */
const RECOVERY_SWEEPS = 10

/** A factor in the graph that trains it. */
interface TrainedFactor {
  /** The initializer of its latents. */
  readonly name: string
  /** What a code of one stands for. */
  readonly unit: number
  /** The value that holds its codes. */
  readonly codes: string
}

/** The factors of a layer in the graph that trains them. */
interface TrainedLayer {
  readonly split: Split
  readonly factors: readonly TrainedFactor[]
}

/**
 * Trains the network with its layers factorized: in the forward pass with the codes, while gradients go straight
 * through to latents of full precision, and with the scales and everything else that is trained ordinarily. Latents
 * start where weight recovery and weight balancing put them. A layer of zeros stays one.
 * @param freeze makes integers of the codes, plain floats, that the named initializers of a split model hold.
 * @returns the frozen model; that it computes what was trained is proved.
 * @throws UsageError when no gradient reaches one of the layers.
 */
export async function fineTune(
  model: Model,
  done: readonly FactorizedLayer[],
  training: CodeTraining,
  settings: Exclude<RetrainOption, false>,
  context: Context,
  { name, freeze }: { readonly name: string; freeze(split: Model, factors: readonly string[]): Model },
): Promise<Model> {
  checkReached(
    toFloat32Model(model),
    done.map(({ layer }) => layer),
  )
  const { split, latents } = splitByLatents(model, done, training.reach)
  const draft = createDraft(toFloat32Model(split))
  const trainedLayers = latents.map((one) => emitCodes(draft, one, training))
  const graph = draft.finish()
  const factors = trainedLayers.flatMap((one) => one.factors)
  const dead = new Set(done.flatMap((one, i) => (isZero(one) ? namesOf(latents[i].split) : [])))
  const own = trainedLayers.flatMap((one) => namesOf(one.split))
  const parameters = [...new Set([...trainableParameters(graph), ...own])].filter((parameter) => !dead.has(parameter))
  const constraint = clipping(training.clip, factors)
  const trained = await retrain(graph, parameters, settings, context, 'fine-tune', { constraint })
  const after = withNarrowedInitializers(graph, trained)
  const coded = withCodes(withNarrowedInitializers(split, trained), after, trainedLayers)
  const result = freeze(
    coded,
    factors.map((factor) => factor.name),
  )
  context.proved?.(await checkFrozen(name, after, result, context))
  return result
}

const namesOf = ({ v, u, scale }: Split) => [v, u, scale]

const isZero = ({ groups }: FactorizedLayer) => groups.every(({ matrix }) => matrix.every((value) => value === 0))

interface LatentLayer {
  readonly split: Split
  readonly balanced: Balanced
}

/** The model with latents in the places of the codes. */
function splitByLatents(
  model: Model,
  done: readonly FactorizedLayer[],
  reach: CodeReach,
): { split: Model; latents: LatentLayer[] } {
  const latents: LatentLayer[] = []
  let current = model
  for (const { layer, rows, groups } of done) {
    const balanced = balancedOf(groups, reach)
    const rank = groups[0].terms.length
    const terms = groups.map((_, g) =>
      Array.from({ length: rank }, (__, k) => ({
        u: balanced.x[g * rank + k],
        v: balanced.y[g * rank + k],
        scale: balanced.scales[g * rank + k],
      })),
    )
    const now = layers(current).find(({ weight }) => weight === layer.weight)!
    const split = splitLayer(current, now, rows, terms)
    current = split.model
    latents.push({ split, balanced })
  }
  return { split: current, latents }
}

/** Latents of all groups, balanced together: a factor of a layer is one tensor. */
function balancedOf(groups: readonly GroupFactors[], reach: CodeReach): Balanced {
  const found = groups.map(({ matrix, terms }) => recoverLatents(matrix, terms, RECOVERY_SWEEPS, reach))
  return balanceLatents({
    x: found.flatMap(({ x }) => x),
    y: found.flatMap(({ y }) => y),
    scales: Float64Array.from(found.flatMap(({ scales }) => [...scales])),
  })
}

/** Puts in the place of each factor its codes times what a code of one stands for. */
function emitCodes(draft: Draft, { split, balanced }: LatentLayer, { encode }: CodeTraining): TrainedLayer {
  const emit = (name: string, unit: number): TrainedFactor => {
    const literal = (value: number) => draft.constant(`${name}.literal`, scalar('float32', value))
    const step = literal(unit)
    let codes = ''
    draft.interpose(name, () => {
      codes = encode(draft, draft.add('Div', [name, step]), literal)
      return draft.add('espalier.StraightThrough', [name, draft.add('Mul', [codes, step])])
    })
    return { name, unit: Math.fround(unit), codes }
  }
  return { split, factors: [emit(split.v, balanced.unitY), emit(split.u, balanced.unitX)] }
}

function clipping(clip: number, factors: readonly TrainedFactor[]): Constraint {
  const bounds = new Map(factors.map(({ name, unit }) => [name, clip * unit]))
  return (draft, parameter, value) => {
    const bound = bounds.get(parameter)
    if (bound === undefined) return value
    const limits = [-bound, bound].map((limit) => draft.constant('bound', scalar('float32', limit)))
    return draft.add('Clip', [value, ...limits])
  }
}

/** The split model with the codes that the graph computes, and scales that take up what a code of one stands for. */
function withCodes(split: Model, graph: Model, trained: readonly TrainedLayer[]): Model {
  const value = constantValues(graph)
  const changed = trained.flatMap(({ split: { scale }, factors }) => {
    const unit = factors.reduce((product, factor) => product * factor.unit, 1)
    const scales = toFloat32(graph.graph.initializers.get(scale)!).map((number) => number * unit)
    return [
      [scale, narrowed(split, scale, scales)] as const,
      ...factors.map(({ name, codes }) => [name, narrowed(split, name, toFloat32(value(codes)!))] as const),
    ]
  })
  return withInitializers(split, new Map(changed))
}

/** Numbers in the type and shape that an initializer has. */
function narrowed({ graph }: Model, name: string, values: Float32Array): Tensor {
  const { dtype, shape } = graph.initializers.get(name)!
  return fromFloat32(dtype, shape, values)
}
