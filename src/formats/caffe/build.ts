/** A Caffe network as a model: layer by layer, in the order of the file. */
import { ModelError, nearestName, UnsupportedError } from '../../errors.ts'
import { createDraft } from '../../ir/draft.ts'
import type { Model } from '../../ir/model.ts'
import type { Blob, CaffeLayerType, LayerContext, LayerParameters, ParameterSource } from './layer.ts'
import { layerTypes } from './layers/index.ts'
import { checkBlobSize, type CaffeLayer, type CaffeNetwork } from './network.ts'
import { emptyMessage } from './prototxt.ts'

/** The weights that the layers of a network need, in the order of the file. @throws as `buildCaffeModel`. */
export function caffeParameters(network: CaffeNetwork): readonly LayerParameters[] {
  const wanted: LayerParameters[] = []
  buildCaffeModel(network, (parameters) => {
    wanted.push(parameters)
    return ['', '']
  })
  return wanted
}

/**
 * Builds the model of a network as it computes when nothing is trained; the batch is free, and nodes are called like
 * their layers. The outputs are the blobs that no layer reads.
 * @throws ModelError where a layer reads what no layer before it makes, UnsupportedError where a layer is of a type or has
 * an option that is not supported.
 */
export function buildCaffeModel(network: CaffeNetwork, source: ParameterSource): Model {
  const draft = createDraft()
  const blobs = new Map<string, Blob>()
  const taken = new Set<string>()
  const unread = new Set<string>()
  for (const { name, shape } of network.inputs) {
    if (blobs.has(name)) throw new ModelError('caffe-blob', `two inputs are called '${name}'`, { place: name })
    blobs.set(name, { value: draft.input(name, 'float32', ['N', ...shape.slice(1)]), shape })
    taken.add(name)
  }
  for (const layer of network.layers) {
    const type = typeOf(layer)
    const inputs = layer.bottoms.map((bottom) => blobs.get(bottom) ?? dangling(bottom, layer, network))
    const [least, most] = type.bottoms ?? [1, 1]
    if (inputs.length < least || inputs.length > most || layer.tops.length === 0)
      throw new ModelError(
        'caffe-layer',
        `the layer '${layer.name}' has ${inputs.length} bottoms and ${layer.tops.length} tops`,
        { place: layer.fields.place, hint: 'Give the deploy.prototxt of a Caffe network.' },
      )
    const [top] = layer.tops
    const options = (type.options && layer.fields.message(type.options)) || emptyMessage(layer.fields.place)
    const context: LayerContext = {
      layer,
      options,
      inputs,
      draft,
      emit(op, values, attributes) {
        const value = taken.has(top) ? layer.name : top
        const [output] = draft.addMany(op, values, attributes, { name: layer.name, outputs: [value] })
        taken.add(output)
        return output
      },
      parameters: (shape) => source({ layer: layer.name, shape, outputs: shape[0], place: layer.fields.place }, draft),
    }
    const made = type.build(context)
    checkOptions(context, type)
    checkBlobSize(made.shape, top, layer.fields.place)
    for (const bottom of layer.bottoms) unread.delete(bottom)
    for (const name of layer.tops) {
      blobs.set(name, made)
      unread.add(name)
    }
  }
  const given = new Set(network.inputs.map(({ name }) => name))
  for (const name of unread) {
    const { value, shape } = blobs.get(name)!
    // One value cannot be two outputs, nor input and output at once.
    const output = given.has(value) ? draft.add('Identity', [value], {}, { name }) : value
    given.add(output)
    draft.output(output, 'float32', ['N', ...shape.slice(1)])
  }
  const model = draft.finish()
  return { ...model, graph: { ...model.graph, name: network.name || 'caffe' } }
}

const plain = (type: string) => type.replaceAll('_', '').toLowerCase()

function typeOf({ name, type, fields }: CaffeLayer): CaffeLayerType {
  const found = layerTypes.find((known) => plain(known.type) === plain(type))
  if (found) return found
  const known = layerTypes.map((record) => record.type)
  const near = nearestName(type, known)
  throw new UnsupportedError('caffe-layer', `the layer '${name}' is of type ${type}, which is not supported`, {
    place: fields.place,
    hint: /data|loss|accuracy/i.test(type)
      ? 'Give the deploy.prototxt, not the one for training.'
      : `Supported are ${known.join(', ')}${near && plain(near) !== plain(type) ? `; did you mean ${near}?` : '.'}`,
  })
}

function dangling(bottom: string, { name, fields }: CaffeLayer, network: CaffeNetwork): never {
  const later = network.layers.find(({ tops }) => tops.includes(bottom))
  throw new ModelError(
    'caffe-blob',
    later
      ? `the layer '${name}' reads '${bottom}', which only '${later.name}', not before it, makes`
      : `the layer '${name}' reads '${bottom}', which no layer makes`,
    { place: fields.place, hint: 'Put layers behind those that they read; a network with a cycle cannot be built.' },
  )
}

/** An option that nobody asked for could mean another network. */
function checkOptions({ layer, options }: LayerContext, type: CaffeLayerType): void {
  const other = options.unread(new Set(type.ignored))
  if (!other) return
  throw new UnsupportedError(
    'caffe-option',
    `the option '${other.name}' of the layer '${layer.name}' is not supported`,
    {
      place: other.place,
      hint: 'Take it away if it only matters to training.',
    },
  )
}
