import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { onnxruntime } from '../../../../src/engines/onnxruntime.ts'
import { layers } from '../../../../src/ir/rewrite.ts'
import type { Context } from '../../../../src/methods/method.ts'
import {
  runDecompositions,
  type DecompositionNetwork,
  type DecompositionOptions,
} from '../../../../src/papers/decompositions/bench.ts'
import { decompositionFigure, meanBits } from '../../../../src/papers/decompositions/figure.ts'
import { bitsOfLayer, outputErrors } from '../../../../src/papers/decompositions/measure.ts'
import { decompositionPage } from '../../../../src/papers/decompositions/page.ts'
import { parseDecompositionResults } from '../../../../src/papers/decompositions/results.ts'
import { variants, type Variant } from '../../../../src/papers/decompositions/variants.ts'
import { float32 } from '../../../../src/tensor/tensor.ts'
import { patternData } from '../../../support/small-data.ts'
import { temporaryFolder } from '../../../support/temporary-folder.ts'
import { tinyModels } from '../../../support/tiny-models.ts'

const [, cnn] = tinyModels()
const facts = { classes: cnn.classes, inputShape: cnn.inputShape }
const data = {
  train: patternData({ size: 64, seed: 1, ...facts }),
  validation: patternData({ size: 40, seed: 2, ...facts }),
  test: patternData({ size: 50, seed: 3, ...facts }),
}
const context: Context = { seed: 1, engine: onnxruntime, skip: () => {} }
const convolutions = layers(cnn.model).filter(({ node }) => node.op === 'Conv')

const changed = (variant: Variant, bits: number) =>
  variant.method.apply(cnn.model, variant.method.options.parse({ ...variant.options(bits), include: [':conv'] }), {
    ...context,
    data,
  })

describe('outputErrors', () => {
  it('are those of the outputs of all examples together', async () => {
    const [first] = convolutions
    const { initializers } = cnn.model.graph
    const weight = initializers.get(first.weight)!
    // Twice the weights without a bias: outputs that are twice what they were, an error as large as they are.
    const twice = float32(
      Float32Array.from(weight.data as Float32Array, (value) => 2 * value),
      weight.shape,
    )
    const bare = first.bias ? [[first.bias, float32(new Float32Array(weight.shape[0]))] as const] : []
    const withWeights = (items: readonly (readonly [string, typeof weight])[]) => ({
      ...cnn.model,
      graph: { ...cnn.model.graph, initializers: new Map([...initializers, ...bare, ...items]) },
    })
    const [before, after] = [withWeights([]), withWeights([[first.weight, twice]])]
    const errors = await outputErrors(before, after, data.validation, 37, { engine: onnxruntime })
    expect(errors.get(first.name)).toBeCloseTo(1, 5)
    const same = await outputErrors(before, before, data.validation, 37, { engine: onnxruntime })
    expect([...same.values()].every((error) => error === 0)).toBe(true)
    expect(same.size).toBe(layers(cnn.model).length)
  })
})

describe('bitsOfLayer', () => {
  it('counts codes and scales', async () => {
    const [layer] = convolutions
    const { shape } = cnn.model.graph.initializers.get(layer.weight)!
    const filters = shape[0]
    const length = shape.slice(1).reduce((product, size) => product * size, 1)
    const [semi, , ffn, binary, uniform] = variants
    const bits = async (variant: Variant, asked: number) =>
      bitsOfLayer(cnn.model, await changed(variant, asked), layer, variant.codeBits(asked))
    const terms = (codeBits: number, asked: number) => {
      const one = codeBits * (filters + length) + 32
      return (Math.floor((asked * filters * length) / one) * one) / (filters * length)
    }
    expect(await bits(semi, 6)).toBeCloseTo(terms(1, 6), 12)
    expect(await bits(ffn, 6)).toBeCloseTo(terms(2, 6), 12)
    expect(await bits(binary, 1)).toBeCloseTo(1 + 32 / length, 12)
    expect(await bits(uniform, 4)).toBeCloseTo(4 + 32 / length, 12)
    expect(bitsOfLayer(cnn.model, cnn.model, layer, 1)).toBeUndefined()
  })
})

