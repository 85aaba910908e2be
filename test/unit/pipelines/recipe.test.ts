import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { EspalierError, UsageError } from '../../../src/errors.ts'
import { parseRecipe } from '../../../src/pipelines/recipe.ts'

function failure(text: string): UsageError {
  try {
    parseRecipe(text, { file: 'r.yaml' })
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError)
    return error as UsageError
  }
  throw new Error('the recipe was accepted')
}

describe('parseRecipe', () => {
  it('reads steps with the defaults of their methods', () => {
    const recipe = parseRecipe(
      `steps:
  - method: magnitude
    sparsity: 0.9
    layers: { 'fc*': { sparsity: 0.95 } }
    retrain: { epochs: 2 }
  - { method: k-means, bits: 4 }
data: digits
preprocessing: { mean: [104, 117, 123], order: bgr }
training: { optimizer: adam }
budget: { maxAccuracyLoss: 0.5 }
`,
      { file: 'some/where/mine.yaml' },
    )
    expect(recipe.name).toBe('mine')
    expect(recipe.seed).toBe(1)
    expect(recipe.steps.map(({ method }) => method.name)).toEqual(['magnitude', 'k-means'])
    expect(recipe.steps[0].options).toMatchObject({ sparsity: 0.9, scope: 'layer', rounds: 1, retrain: { epochs: 2 } })
    expect(recipe.steps[1].options).toMatchObject({ bits: 4, initialization: 'linear', granularity: 'tensor' })
    expect(recipe.training).toEqual({ optimizer: 'adam' })
    expect(recipe.preprocessing).toEqual({ mean: '104,117,123', order: 'bgr' })
    expect(recipe.budget).toEqual({ maxAccuracyLoss: 0.5, trials: 4, push: false })
  })

  it('reads the recipes that are shipped', () => {
    const folder = 'src/pipelines/recipes'
    for (const file of readdirSync(folder)) {
      const recipe = parseRecipe(readFileSync(`${folder}/${file}`, 'utf8'), { file })
      expect(recipe.name).toBe(file.replace('.yaml', ''))
      expect(recipe.summary).toMatch(/\.$/)
    }
  })

  it.each([
    ['steps:\n  - method: k-meens\n', 'r.yaml:2:13', "there is no method 'k-meens'", 'k-means'],
    ['steps:\n  - method: k-means\n    bitz: 3\n', 'r.yaml:3:5', "'k-means' has no option 'bitz'", 'bits'],
    ['steps:\n  - method: huffman\nbudgett: 1\n', 'r.yaml:3:1', "a recipe has no option 'budgett'", 'budget'],
    [
      'steps:\n  - method: k-means\n    retrain:\n      epoch: 3\n',
      'r.yaml:4:7',
      "retrain of 'k-means' has no option 'epoch'",
      'epochs',
    ],
    [
      "steps:\n  - method: magnitude\n    layers:\n      'a*': { sparsty: 1 }\n",
      'r.yaml:4:15',
      "layers.a* of 'magnitude' has no option 'sparsty'",
      'sparsity',
    ],
    ['steps:\n  - method: huffman\ntraining:\n  optimiser: sgd\n', 'r.yaml:4:3', "no option 'optimiser'", 'optimizer'],
  ])('points at a wrong name and gives the nearest right one: %#', (text, place, message, hint) => {
    const error = failure(text)
    expect(error.place).toBe(place)
    expect(error.message).toContain(message)
    expect(error.hint).toBe(`Did you mean '${hint}'?`)
  })

  it.each([
    ['steps:\n  - method: k-means\n    bits: 99\n', 'r.yaml:3:11', 'bits'],
    ['steps:\n  - method: magnitude\n    sparsity: 2\n', 'r.yaml:3:15', 'sparsity'],
    ['steps:\n  - method: magnitude\n    sparsity: 0.5\n    quality: 1\n', 'r.yaml:4:14', 'exclude each other'],
    ['steps: []\n', 'r.yaml:1:8', 'steps'],
    ['name: x\n', 'r.yaml:1:1', 'steps'],
    ['steps:\n  - method: huffman\n  bad\n', 'r.yaml:', 'not valid YAML'],
    ['- 1\n- 2\n', 'r.yaml:1:1', 'object'],
    ['', 'r.yaml:1:1', 'empty'],
    ['# nothing yet', 'r.yaml:1:1', 'empty'],
    ['stpes: []', 'r.yaml:1:1', "'stpes'"],
  ])('points at a wrong value: %#', (text, place, message) => {
    const error = failure(text)
    expect(error.place).toContain(place)
    expect(error.message).toContain(message)
  })

  it.each([
    ['bits: 99', "'k-means' has a wrong 'bits': Too big", 'Give 16 or less.'],
    ['bits: 2.5', "'k-means' has a wrong 'bits': expected int", 'Give a whole number.'],
    ['granularity: row', "'k-means' has a wrong 'granularity'", 'Give one of tensor, channel.'],
    ['layers: { fc1: { bits: -1 } }', "wrong 'layers.fc1.bits'", 'Give 1 or more.'],
    ['retrain: true', "'k-means' has a wrong 'retrain'", 'Give false or settings, as in { name: value }.'],
    ['retrain: { epochs: 0 }', "wrong 'retrain.epochs'", 'Give more than 0.'],
  ])('says what to write instead: %s', (option, message, hint) => {
    const error = failure(`steps:\n  - method: k-means\n    ${option}\n`)
    expect(error.message).toContain(message)
    expect(error.hint).toBe(hint)
  })

  it('refuses a bomb of aliases and an endless text', () => {
    const levels = Array.from({ length: 12 }, (_, i) => `a${i + 1}: &a${i + 1} [${`*a${i},`.repeat(9)}*a${i}]`)
    expect(failure(`a0: &a0 [x]\n${levels.join('\n')}\n`).code).toBe('recipe-aliases')
    expect(failure('#'.repeat(300_000)).code).toBe('recipe-size')
    expect(failure(`steps: ${'['.repeat(50_000)}`).message).toContain('nested too deeply')
    expect(failure('stpes: []').hint).toContain("'steps'")
  })

  it('ends every damaged recipe in a typed error', () => {
    const text = readFileSync('src/pipelines/recipes/deep-compression.yaml', 'utf8')
    const edit = fc.record({ at: fc.nat(text.length), remove: fc.nat(5), insert: fc.string({ maxLength: 4 }) })
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 4 }), (edits) => {
        let damaged = text
        for (const { at, remove, insert } of edits) damaged = damaged.slice(0, at) + insert + damaged.slice(at + remove)
        try {
          parseRecipe(damaged)
        } catch (error) {
          expect(error).toBeInstanceOf(EspalierError)
          expect((error as EspalierError).place).toBeDefined()
        }
      }),
    )
  })
})
