/**
 * The engine that executes everything in earnest: onnxruntime's own CPU kernels, through onnxruntime-node.
 * Operators of the 'espalier' domain are lowered to standard ones for this backend when a session is made, so that
 * callers may hand in the graph of a training step as `differentiate` leaves it.
 */
import ort from 'onnxruntime-node'
import { lower, needsLowering, type Target } from '../autodiff/lower.ts'
import { ModelError, nearestName, UnsupportedError, UsageError, type EspalierError } from '../errors.ts'
import { concatenate } from '../formats/onnx/wire.ts'
import { encodeModel, writeModel } from '../formats/onnx/write.ts'
import { createDraft } from '../ir/draft.ts'
import type { Model } from '../ir/model.ts'
import { unfoldCodes } from '../ir/unfold.ts'
import { dtypes, type DType, type NumericData } from '../tensor/dtype.ts'
import { byteLength, createTensor, type Tensor } from '../tensor/tensor.ts'
import { collectGarbage } from './garbage.ts'
import type { Engine, Session, SessionOptions } from './engine.ts'

/** The element types that onnxruntime-node carries across its boundary; inside a graph all of ONNX's are allowed. */
const carried: ReadonlySet<DType> = new Set<DType>([
  'float32',
  'float64',
  'float16',
  'int8',
  'uint8',
  'int16',
  'uint16',
  'int32',
  'uint32',
  'int64',
  'uint64',
  'bool',
  'string',
])

async function targetOf({ threads = 1 }: SessionOptions): Promise<Target> {
  const block = await onnxruntime.block?.()
  return { backend: 'cpu', threads, ...(block === undefined ? {} : { block }) }
}

let knownBlock: Promise<number | undefined> | undefined

export const onnxruntime: Engine = {
  name: 'onnxruntime',
  block() {
    knownBlock ??= probeBlock()
    return knownBlock
  },
  async createSession(model, options = {}) {
    refuseUncarried(model)
    const runnable = needsLowering(model) ? lower(model, await targetOf(options)) : model
    if (weightBytes(model) > COLLECTED) collectGarbage()
    const { bytes, weights } = partsOf(runnable, options)
    try {
      const session = await ort.InferenceSession.create(bytes, { ...sessionOptions(options), externalData: weights })
      return wrapSession(session, model)
    } catch (error) {
      throw translate(error, 'engine-refused', 'onnxruntime does not take the model')
    }
  },
}

/** Weights of at least so many bytes are handed over by themselves. */
const APART = 1 << 20

/** Before a model with more bytes of weights than this is handed over, garbage is collected. */
const COLLECTED = 2 ** 24

function weightBytes(model: Model): number {
  let bytes = 0
  for (const tensor of model.graph.initializers.values()) bytes += byteLength(tensor)
  return bytes
}

/**
 * What onnxruntime gets. For inference it would itself fold codes into weights, through copies of several times their
 * memory: it is given the weights.
 */
function partsOf(model: Model, { purpose = 'inference' }: SessionOptions): ModelParts {
  if (purpose === 'training') return whole(model)
  return withWeightsApart(purpose === 'inference' ? unfoldCodes(model, APART) : model)
}

/** The model in one piece. A training graph may write through its initializers, so it gets copies of all of them. */
function whole(model: Model): ModelParts {
  return { bytes: writeModel(model), weights: [] }
}

interface ModelParts {
  readonly bytes: Uint8Array
  readonly weights: readonly { readonly path: string; readonly data: Uint8Array }[]
}

/** The graph as bytes and large weights as views of where they lie, of which onnxruntime makes the only copy. */
function withWeightsApart(model: Model): ModelParts {
  const encoded = encodeModel(model, { externalData: { location: 'weights', threshold: APART, apart: true } })
  return {
    bytes: concatenate(encoded.model),
    weights: encoded.data.map((data, i) => ({ path: `weights${i}`, data })),
  }
}

/**
 * Asks the build for its blocked layout by reordering 32 channels of two pixels: where the second pixel of the first
 * channel comes to lie is how many channels a block has. A build without the layout refuses the operator.
 */
async function probeBlock(): Promise<number | undefined> {
  const draft = createDraft()
  draft.opsets.set('com.microsoft.nchwc', 1)
  draft.input('x', 'float32', [1, 32, 1, 2])
  draft.output(draft.add('ReorderInput', ['x'], {}, { domain: 'com.microsoft.nchwc', outputs: ['y'] }))
  try {
    const session = await ort.InferenceSession.create(writeModel(draft.finish()), sessionOptions({ threads: 1 }))
    const x = Float32Array.from({ length: 64 }, (_, i) => i)
    const { y } = await session.run({ x: new ort.Tensor('float32', x, [1, 32, 1, 2]) })
    await session.release()
    const block = (y.data as Float32Array).indexOf(1)
    return block === 8 || block === 16 ? block : undefined
  } catch {
    return undefined
  }
}

