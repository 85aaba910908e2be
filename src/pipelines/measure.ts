import { storageWithIndices } from '../codecs/accounting.ts'
import type { Dataset } from '../datasets/dataset.ts'
import type { Engine, Session } from '../engines/engine.ts'
import { describePack } from '../formats/pack/describe.ts'
import type { Model } from '../ir/model.ts'
import { layers, type Layer } from '../ir/rewrite.ts'
import { layerKind } from '../methods/layer-choice.ts'
import { constantsOf, isPlainFloat, weightsOfLayers } from '../methods/weights.ts'
import { dtypes } from '../tensor/dtype.ts'
import { elementsOf } from '../tensor/elements.ts'
import { byteLength, type Tensor } from '../tensor/tensor.ts'
import { evaluate } from '../training/evaluate.ts'
import { denseLayers, type DenseLayer } from './dense.ts'
import type { AccuracyMeasure, BytesPart, LatencyComparison, SizeMeasure } from './result.ts'

/**
 * The bytes of a model's parameters as they are: its float initializers, and where weights are stored as codes, these.
 * Shapes, axes and the like do not count.
 */
export function parameterBytes(model: Model): number {
  return [...parametersOf(model).values()].reduce((bytes, tensor) => bytes + byteLength(tensor), 0)
}

/** Integers of at most this many bits are codes: the operators take shapes, axes and sizes in 32 and 64 bits only. */
const MOST_CODE_BITS = 16

function parametersOf(model: Model): Map<string, Tensor> {
  const ofLayers = weightsOfLayers(model)
  const isParameter = (name: string, { dtype }: Tensor) => {
    const { kind, bits } = dtypes[dtype]
    if (kind === 'float') return true
    return (kind === 'integer' && bits <= MOST_CODE_BITS) || (ofLayers.has(name) && dtype !== 'int64')
  }
  return new Map([...model.graph.initializers].filter(([name, tensor]) => isParameter(name, tensor)))
}

/** The three ratios of `model` against `original`, and what they are made of. */
export function measureSize(original: Model, model: Model, packBytes: number): SizeMeasure {
  const dense = denseLayers(model)
  const total = weightCount(original)
  let kept = 0
  let storageBytes = 0
  const own = new Map(layers(model).map((layer) => [layer.name, layer]))
  const counted = new Set<string>()
  for (const layer of distinctWeights(dense.layers)) {
    const weights = dense.read(layer)
    if (!weights) continue
    const stored = own.get(layer.name) ?? layer
    const account = storageOf(weights, layerKind(layer), isPlainFloat(model, stored), codingOf(model, stored))
    kept += account.survivors
    storageBytes += account.bytes
    for (const name of constantsOf(model, stored)) counted.add(name)
  }
  for (const [name, tensor] of parametersOf(model)) if (!counted.has(name)) storageBytes += byteLength(tensor)
  const before = parameterBytes(original)
  return {
    weights: total,
    weightsKept: kept,
    storageBytes,
    bitsPerWeight: (8 * storageBytes) / Math.max(1, total),
    packBytes,
    ratios: {
      weights: total / Math.max(1, kept),
      storage: before / Math.max(1, storageBytes),
      bytes: before / packBytes,
    },
  }
}

const weightCounts = new WeakMap<Model, number>()

/** Weights of all layers, without biases; remembered, because every stage is measured against the same original. */
function weightCount(model: Model): number {
  const known = weightCounts.get(model)
  if (known !== undefined) return known
  const dense = denseLayers(model)
  const total = distinctWeights(dense.layers).reduce((sum, layer) => sum + dense.count(layer), 0)
  weightCounts.set(model, total)
  return total
}

interface Coding {
  /** How many different codes there are. */
  readonly codes: number
  /** Bits of scales, zero points and codebooks. */
  readonly tableBits: number
}

/** Of a layer whose weights are stored as codes; undefined for others. */
function codingOf(model: Model, layer: Layer): Coding | undefined {
  const { initializers } = model.graph
  const codes = initializers.get(layer.weight)
  if (!codes || dtypes[codes.dtype].kind !== 'integer') return undefined
  const tables = [...constantsOf(model, layer)].flatMap((name) =>
    name === layer.weight ? [] : initializers.get(name)!,
  )
  const kept = tables.filter(({ dtype }) => dtypes[dtype].kind === 'float' || dtypes[dtype].bits <= MOST_CODE_BITS)
  return {
    codes: new Set<unknown>(elementsOf(codes)).size,
    tableBits: kept.reduce((bits, tensor) => bits + 8 * byteLength(tensor), 0),
  }
}