describe('runDecompositions', () => {
  const docs = temporaryFolder('decompositions')

  const network: DecompositionNetwork = {
    name: 'tiny',
    about: 'A tiny network.',
    needs: [],
    examples: 20,
    tests: 30,
    prepare: () => Promise.resolve({ data, model: cnn.model }),
  }
  const few = variants.map((variant) => ({ ...variant, bits: variant.bits.length === 1 ? variant.bits : [4, 8] }))
  const options = (): DecompositionOptions => ({ network, variants: few, engine: onnxruntime, data: '.', docs: docs() })

  it('measures what is missing, keeps it, and writes the page with its figure', async () => {
    const stop = new AbortController()
    const steps: string[] = []
    const note = (text: string) => {
      steps.push(text)
      if (steps.length === 3) stop.abort()
    }
    await expect(runDecompositions({ ...options(), note, signal: stop.signal })).rejects.toThrow()
    const file = docs('decompositions', 'tiny.json')
    const kept = parseDecompositionResults(await readFile(file, 'utf8'), file)
    expect(kept.entries).toHaveLength(3)
    const results = await runDecompositions({ ...options(), note: (text) => steps.push(text) })
    expect(steps).toHaveLength(9)
    expect(results!.entries.map(({ variant, bits }) => `${variant} ${bits}`)).toEqual(
      few.flatMap(({ name, bits }) => bits.map((each) => `${name} ${each}`)),
    )
    expect(results!.entries).toEqual(expect.arrayContaining(kept.entries))
    for (const { layers: found } of results!.entries) expect(found).toHaveLength(convolutions.length)
    const errorAt = (variant: string, bits: number) =>
      results!.entries.find((entry) => entry.variant === variant && entry.bits === bits)!.layers[0].error
    for (const { name, bits } of few.slice(0, 3)) expect(errorAt(name, bits[1])).toBeLessThan(errorAt(name, bits[0]))
    expect(parseDecompositionResults(await readFile(file, 'utf8'), file)).toEqual(results)
    expect(await readFile(docs('decompositions.md'), 'utf8')).toBe(decompositionPage(network, results!, few))
    const figure = await readFile(docs('decompositions', 'tiny.svg'), 'utf8')
    expect(figure).toBe(decompositionFigure(results!, few))
    expect(figure.match(/class="title"/g)).toHaveLength(convolutions.length + 1)
    expect(figure).not.toMatch(/NaN|undefined/)
  })

  it('measures nothing again, and draws what there is with --page-only', async () => {
    const unused = () => Promise.reject(new Error('measured again'))
    const again = { ...options(), network: { ...network, prepare: unused } }
    expect((await runDecompositions(again))!.entries).toHaveLength(9)
    expect((await runDecompositions({ ...again, pageOnly: true }))!.entries).toHaveLength(9)
  })

  it('skips a network whose data is not there, and refuses a file of something else', async () => {
    const notes: string[] = []
    const absent = { ...network, name: 'absent', needs: ['no such file'] }
    expect(await runDecompositions({ ...options(), network: absent, note: (text) => notes.push(text) })).toBeUndefined()
    expect(notes).toEqual(['absent: skipped, no such file not found under .'])
    expect(() => parseDecompositionResults('{"network": 3}', 'x.json')).toThrowError(
      expect.objectContaining({ code: 'decomposition-results', place: 'x.json' }),
    )
  })
})

describe('meanBits', () => {
  it('weighs layers by their weights; one that was left alone counts whole', () => {
    const two = [
      { name: 'a', shape: [2, 3] },
      { name: 'b', shape: [3, 6] },
    ]
    expect(meanBits({ layers: two }, [{ bits: 4 }, { bits: 2 }])).toBeCloseTo(2.5)
    expect(meanBits({ layers: two }, [{ bits: 4 }, {}])).toBeCloseTo((4 * 6 + 32 * 18) / 24)
  })
})