function sessionOptions({ threads, purpose = 'inference' }: SessionOptions): ort.InferenceSession.SessionOptions {
  const training = purpose === 'training'
  return {
    executionProviders: ['cpu'],
    // Training graphs are made of the formulations that are to run. The passes above this level find nothing to fuse
    // in them, take seconds, and 'basic' already merges equal initializers, which training operators may write through.
    graphOptimizationLevel: purpose === 'inference' ? 'all' : 'disabled',
    executionMode: 'sequential',
    interOpNumThreads: 1,
    ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
    logSeverityLevel: 4,
    // Keeps DequantizeLinear, Conv, QuantizeLinear from becoming one integer operator in the middle of training.
    extra: training ? { session: { disable_quant_qdq: '1' } } : {},
  }
}

/** An element type that onnxruntime-node cannot carry ends in a clear error; an int4 output would end the process. */
function refuseUncarried(model: Model): void {
  for (const [side, values] of [
    ['input', model.graph.inputs],
    ['output', model.graph.outputs],
  ] as const)
    for (const { name, type } of values)
      if (type && !carried.has(type.dtype))
        throw new UnsupportedError('engine-dtype', `onnxruntime-node cannot carry ${type.dtype} as graph ${side}`, {
          place: name,
          hint: `Add a Cast, so that the graph's ${side} is float32 or an eight-bit integer.`,
        })
}

function wrapSession(session: ort.InferenceSession, model: Model): Session {
  let closed = false
  const declared = new Map(model.graph.inputs.map(({ name, type }) => [name, type]))
  return {
    inputs: session.inputNames,
    outputs: session.outputNames,
    async run(feeds, fetches = session.outputNames) {
      if (closed) throw new UsageError('session-closed', 'the session is closed')
      for (const name of session.inputNames)
        if (!feeds[name] && !model.graph.initializers.has(name))
          throw new UsageError('missing-feed', `the model's input '${name}' is not fed`, { place: name })
      const native: Record<string, ort.Tensor> = {}
      for (const [name, tensor] of Object.entries(feeds)) {
        if (!declared.has(name))
          throw new UsageError('unknown-feed', `the model has no input '${name}'`, near(name, declared.keys()))
        native[name] = toNative(name, tensor)
      }
      for (const name of fetches)
        if (!session.outputNames.includes(name))
          throw new UsageError('unknown-output', `the model has no output '${name}'`, near(name, session.outputNames))
      try {
        const results = await session.run(native, fetches)
        return Object.fromEntries(fetches.map((name) => [name, fromNative(results[name])]))
      } catch (error) {
        throw translate(error, 'engine-run', 'onnxruntime cannot run the model')
      }
    },
    async close() {
      if (closed) return
      closed = true
      await session.release()
    },
  }
}

function near(name: string, candidates: Iterable<string>): { place: string; hint?: string } {
  const nearest = nearestName(name, candidates)
  return nearest === undefined ? { place: name } : { place: name, hint: `Did you mean '${nearest}'?` }
}

function toNative(name: string, { dtype, shape, data }: Tensor): ort.Tensor {
  if (!carried.has(dtype))
    throw new UnsupportedError('engine-dtype', `onnxruntime-node cannot carry ${dtype} tensors`, { place: name })
  return new ort.Tensor(dtype as 'float32', data as Float32Array, shape)
}

/** Wraps a result without copying it. Where the platform has Float16Array, half floats are seen as their bits again. */
function fromNative(value: ort.Tensor): Tensor {
  const dtype = value.type as DType
  const data = value.data
  if (dtype === 'string' || data instanceof dtypes[dtype].array) return createTensor(dtype, value.dims, data)
  const { buffer, byteOffset, length } = data as NumericData
  return createTensor(dtype, value.dims, new Uint16Array(buffer, byteOffset, length))
}

/** Wraps onnxruntime's complaint: what it has no kernel or schema for is unsupported, anything else the model's fault. */
function translate(error: unknown, code: string, summary: string): EspalierError {
  const words = error instanceof Error ? error.message : String(error)
  const unknown = /is not a registered function|No Op registered/.test(words)
  const hint = unknown
    ? 'Only models whose operators onnxruntime knows can be run and proven.'
    : /allocate memory/.test(words)
      ? 'The model makes a tensor larger than the memory.'
      : 'Export the model again; if it runs elsewhere in onnxruntime, please report a bug.'
  const details = { cause: error, hint }
  return /NOT_IMPLEMENTED|not implemented|Could not find an implementation|not a registered|is under development|Unsupported (data type|model IR)/i.test(
    words,
  )
    ? new UnsupportedError(code, `${summary}: ${words}`, details)
    : new ModelError(code, `${summary}: ${words}`, details)
}