/** Section 3 of Deep Compression: 8-bit indices for convolutions, 5-bit ones for dense layers, codebooks as they are. */
function storageOf({ values, bytes }: DenseLayer, kind: 'conv' | 'dense', plain: boolean, coding?: Coding) {
  const indexBits = kind === 'conv' ? 8 : 5
  const valueBits = (bytes * 8) / Math.max(1, values.length)
  if (plain) return storageWithIndices(values, { bits: valueBits, indexBits })
  const codes = coding?.codes ?? new Set(values).size
  const bits = Math.max(1, Math.ceil(Math.log2(codes)))
  const codebookBits = coding?.tableBits ?? codes * valueBits
  const account = storageWithIndices(values, { bits, indexBits, codebook: 1, codebookBits })
  // Codes of a network that was not pruned have a zero here and there: nobody would store where they are.
  return { ...account, bytes: Math.min(account.bytes, Math.ceil((values.length * bits + codebookBits) / 8)) }
}

function distinctWeights(all: readonly Layer[]): Layer[] {
  const seen = new Set<string>()
  return all.filter(({ weight }) => !seen.has(weight) && seen.add(weight))
}

/** Accuracy and loss of a classifier on a data set. */
export async function measureAccuracy(
  model: Model,
  data: Dataset,
  engine: Engine,
  signal?: AbortSignal,
): Promise<AccuracyMeasure> {
  const { accuracy, loss, count, correct } = await evaluate(model, data, engine, { signal })
  return { data: data.name, count, correct, accuracy, loss }
}

export interface LatencyOptions {
  /** Pairs of timed runs. Default 30. */
  readonly runs?: number
  /** Stops early after this many milliseconds. Default 4,000. */
  readonly limitMs?: number
  readonly signal?: AbortSignal
}

/** Above this many bytes of parameters two sessions are not held at once. */
const HELD_BYTES = 64e6

/**
 * Times both models on the same inputs in the same engine, turn by turn, so that whatever else the machine does hits
 * both alike. Large models take turns in four blocks, one session at a time, so that memory holds only one of them.
 */
export async function measureLatency(
  before: Model,
  after: Model,
  feeds: Readonly<Record<string, Tensor>>,
  engine: Engine,
  { runs = 30, limitMs = 4000, signal }: LatencyOptions = {},
): Promise<LatencyComparison> {
  const models = [before, after] as const
  const times: readonly [number[], number[]] = [[], []]
  const timeOnce = async (session: Session, which: 0 | 1) => {
    const begin = performance.now()
    await session.run(feeds)
    times[which].push(performance.now() - begin)
  }
  if (parameterBytes(before) > HELD_BYTES)
    for (const which of [0, 1, 1, 0] as const)
      await withSession(engine, models[which], feeds, async (session) => {
        const start = performance.now()
        for (let run = 0; run < runs / 2; run++) {
          signal?.throwIfAborted()
          await timeOnce(session, which)
          if (performance.now() - start > limitMs / 4 && run >= 2) break
        }
      })
  else
    await withSession(engine, after, feeds, (second) =>
      withSession(engine, before, feeds, async (first) => {
        const sessions = [first, second] as const
        const start = performance.now()
        for (let run = 0; run < runs; run++) {
          signal?.throwIfAborted()
          for (const which of run % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const))
            await timeOnce(sessions[which], which)
          if (performance.now() - start > limitMs && run >= 4) break
        }
      }),
    )
  const batch = Object.values(feeds)[0]?.shape[0] ?? 1
  const [original, smaller] = times.map(quartiles)
  return { engine: engine.name, batch, runs: times[0].length, before: original, after: smaller }
}

/** Works with a session that has run three times, and closes it. */
async function withSession(
  engine: Engine,
  model: Model,
  feeds: Readonly<Record<string, Tensor>>,
  work: (session: Session) => Promise<void>,
): Promise<void> {
  const session = await engine.createSession(model)
  try {
    for (let i = 0; i < 3; i++) await session.run(feeds)
    await work(session)
  } finally {
    await session.close()
  }
}

function quartiles(times: readonly number[]) {
  const sorted = [...times].sort((a, b) => a - b)
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]
  return { lowMs: at(0.25), medianMs: at(0.5), highMs: at(0.75) }
}

/** Where the bytes of a pack are, by kind of content. The parts add up to the whole file. */
export function packParts(pack: Uint8Array): BytesPart[] {
  const sums = new Map<string, number>()
  let rest = pack.length
  for (const { kind, bytes } of describePack(pack).streams) {
    const label = kind === 'header' || kind === 'checksum' ? 'header and checksum' : kind
    sums.set(label, (sums.get(label) ?? 0) + bytes)
    rest -= bytes
  }
  if (rest > 0) sums.set('header and checksum', (sums.get('header and checksum') ?? 0) + rest)
  return [...sums].map(([label, bytes]) => ({ label, bytes })).sort((a, b) => b.bytes - a.bytes)
}
