import type { Dataset } from '../datasets/dataset.ts'
import type { Engine } from '../engines/engine.ts'
import { EspalierError } from '../errors.ts'
import { encodeModel } from '../formats/onnx/write.ts'
import { readPack } from '../formats/pack/read.ts'
import type { Model } from '../ir/model.ts'
import { verify } from '../ir/verify.ts'
import type { ProofCheck } from '../methods/method.ts'
import type { ProgressListener } from '../progress.ts'
import { toFloat32 } from '../tensor/half.ts'
import type { Tensor } from '../tensor/tensor.ts'
import { exampleInputs, sampleInputs } from '../datasets/inputs.ts'
import { comparableLayers, withTaps } from './taps.ts'

export interface ProofInput {
  readonly original: Model
  readonly compressed: Model
  readonly pack: Uint8Array
  readonly engine: Engine
  readonly seed: number
  /** Examples to run; without them, or where they do not fit, random numbers. */
  readonly data?: Dataset
  readonly progress?: ProgressListener
}

export interface Proof {
  readonly checks: readonly ProofCheck[]
  /** Relative root mean square error of each layer's output, by the layer's name. */
  readonly outputErrors: ReadonlyMap<string, number>
}

/** Examples that outputs are compared on. */
const EXAMPLES = 8

/** Shows that the result is sound: the graph, the pack, the engine, and how far the outputs are from the original's. */
export async function prove(input: ProofInput): Promise<Proof> {
  const { compressed, original, engine } = input
  const problems = verify(compressed)
  const checks: ProofCheck[] = [
    {
      check: 'the graph is valid ONNX',
      passed: problems.length === 0,
      detail:
        problems.length === 0
          ? 'verify found no problem'
          : `${problems.length} problems: ${JSON.stringify(problems[0])}`,
    },
    restores(input),
  ]
  const outputErrors = new Map<string, number>()
  const examples = await exampleInputs(original, { batch: EXAMPLES, data: input.data })
  const feeds = examples ?? (await sampleInputs(original, { seed: input.seed, batch: EXAMPLES }))
  if (!feeds) {
    const detail = 'not run: the type or shape of an input is not declared, or it is too large to make up'
    checks.push({ check: 'the engine runs it', passed: true, leftOut: true, detail })
    return { checks, outputErrors }
  }
  const tapped = comparableLayers(original, compressed)
  const taps = tapped.map((layer) => layer.node.outputs[0])
  const before = await runTapped(original, taps, feeds, engine)
  const after = await attempt(() => runTapped(compressed, taps, feeds, engine))
  if (after instanceof EspalierError) {
    checks.push({ check: 'the engine runs it', passed: false, detail: after.message })
    return { checks, outputErrors }
  }
  checks.push({ check: 'the engine runs it', passed: true, detail: engine.name })
  for (const layer of tapped) {
    const error = relativeError(before[layer.node.outputs[0]], after[layer.node.outputs[0]])
    if (error !== undefined) outputErrors.set(layer.name, error)
  }
  checks.push(...compareOutputs(original, before, after, examples && Object.values(examples)[0].shape[0]))
  return { checks, outputErrors }
}

function restores({ compressed, pack, progress }: ProofInput): ProofCheck {
  const check = 'the pack restores the model bit for bit'
  try {
    const bytes = sameBytes(encodeModel(compressed).model, encodeModel(readPack(pack, { progress })).model)
    return {
      check,
      passed: bytes !== undefined,
      detail: bytes === undefined ? 'the bytes differ' : `${bytes} bytes of ONNX, all equal`,
    }
  } catch (error) {
    if (error instanceof EspalierError) return { check, passed: false, detail: error.message }
    throw error
  }
}

