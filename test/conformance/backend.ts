/** The ONNX backend cases, and running one model against another in one engine. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, relative } from 'node:path'
import * as ort from 'onnxruntime-node'
import { EspalierError } from '../../src/errors.ts'
import { readTensor } from '../../src/formats/onnx/tensors.ts'
import type { DType, NumericData } from '../../src/tensor/dtype.ts'
import type { ValueInfo } from '../../src/ir/model.ts'
import { fromHalfBits } from '../../src/tensor/half.ts'
import type { Tensor } from '../../src/tensor/tensor.ts'

export interface BackendCase {
  /** Its path below the folder of test data, such as 'node/test_abs'. */
  readonly name: string
  readonly model: string
  /** Folders with input_K.pb and output_K.pb. */
  readonly dataSets: readonly string[]
}

/** Unpacks the archive into the temporary folder, once, and lists its cases. */
export function backendCases(archive: string): BackendCase[] {
  const { size, mtimeMs } = statSync(archive)
  const folder = join(tmpdir(), `espalier-${basename(archive)}-${size}-${Math.round(mtimeMs)}`)
  if (!existsSync(folder)) {
    const fresh = mkdtempSync(join(tmpdir(), 'espalier-backend-'))
    execFileSync('tar', ['xf', archive, '-C', fresh])
    try {
      renameSync(fresh, folder)
    } catch (error) {
      // Another run was faster.
      if (!existsSync(folder)) throw error
    }
  }
  const cases: BackendCase[] = []
  const visit = (path: string, root: string) => {
    const entries = readdirSync(path, { withFileTypes: true })
    for (const entry of entries) {
      const child = join(path, entry.name)
      if (entry.isDirectory()) visit(child, root)
      else if (entry.name.endsWith('.onnx'))
        cases.push({
          name: relative(root, entry.name === 'model.onnx' ? path : child),
          model: child,
          dataSets: entries
            .filter((other) => other.name.startsWith('test_data_set_'))
            .map((other) => join(path, other.name)),
        })
    }
  }
  const data = join(folder, 'v1.22.0/onnx/backend/test/data')
  visit(data, data)
  return cases.toSorted((a, b) => (a.name < b.name ? -1 : 1))
}

/** The inputs of a data set; undefined when one is a sequence, an optional or a tensor of a type that is not represented. */
export function readInputs(folder: string): Tensor[] | undefined {
  const files = readdirSync(folder).filter((name) => /^input_\d+\.pb$/.test(name))
  const order = files.toSorted((a, b) => Number(a.match(/\d+/)![0]) - Number(b.match(/\d+/)![0]))
  try {
    return order.map((name) => readTensor(readFileSync(join(folder, name)), name).tensor)
  } catch (error) {
    if (error instanceof EspalierError) return undefined
    throw error
  }
}

const options: ort.InferenceSession.SessionOptions = {
  logSeverityLevel: 4,
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  graphOptimizationLevel: 'disabled',
}

export function openSession(model: Uint8Array | string): Promise<ort.InferenceSession> {
  return typeof model === 'string'
    ? ort.InferenceSession.create(model, options)
    : ort.InferenceSession.create(model, options)
}

function toOrt(tensor: Tensor): ort.Tensor {
  const { dtype, data, shape } = tensor
  return new ort.Tensor(dtype as ort.Tensor.Type, data, shape)
}

/** Types that the Node binding of onnxruntime cannot hand over; some of them end its process. */
export function passesBinding(info: ValueInfo): boolean {
  return info.type !== undefined && !/^(u?int4|float8|float4|bfloat|complex)/.test(info.type.dtype)
}

export type Outputs = Readonly<Record<string, ort.Tensor>>

/** Runs a session on tensors given in the order of its inputs. */
export async function run(session: ort.InferenceSession, inputs: readonly Tensor[]): Promise<Outputs> {
  const feeds: Record<string, ort.Tensor> = {}
  inputs.forEach((tensor, index) => {
    if (session.inputNames[index] !== undefined) feeds[session.inputNames[index]] = toOrt(tensor)
  })
  return await session.run(feeds)
}

const TOLERANCE = 1e-6
/** One unit in the last place of a half: a sum along another axis may round the other way. */
const HALF_TOLERANCE = 2 ** -10

/** Says how two results differ; undefined when they agree, NaN being equal to NaN. */
export function difference(expected: Outputs, found: Outputs): string | undefined {
  const names = Object.keys(expected)
  if (names.join() !== Object.keys(found).join())
    return `outputs ${Object.keys(found).join()} instead of ${names.join()}`
  for (const name of names) {
    const a = expected[name]
    const b = found[name]
    if (a.type !== b.type || a.dims.join() !== b.dims.join())
      return `'${name}' is ${b.type}[${b.dims.join()}] instead of ${a.type}[${a.dims.join()}]`
    const worst = largestDifference(a.data, b.data, a.type)
    if (worst > (a.type === 'float16' ? HALF_TOLERANCE : TOLERANCE)) return `'${name}' differs by ${worst}`
  }
  return undefined
}

function largestDifference(a: NumericData | string[], b: NumericData | string[], type: DType): number {
  let worst = 0
  for (let i = 0; i < a.length; i++) {
    if (a[i] === b[i]) continue
    if (typeof a[i] !== 'number' || typeof b[i] !== 'number' || !type.startsWith('float'))
      return Number.POSITIVE_INFINITY
    const x = type === 'float16' ? fromHalfBits(Number(a[i])) : Number(a[i])
    const y = type === 'float16' ? fromHalfBits(Number(b[i])) : Number(b[i])
    if (Number.isNaN(x) && Number.isNaN(y)) continue
    worst = Math.max(worst, Math.abs(x - y) / Math.max(1, Math.abs(x)) || Number.POSITIVE_INFINITY)
  }
  return worst
}
