/** docs/quantization.md knows every method of the two families, what it quantizes, whether it trains and what it needs. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { methods } from '../../src/methods/index.ts'
import type { Method } from '../../src/methods/method.ts'
import { parseRecipe } from '../../src/pipelines/recipe.ts'
import { recipeFromSteps } from '../../src/cli/recipes.ts'

const page = readFileSync(resolve(import.meta.dirname, '../../docs/quantization.md'), 'utf8')
const table = page.slice(page.indexOf('<!-- every method'), page.indexOf('<!-- end -->'))
const rows = [...table.matchAll(/^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \| [^|]+ \|$/gm)].map(
  ([, name, quantizes, training, needs]) => ({ name, quantizes, training, needs }),
)

const knows = ({ options }: Method, name: string) =>
  options
    .safeParse({ [name]: Number.NaN })
    .error?.issues.some(({ code, path }) => code !== 'unrecognized_keys' && path[0] === name) ?? false

function trainingOf(method: Method): string {
  if (!knows(method, 'retrain')) return 'never'
  return method.options.safeParse({ retrain: false }).success ? 'if wanted' : 'always'
}

function needsOf({ needs }: Method): string {
  const words = [needs.length > 0 && 'data', needs.includes('training-data') && 'labels']
  return words.filter(Boolean).join(', ') || '–'
}

function quantizes(method: Method): string {
  if (method.family === 'factorization') return 'layers'
  return knows(method, 'ends') ? 'activations' : 'weights'
}

describe('docs/quantization.md', () => {
  const all = [...methods.values()].filter(({ family }) => family === 'quantization' || family === 'factorization')

  it('has a row for every method of the families, and for no other', () => {
    expect(rows.map(({ name }) => name).toSorted()).toEqual(all.map(({ name }) => name).toSorted())
  })

  it.each(all.map((method) => [method.name, method] as const))('says what %s does and needs', (name, method) => {
    expect(rows.find((row) => row.name === name)).toEqual({
      name,
      quantizes: quantizes(method),
      training: trainingOf(method),
      needs: needsOf(method),
    })
  })

  it('has steps and recipes that can be read', () => {
    const steps = [...page.matchAll(/--step '([^']+)'/g)].map(([, step]) => step)
    expect(steps.length).toBeGreaterThan(2)
    for (const step of steps) expect(recipeFromSteps([step]).steps).toHaveLength(1)
    const recipes = [...page.matchAll(/```yaml\n(.*?)```/gs)].map(([, recipe]) => recipe)
    expect(recipes.length).toBeGreaterThan(0)
    for (const recipe of recipes) expect(parseRecipe(recipe).steps.length).toBeGreaterThan(1)
  })
})