/** How many bytes the chunks hold together, if they are the same; undefined if they differ. */
function sameBytes(expected: readonly Uint8Array[], found: readonly Uint8Array[]): number | undefined {
  let bytes = 0
  let [at, position] = [0, 0]
  for (const chunk of expected)
    for (let i = 0; i < chunk.length; i++) {
      while (at < found.length && position === found[at].length) [at, position] = [at + 1, 0]
      if (at === found.length || chunk[i] !== found[at][position++]) return undefined
      bytes++
    }
  while (at < found.length && position === found[at].length) [at, position] = [at + 1, 0]
  return at === found.length ? bytes : undefined
}

async function attempt<T>(work: () => Promise<T>): Promise<T | EspalierError> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof EspalierError) return error
    throw error
  }
}

/** Runs the model with the inner values `taps` as further outputs. */
async function runTapped(
  model: Model,
  taps: readonly string[],
  feeds: Readonly<Record<string, Tensor>>,
  engine: Engine,
) {
  const session = await engine.createSession(withTaps(model, taps), { purpose: 'check' })
  try {
    return await session.run(feeds)
  } finally {
    await session.close()
  }
}

function compareOutputs(
  original: Model,
  before: Readonly<Record<string, Tensor>>,
  after: Readonly<Record<string, Tensor>>,
  examples: number | undefined,
): ProofCheck[] {
  const inputs =
    examples === undefined ? 'random inputs' : `${examples} ${examples === 1 ? 'example' : 'examples'} of the data`
  return original.graph.outputs.map(({ name }) => {
    const check = `output '${name}' against the original's`
    const x = before[name]
    const y = after[name]
    if (!y || x.shape.join() !== y.shape.join() || x.dtype !== y.dtype)
      return { check, passed: false, detail: 'another type or shape' }
    if (x.dtype !== 'string' && !toFloat32(x).every(Number.isFinite))
      return {
        check,
        passed: true,
        leftOut: true,
        detail: `not compared: the original's own is not finite, on ${inputs}`,
      }
    const error = relativeError(x, y)
    const finite = error !== undefined && Number.isFinite(error)
    // Noise has no class: agreement on it would say nothing.
    const agreement = examples !== undefined ? topAgreement(x, y) : undefined
    const words = [
      error === undefined ? 'not comparable as numbers' : `relative error ${percent(error)}`,
      ...(agreement === undefined ? [] : [`the same class for ${percent(agreement)}`]),
    ]
    return { check, passed: error === undefined || finite, detail: `${words.join(', ')}, on ${inputs}` }
  })
}

const percent = (share: number) => `${(share * 100).toPrecision(3)} %`

/** ‖y − x‖ / ‖x‖; undefined for what are no numbers or other shapes; 0 where both are zero. */
function relativeError(x: Tensor | undefined, y: Tensor | undefined): number | undefined {
  if (!x || !y || x.dtype === 'string' || x.shape.join() !== y.shape.join()) return undefined
  const a = toFloat32(x)
  const b = toFloat32(y)
  let difference = 0
  let size = 0
  for (let i = 0; i < a.length; i++) {
    difference += (b[i] - a[i]) ** 2
    size += a[i] ** 2
  }
  if (difference === 0) return 0
  return Math.sqrt(difference / Math.max(size, Number.MIN_VALUE))
}

/** How often the greatest element of a row is the same, where the output looks like scores of classes: [N, classes]. */
function topAgreement(x: Tensor, y: Tensor): number | undefined {
  const classes = x.shape.slice(1).reduce((product, size) => product * size, 1)
  if (x.shape.length < 2 || classes < 2 || x.shape.slice(2).some((size) => size !== 1)) return undefined
  const a = toFloat32(x)
  const b = toFloat32(y)
  let same = 0
  for (let row = 0; row < x.shape[0]; row++) if (top(a, row, classes) === top(b, row, classes)) same++
  return same / x.shape[0]
}

function top(values: Float32Array, row: number, classes: number): number {
  let best = row * classes
  for (let i = best + 1; i < (row + 1) * classes; i++) if (values[i] > values[best]) best = i
  return best - row * classes
}
