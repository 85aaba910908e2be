/** What a Caffe network description says, in one form for all ages of the format. */
import { DataError, UnsupportedError } from '../../errors.ts'
import { elementCount } from '../../tensor/tensor.ts'
import { parsePrototxt, type ProtoReader } from './prototxt.ts'

export interface CaffeLayer {
  readonly name: string
  /** As written: `InnerProduct`, or `INNER_PRODUCT` in old files. */
  readonly type: string
  /** Names of the blobs that are read. */
  readonly bottoms: readonly string[]
  readonly tops: readonly string[]
  readonly fields: ProtoReader
}

export interface CaffeInput {
  readonly name: string
  /** `[batch, ...]`, as a rule `[batch, channels, height, width]`. */
  readonly shape: readonly number[]
}

export interface CaffeNetwork {
  readonly name: string
  readonly inputs: readonly CaffeInput[]
  /** In the order of the file, without inputs and without what is there for training only. */
  readonly layers: readonly CaffeLayer[]
}

/** More than the deepest networks of Caffe's time have. */
const MOST_LAYERS = 10_000
/** More values than a blob can have that somebody wants to compute. */
const MOST_VALUES = 2 ** 36

/**
 * Reads a Caffe network description: `layer` and the older `layers`; inputs as `input` with `input_dim` or `input_shape`
 * or as a layer of type Input.
 * @param place the file's name, for messages.
 * @throws DataError when it is no such text; UnsupportedError when it is of a form that only training uses.
 */
export function readCaffeNetwork(text: string, place: string): CaffeNetwork {
  const net = parsePrototxt(text, place)
  const inputs = [...netInputs(net)]
  const layers: CaffeLayer[] = []
  const names = new Set<string>()
  const messages = [...net.messages('layers'), ...net.messages('layer')]
  if (messages.length > MOST_LAYERS)
    throw wrong(`it has ${messages.length} layers; at most ${MOST_LAYERS} are read`, place)
  for (const fields of messages) {
    if (!atTestTime(fields)) continue
    const layer = readLayer(fields)
    if (names.has(layer.name)) throw wrong(`two layers are called '${layer.name}'`, fields.place)
    names.add(layer.name)
    if (layer.type === 'Input') inputs.push(...layerInputs(layer))
    else layers.push(layer)
  }
  if (layers.length === 0) throw wrong('it has no layers', place)
  if (inputs.length === 0)
    throw new UnsupportedError('caffe-input', 'the network does not say what its input is', {
      place,
      hint: 'Give the deploy.prototxt, not the one for training.',
    })
  for (const { name, shape } of inputs) checkBlobSize(shape, name, place)
  return { name: net.text('name') ?? '', inputs, layers }
}

/** @throws DataError when a blob has more values than anybody can mean. */
export function checkBlobSize(shape: readonly number[], name: string, place: string): void {
  if (elementCount(shape) > MOST_VALUES) throw wrong(`the blob '${name}' of [${shape.join(', ')}] is too large`, place)
}

function readLayer(fields: ProtoReader): CaffeLayer {
  const [name, type] = [fields.text('name'), fields.text('type')]
  if (!name || !type) throw wrong('a layer has no name or no type', fields.place)
  return { name, type, bottoms: fields.texts('bottom'), tops: fields.texts('top'), fields }
}

function* netInputs(net: ProtoReader): Generator<CaffeInput> {
  const names = net.texts('input')
  const dims = net.integers('input_dim', 1)
  const shapes = net.messages('input_shape')
  if (dims.length > 0 ? dims.length !== names.length * 4 || shapes.length > 0 : shapes.length !== names.length)
    throw wrong(`${names.length} inputs need an input_shape or four input_dim each`, net.place)
  for (const [index, name] of names.entries())
    yield { name, shape: dims.length > 0 ? dims.slice(index * 4, index * 4 + 4) : readShape(shapes[index]) }
}

function* layerInputs({ tops, fields }: CaffeLayer): Generator<CaffeInput> {
  const shapes = fields.message('input_param')?.messages('shape') ?? []
  // One shape may stand for all tops.
  if (tops.length === 0 || (shapes.length !== 1 && shapes.length !== tops.length))
    throw wrong(`${tops.length} inputs need a shape each`, fields.place)
  for (const [index, name] of tops.entries()) yield { name, shape: readShape(shapes[shapes.length === 1 ? 0 : index]) }
}

function readShape(shape: ProtoReader): readonly number[] {
  const dims = shape.integers('dim', 1)
  if (dims.length === 0 || dims.length > 8) throw wrong(`an input has ${dims.length} axes`, shape.place)
  return dims
}

/** Whether the rules of a layer let it take part when nothing is trained. */
function atTestTime(fields: ProtoReader): boolean {
  const met = (rule: ProtoReader) => {
    const phase = rule.text('phase')
    const other = rule.unread(new Set())
    if (other)
      throw new UnsupportedError('caffe-rule', `the rule '${other.name}' of a layer is not supported`, {
        place: other.place,
        hint: 'Give a deploy.prototxt without levels and stages.',
      })
    return phase === undefined || phase === 'TEST' || phase === '1'
  }
  const include = fields.messages('include')
  return include.length > 0 ? include.some(met) : !fields.messages('exclude').some(met)
}

function wrong(problem: string, place: string): DataError {
  return new DataError('caffe-network', problem, { place, hint: 'Give the deploy.prototxt of a Caffe network.' })
}
