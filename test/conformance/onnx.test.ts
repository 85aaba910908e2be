/**
 * Every ONNX backend case and every real model: read, raised to the canonical opset and written again, a model computes in
 * onnxruntime what it computed before. One engine runs both, so that differences are ours.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { externalDataIn } from '../../src/formats/onnx/file.ts'
import { readModel } from '../../src/formats/onnx/read.ts'
import { writeModel } from '../../src/formats/onnx/write.ts'
import type { Model } from '../../src/ir/model.ts'
import { bindDimensions } from '../../src/ir/shapes.ts'
import { verify } from '../../src/ir/verify.ts'
import { createRandom } from '../../src/tensor/random.ts'
import { elementCount, zeros, type Tensor } from '../../src/tensor/tensor.ts'
import { toHalfBits } from '../../src/tensor/half.ts'
import { sharedData } from '../support/shared-data.ts'
import { backendCases, difference, openSession, passesBinding, readInputs, run, type BackendCase } from './backend.ts'

const expectedFailures = JSON.parse(readFileSync(new URL('expected-failures.json', import.meta.url), 'utf8')) as Record<
  string,
  string
>
const archive = sharedData('onnx-backend-v1.22.0.tar.xz')
const models = sharedData('models')

function read(path: string): Model {
  return readModel(readFileSync(path), { place: path, externalData: externalDataIn(dirname(path)) })
}

type Outcome = 'same' | 'same, not run' | 'not taken by onnxruntime' | { readonly failure: string }

/** What became of a case. Cases whose original onnxruntime refuses must still be read, written and found valid. */
async function outcomeOf(item: BackendCase): Promise<Outcome> {
  const original = await openSession(item.model).catch(() => undefined)
  try {
    const model = read(item.model)
    const written = writeModel(model)
    const problems = verify(model)
    if (problems.length > 0) return { failure: `verify: ${problems[0].place}: ${problems[0].message}` }
    if (Buffer.compare(writeModel(readModel(written)), written) !== 0) return { failure: 'written twice, other bytes' }
    if (!original) return 'not taken by onnxruntime'
    const ours = await openSession(written)
    try {
      return await compare(item, model, original, ours)
    } finally {
      await ours.release()
    }
  } catch (error) {
    return { failure: String(error) }
  } finally {
    await original?.release()
  }
}

type Session = Awaited<ReturnType<typeof openSession>>

async function compare(item: BackendCase, model: Model, original: Session, ours: Session): Promise<Outcome> {
  if (![...model.graph.inputs, ...model.graph.outputs].every(passesBinding)) return 'same, not run'
  const sets = item.dataSets.length > 0 ? item.dataSets.map(readInputs) : [ownInputs(model)]
  let outcome: Outcome = 'same, not run'
  for (const inputs of sets) {
    const expected = inputs && (await run(original, inputs).catch(() => undefined))
    if (!inputs || !expected) continue
    const found = difference(expected, await run(ours, inputs))
    if (found !== undefined) return { failure: found }
    outcome = 'same'
  }
  return outcome
}

/** Random inputs for a model that brings none along; symbolic sizes become 2. */
function ownInputs(model: Model): Tensor[] {
  const symbols = model.graph.inputs.flatMap((info) => info.type!.shape!.filter((dim) => typeof dim === 'string'))
  const bound = bindDimensions(model, Object.fromEntries(symbols.map((symbol) => [symbol, 2])))
  const random = createRandom(1)
  return bound.graph.inputs.map(({ type }) => {
    const tensor = zeros(type!.dtype, type!.shape as number[])
    const data = tensor.data as Float32Array
    const half = type!.dtype === 'float16'
    for (let i = 0; i < elementCount(tensor.shape); i++)
      data[i] = half ? toHalfBits(random.uniform()) : random.uniform()
    return tensor
  })
}

describe.skipIf(!archive)('the ONNX backend cases', () => {
  const counts = new Map<string, number>()
  afterAll(() => console.log([...counts].map(([outcome, count]) => `${count} ${outcome}`).join(', ')))

  test('compute the same after reading and writing, but for the listed ones', { timeout: 240_000 }, async () => {
    const cases = backendCases(archive!)
    const failures: Record<string, string> = {}
    for (const item of cases) {
      const outcome = await outcomeOf(item)
      const label = typeof outcome === 'string' ? outcome : 'failed'
      counts.set(label, (counts.get(label) ?? 0) + 1)
      if (typeof outcome !== 'string') failures[item.name] = outcome.failure
    }
    const unexpected = Object.entries(failures).filter(([name]) => !Object.hasOwn(expectedFailures, name))
    expect(unexpected, 'cases that fail without being listed in expected-failures.json').toEqual([])
    const passing = Object.keys(expectedFailures).filter((name) => !Object.hasOwn(failures, name))
    expect(passing, 'listed cases that pass: take them off expected-failures.json').toEqual([])
    expect(counts.get('same') ?? 0).toBeGreaterThan(1400)
  })
})

describe.skipIf(!models)('the real models', () => {
  for (const name of models ? readdirSync(models).filter((file) => file.endsWith('.onnx')) : [])
    test(`${name} computes the same after reading and writing`, async () => {
      const path = join(models!, name)
      expect(await outcomeOf({ name, model: path, dataSets: [] })).toBe('same')
    })
})
