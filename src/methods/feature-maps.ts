/** What layers make of data: statistics of each channel's feature map, example by example. */
import { differentiate } from '../autodiff/gradient.ts'
import type { Dataset } from '../datasets/dataset.ts'
import { UnsupportedError, UsageError } from '../errors.ts'
import { createDraft, type Draft } from '../ir/draft.ts'
import { graphIndex, type GraphIndex } from '../ir/graph.ts'
import type { Model, Node } from '../ir/model.ts'
import { toFloat32Model } from '../ir/precision.ts'
import type { Layer } from '../ir/rewrite.ts'
import { inferShapes, rebatch } from '../ir/shapes.ts'
import { toFloat32 } from '../tensor/half.ts'
import { createRandom } from '../tensor/random.ts'
import { createTensor, int64 } from '../tensor/tensor.ts'
import { fitInput } from '../training/predictor.ts'
import { CALIBRATION_BATCH, calibrationSet } from './calibration.ts'
import { outputChannelAxis } from './calibration-sensitivity.ts'
import { withLikelihood } from './likelihood.ts'
import type { Context } from './method.ts'

/** Where the feature map of a layer is read. */
export interface FeatureMap {
  readonly layer: Layer
  /** The value that holds it. */
  readonly value: string
  /** The axis of `value` along which the layer's outputs lie. */
  readonly axis: number
  readonly shape: readonly number[]
}

/** A map in a graph that is to reduce it. */
export interface MapToReduce {
  readonly draft: Draft
  /** [examples, channels, places] or [examples, places, channels]. */
  readonly map: string
  /** The derivative of each example's loss by the map, of the same shape; only where gradients were asked for. */
  readonly gradient: string
  /** The constant that names the axis of the places. */
  readonly places: string
}

/** The statistics of one layer's channels. */
export interface ChannelSamples {
  readonly count: number
  readonly channels: number
  /** One matrix [count, channels] for each value that the reduction returned. */
  readonly statistics: readonly Float32Array[]
  /** The class of each example. */
  readonly labels: Int32Array
}

export interface FeatureMapOptions {
  /** At most so many examples are looked at: the first ones of the training data. */
  readonly samples: number
  /** Whether the reductions need the derivative of the loss, the cross-entropy with the true labels. */
  readonly gradients?: boolean
  /** Whether labels are needed; gradients need them in any case. */
  readonly labels?: boolean
  /** Reduces a map over its places: the names of values [examples, channels]. */
  readonly reduce: (map: MapToReduce) => readonly string[]
}

/** Nodes that give each channel of their input another scale and shift. */
const affine = new Set(['BatchNormalization', 'Add', 'Sub', 'Mul', 'Div', 'Identity'])

/** Nodes that look at a window of each channel: an activation behind them is still the layer's. */
const pooling = new Set(['MaxPool', 'AveragePool'])

const activations = new Set([
  'Relu',
  'LeakyRelu',
  'PRelu',
  'ThresholdedRelu',
  'Elu',
  'Selu',
  'Celu',
  'Gelu',
  'Mish',
  'Softplus',
  'Softsign',
  'Sigmoid',
  'HardSigmoid',
  'HardSwish',
  'Swish',
  'Tanh',
  'Clip',
])

/**
 * Where the feature maps of layers are read: behind batch normalization and the activation, as the papers have it, as far
 * as every value has one reader and the channels keep their axis; where no activation stands behind the layer, in front of
 * what is no scale or shift of single channels, such as the addition of a residual connection. The sizes of the model have to
 * be bound, that of the batch included.
 * @throws UnsupportedError that names the layer when the shape of what it makes cannot be told.
 */
export function featureMaps(model: Model, layers: readonly Layer[]): FeatureMap[] {
  const types = inferShapes(model)
  const index = graphIndex(model.graph)
  const shapeOf = (value: string): readonly number[] | undefined => {
    const shape = types.get(value)?.shape
    return shape?.every((size) => typeof size === 'number') ? shape : undefined
  }
  return layers.map((layer) => {
    const own = shapeOf(layer.node.outputs[0])
    if (!own) throw noMap(layer, 'the shape of what it makes cannot be told')
    const axis = outputChannelAxis(layer, own.length)
    const keeps = (value: string) => shapeOf(value)?.length === own.length && shapeOf(value)![axis] === own[axis]
    const value = activated(layer.node.outputs[0], index, model, keeps)
    return { layer, value, axis, shape: shapeOf(value)! }
  })
}

function activated(output: string, index: GraphIndex, model: Model, keeps: (value: string) => boolean): string {
  let [value, found] = [output, output]
  while (!index.isOutput(value) && index.consumers(value).length === 1) {
    const [node] = index.consumers(value)
    const next = node.outputs[0]
    if (node.domain !== '' || !keeps(next) || !readsAlone(node, value, model)) break
    if (activations.has(node.op)) return next
    if (affine.has(node.op)) found = next
    else if (!pooling.has(node.op)) break
    value = next
  }
  return found
}

/** Whether everything else that a node reads is constant. */
function readsAlone({ inputs }: Node, value: string, { graph }: Model): boolean {
  const others = inputs.filter((input) => input !== value)
  return others.length === inputs.length - 1 && others.every((name) => name === '' || graph.initializers.has(name))
}

