import { existsSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseDocument, stringify } from 'yaml'
import { nearestName, UsageError } from '../errors.ts'
import { parseRecipe, type Recipe } from '../pipelines/recipe.ts'
import { readBytes } from './files.ts'

const folder = fileURLToPath(new URL('../pipelines/recipes/', import.meta.url))

/** What `compress` does where nothing else is asked for: it needs no data. */
export const defaultRecipe = 'weights-only'

/** The names of the recipes that come with Espalier. */
export function shippedRecipes(): readonly string[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.yaml'))
    .map((file) => file.replace(/\.yaml$/, ''))
    .sort()
}

/**
 * Reads a recipe: one that comes with Espalier, by its name, or a file.
 * @throws UsageError for a name that is neither, with the nearest right one, and for a recipe that is wrong.
 */
export async function loadRecipe(name: string): Promise<Recipe> {
  const shipped = shippedRecipes()
  const path = shipped.includes(name) ? `${folder}${name}.yaml` : name
  if (!existsSync(path)) {
    const near = nearestName(name, shipped)
    throw new UsageError('recipe-name', `there is no recipe '${name}', and no such file`, {
      place: '--recipe',
      hint: near ? `Did you mean ${near}?` : `Recipes are ${shipped.join(', ')}; anything else is the path of a file.`,
    })
  }
  return parseRecipe(new TextDecoder().decode(await readBytes(path)), {
    file: shipped.includes(name) ? `${name}.yaml` : name,
  })
}

/**
 * A recipe from steps on the command line, each `method` or `method?option=value&option=value`; values are read as YAML.
 * @throws UsageError for a wrong method, option or value, with the step as it was given.
 */
export function recipeFromSteps(steps: readonly string[]): Recipe {
  const parsed = steps.map((step) => {
    const question = step.indexOf('?')
    const query = question < 0 ? '' : step.slice(question + 1)
    const options = query
      .split('&')
      .filter((part) => part !== '')
      .map((part) => {
        const equals = part.indexOf('=')
        if (equals < 0) return [part, true] as const
        const document = parseDocument(part.slice(equals + 1))
        if (document.errors.length > 0)
          throw new UsageError('step-value', `'${part}' has a value that is not valid YAML`, {
            place: `--step ${step}`,
          })
        return [part.slice(0, equals), document.toJS() as unknown] as const
      })
    return { method: question < 0 ? step : step.slice(0, question), ...Object.fromEntries(options) }
  })
  return parseRecipe(stringify({ name: 'steps', steps: parsed }), {
    file: '--step',
    place: ([, position]) => (typeof position === 'number' ? `--step ${steps[position]}` : '--step'),
  })
}
