/** The ONNX backend cases against our own evaluation: values, types and what the shape rules say beforehand. */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { referenceEngine } from '../../src/engines/reference.ts'
import { externalDataIn } from '../../src/formats/onnx/file.ts'
import { readModel } from '../../src/formats/onnx/read.ts'
import { readTensor } from '../../src/formats/onnx/tensors.ts'
import { operatorKey, type Model, type TensorType } from '../../src/ir/model.ts'
import { operators } from '../../src/ir/ops/index.ts'
import { inferShapes } from '../../src/ir/shapes.ts'
import { dtypes } from '../../src/tensor/dtype.ts'
import { elementsOf, toNumbers } from '../../src/tensor/elements.ts'
import type { Tensor } from '../../src/tensor/tensor.ts'
import { sharedData } from '../support/shared-data.ts'
import { backendCases, readInputs, type BackendCase } from './backend.ts'

/** Cases that are expected to fail, and why. One that passes must leave the list. */
const expectedFailures: readonly (readonly [RegExp, string])[] = [
  [/INT2$|E8M0$/, 'element types newer than the canonical opset'],
  [/^test_if_(opt|seq)$/, 'sequences and optionals are carried, not evaluated'],
  [/^test_scan_sum$/, 'the batched Scan of opset 8 has no later form'],
  [/^test_training_dropout(_default)?(_mask)?$/, 'its random mask is not defined by the model'],
  [
    /^test_resize_downsample_scales_(cubic|linear)_align_corners$/,
    'the corner is that of the whole size, as in onnxruntime',
  ],
]

const archive = sharedData('onnx-backend-v1.22.0.tar.xz')

// Needs ../shared/data/onnx-backend-v1.22.0.tar.xz, which is not part of the repository.
describe.skipIf(!archive)('the reference evaluation', () => {
  it('computes what the ONNX backend cases expect', async () => {
    const failures: string[] = []
    const stale = new Set(expectedFailures.map(([pattern]) => String(pattern)))
    let checked = 0
    for (const item of backendCases(archive!)) {
      const problem = await problemOf(item)
      if (problem === 'unknown') continue
      checked++
      const name = item.name.split('/').at(-1)!
      const listed = expectedFailures.find(([pattern]) => pattern.test(name))
      if (problem && listed) stale.delete(String(listed[0]))
      else if (problem) failures.push(`${name}: ${problem}`)
      else if (listed) failures.push(`${name}: is expected to fail, and passes`)
    }
    expect(failures).toEqual([])
    expect([...stale]).toEqual([])
    expect(checked).toBeGreaterThan(1250)
  })
})

const controlFlow = new Set(['If', 'Loop', 'Scan'])

async function problemOf(item: BackendCase): Promise<string | undefined> {
  try {
    const model = readModel(readFileSync(item.model), { externalData: externalDataIn(dirname(item.model)) })
    const known = model.graph.nodes.every((node) => operators.has(operatorKey(node)) || controlFlow.has(node.op))
    if (!known) return 'unknown'
    for (const folder of item.dataSets) {
      const problem = await dataSetProblem(model, folder)
      if (problem) return problem
    }
    return undefined
  } catch (error) {
    return String(error)
  }
}

async function dataSetProblem(model: Model, folder: string): Promise<string | undefined> {
  const inputs = readInputs(folder)
  if (!inputs) return 'unknown'
  const session = await referenceEngine.createSession(model)
  const feeds = inputs.map((tensor, index) => [model.graph.inputs[index].name, tensor] as const)
  const results = await session.run(Object.fromEntries(feeds))
  const types = inferShapes(model)
  for (const [index, { name }] of model.graph.outputs.entries()) {
    const file = join(folder, `output_${index}.pb`)
    if (!existsSync(file)) continue
    const expected = readTensor(readFileSync(file), file).tensor
    const problem = difference(results[name], expected) ?? typeProblem(types.get(name), expected)
    if (problem) return problem
  }
  return undefined
}

function typeProblem(type: TensorType | undefined, { dtype, shape }: Tensor): string | undefined {
  const wrong = type?.shape?.some((dim, axis) => typeof dim === 'number' && dim !== shape[axis])
  if (!type || (type.dtype === dtype && !wrong)) return undefined
  return `inferred ${type.dtype}[${type.shape?.join()}] for ${dtype}[${shape.join()}]`
}

function difference(ours: Tensor, expected: Tensor): string | undefined {
  if (ours.dtype !== expected.dtype || ours.shape.join() !== expected.shape.join())
    return `${ours.dtype}[${ours.shape.join()}] instead of ${expected.dtype}[${expected.shape.join()}]`
  const { kind, bits } = dtypes[expected.dtype]
  if (kind !== 'float') {
    const wanted = elementsOf(expected)
    return elementsOf(ours).every((value, i) => value === wanted[i]) ? undefined : 'other elements'
  }
  const tolerance = bits >= 32 ? 1e-4 : 1e-2
  const wanted = toNumbers(expected)
  const wrong = toNumbers(ours).find((value, i) => {
    if (Object.is(value, wanted[i]) || value === wanted[i]) return false
    return !(Math.abs(value - wanted[i]) <= tolerance * Math.max(1, Math.abs(wanted[i])))
  })
  return wrong === undefined ? undefined : `another value: ${wrong}`
}