function noMap({ name }: Layer, why: string): UnsupportedError {
  return new UnsupportedError('no-feature-map', `the feature map of '${name}' cannot be measured: ${why}`, {
    place: name,
    hint: 'Exclude the layer, or choose a criterion that looks at weights only.',
  })
}

/**
 * Runs the model on training examples, all layers in one pass, and returns the statistics of their feature maps by the name
 * of the layer. The engine reduces the maps, so that only one number an example and channel leaves it.
 * @throws UsageError when there is no data, it does not fit the model's input, or labels that are needed are missing;
 * UnsupportedError when a map cannot be told or, with gradients, the model cannot be differentiated.
 */
export async function measureFeatureMaps(
  model: Model,
  layers: readonly Layer[],
  { samples, gradients = false, labels: labelled = false, reduce }: FeatureMapOptions,
  context: Context,
): Promise<ReadonlyMap<string, ChannelSamples>> {
  const data = calibrationSet(context)
  const wide = rebatch(toFloat32Model(model), CALIBRATION_BATCH)
  const input = fitInput(wide, data.inputShape)
  const maps = featureMaps(wide, layers)
  const loss = gradients ? withGradients(wide, maps, data, context) : undefined
  const draft = createDraft(loss?.model ?? wide)
  draft.outputs.splice(0)
  const wanted = maps.map((map) => {
    const gradient = loss ? inThree(draft, map, loss.gradients.get(map.value)!) : ''
    return reduce({ draft, map: inThree(draft, map, map.value), gradient, places: placesOf(draft, map) })
  })
  for (const name of wanted.flat()) draft.output(name, 'float32')
  const count = Math.min(samples, data.size)
  const found = maps.map(({ layer, axis, shape }, i) => {
    const statistics = wanted[i].map(() => new Float32Array(count * shape[axis]))
    return [layer.name, { count, channels: shape[axis], statistics, labels: new Int32Array(count) }] as const
  })
  const session = await context.engine.createSession(draft.finish(), { purpose: 'check' })
  try {
    for (let start = 0; start < count; start += CALIBRATION_BATCH) {
      context.signal?.throwIfAborted()
      context.progress?.({ task: 'feature maps', done: start, total: count })
      // What is missing of the last batch is filled up with examples from the beginning, and left out below.
      const batch = await data.batch(Array.from({ length: CALIBRATION_BATCH }, (_, i) => (start + i) % count))
      if (labelled) checkLabels(batch.labels, data)
      const images = createTensor('float32', input.shape(CALIBRATION_BATCH), batch.inputs.data)
      const outputs = await session.run({ ...loss?.feeds(batch.labels), [input.name]: images })
      const present = Math.min(CALIBRATION_BATCH, count - start)
      for (const [i, [, { channels, statistics, labels }]] of found.entries()) {
        labels.set(batch.labels.subarray(0, present), start)
        for (const [k, name] of wanted[i].entries())
          statistics[k].set(toFloat32(outputs[name]).subarray(0, present * channels), start * channels)
      }
    }
  } finally {
    await session.close()
  }
  context.progress?.({ task: 'feature maps', done: count, total: count })
  return new Map(found)
}

/** A map as [examples, channels, places], or [examples, places, channels] where the channels come last. */
function inThree(draft: Draft, { layer, axis, shape }: FeatureMap, value: string): string {
  // What comes in front of the channels, but for the examples, are places as well: the words of a text, for instance.
  if (axis === 0 || shape[0] % CALIBRATION_BATCH !== 0) throw noMap(layer, 'its first axis is not that of the examples')
  const last = axis === shape.length - 1
  if (last || axis === 1) {
    const sizes = last ? [CALIBRATION_BATCH, -1, shape[axis]] : [CALIBRATION_BATCH, shape[axis], -1]
    return draft.add('Reshape', [value, draft.constant('map.shape', int64(sizes))])
  }
  const others = shape.map((_, i) => i).filter((i) => i !== axis)
  const moved = draft.add('Transpose', [value], { perm: [...others, axis] })
  return draft.add('Reshape', [moved, draft.constant('map.shape', int64([CALIBRATION_BATCH, -1, shape[axis]]))])
}

function placesOf(draft: Draft, { axis, shape }: FeatureMap): string {
  return draft.constant('map.places', int64([axis === 1 && shape.length > 2 ? 2 : 1]))
}

/** The model with the derivative of each example's −log p_label by the values of the maps. */
function withGradients(model: Model, maps: readonly FeatureMap[], data: Dataset, { seed }: Context) {
  const random = createRandom(seed)
  const likelihood = withLikelihood(model, { batch: CALIBRATION_BATCH, labels: 'true', random, place: data.name })
  const inputs = [...new Set(maps.map(({ value }) => value))]
  const differentiated = differentiate(likelihood.draft.finish(), { loss: likelihood.loss, parameters: [], inputs })
  return { ...differentiated, feeds: likelihood.feeds }
}

/** @throws UsageError at a label that is none of the classes. */
function checkLabels(labels: Int32Array, { name, classes }: Dataset): void {
  const wrong = labels.find((label) => label < 0 || label >= classes)
  if (wrong === undefined) return
  throw new UsageError('calibration-labels', `an example has the label ${wrong}; there are ${classes} classes`, {
    place: name,
    hint: 'Give data with the class of each example, or choose a criterion that needs none, such as apoz.',
  })
}
