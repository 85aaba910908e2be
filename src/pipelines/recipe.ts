import { LineCounter, parseDocument, isMap, isNode, isScalar, type Document, type Node as YamlNode } from 'yaml'
import { z } from 'zod'
import { nearestName, UsageError } from '../errors.ts'
import { methods as registered } from '../methods/index.ts'
import type { Method } from '../methods/method.ts'
import { partialTrainingSettings } from '../methods/retraining.ts'
import type { TrainingSettings } from '../training/settings.ts'

/** One step of a recipe: a method with its options, checked by the method's own schema. */
export interface RecipeStep {
  readonly method: Method
  readonly options: unknown
  /** Where the recipe writes each pattern for layers, as errors say it: whether it fits, only a model tells. */
  readonly patternPlaces: ReadonlyMap<string, string>
}

/** How much a result may lose, and how hard to look for one that loses no more. */
export interface Budget {
  /** In points of accuracy on the validation data: 0.5 allows 91.2 % after 91.7 %. */
  readonly maxAccuracyLoss: number
  /** Runs after the first one, each with other strengths of the methods. */
  readonly trials: number
  /** Goes on looking for a smaller result when the recipe as written keeps the budget. */
  readonly push: boolean
}

/** What is to be done to a model: steps in order, and what they need. */
export interface Recipe {
  readonly name: string
  readonly summary?: string
  readonly steps: readonly RecipeStep[]
  /** The data to use where the command line names none, such as `mnist:DIR`. */
  readonly data?: string
  readonly preprocessing?: Readonly<Record<string, string>>
  readonly training?: Partial<TrainingSettings>
  readonly budget?: Budget
  readonly seed: number
}

const budget = z.strictObject({
  maxAccuracyLoss: z.number().min(0).max(100).describe('points of accuracy'),
  trials: z.number().int().min(0).max(50).default(4).describe('further runs with other strengths'),
  push: z.boolean().default(false).describe('look for smaller results although the budget is kept'),
})

const settingText = z.union([z.string(), z.number(), z.boolean(), z.array(z.union([z.string(), z.number()])).max(16)])

const recipeShape = {
  name: z.string().max(100).optional(),
  summary: z.string().max(1000).optional(),
  steps: z
    .array(z.looseObject({ method: z.string() }))
    .min(1)
    .max(100),
  data: z.string().max(4096).optional(),
  preprocessing: z.record(z.string(), settingText).optional(),
  training: partialTrainingSettings.optional(),
  budget: budget.optional(),
  seed: z
    .number()
    .int()
    .min(0)
    .max(2 ** 32 - 1)
    .optional(),
}
const recipeSchema = z.strictObject(recipeShape)

export interface RecipeSource {
  /** What errors call the text. Default 'recipe'. */
  readonly file?: string
  /** The methods to choose from; default: all that there are. */
  readonly methods?: ReadonlyMap<string, Method>
  /** What errors call the place of a value, by its path; default: the file with line and column. */
  readonly place?: (path: Path) => string
}

/** A recipe that a person wrote is short; more than this is refused before it is looked at. */
const MOST_CHARACTERS = 262_144

/**
 * Reads a recipe.
 * @throws UsageError that names the file, line and column, and for a wrong name the nearest right one.
 */
export function parseRecipe(text: string, source: RecipeSource = {}): Recipe {
  const file = source.file ?? 'recipe'
  const known = source.methods ?? registered
  if (text.length > MOST_CHARACTERS)
    throw new UsageError('recipe-size', `a recipe has at most ${MOST_CHARACTERS} characters, not ${text.length}`, {
      place: file,
      hint: 'Is this the right file?',
    })
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const reader: Reader = { document, lines, file, place: source.place }
  const [error] = document.errors
  if (error) {
    const { line, col } = lines.linePos(error.pos[0])
    const place = `${file}:${line}:${col}`
    // The parser descends by recursion, and says no more than that the stack was not deep enough.
    const words = /call stack/.test(error.message) ? 'it is nested too deeply' : error.message
    throw new UsageError('recipe-syntax', `not valid YAML: ${words}`, { place, cause: error })
  }
  if (document.contents === null || (isScalar(document.contents) && document.contents.value === null))
    throw new UsageError('recipe', 'the recipe is empty', {
      place: `${file}:1:1`,
      hint: "Give it steps, for example 'steps: [{ method: k-means, bits: 4 }]'.",
    })
  const value = toPlain(reader)
  const recipe = checked(recipeSchema, value, [], reader, 'recipe')
  const steps = recipe.steps.map(({ method: name, ...options }, position) => {
    const method = known.get(name)
    if (!method)
      throw fault(reader, ['steps', position, 'method'], `there is no method '${name}'`, nearest(name, known.keys()))
    const at = ['steps', position]
    return {
      method,
      options: checked(method.options, options, at, reader, name, ['method']),
      patternPlaces: patternPlaces(reader, at, options),
    }
  })
  const preprocessing =
    recipe.preprocessing &&
    Object.fromEntries(Object.entries(recipe.preprocessing).map(([key, item]) => [key, String(item)]))
  return {
    ...recipe,
    name: recipe.name ?? file.replace(/^.*[/\\]|\.ya?ml$/g, ''),
    steps,
    preprocessing,
    seed: recipe.seed ?? 1,
  }
}

interface Reader {
  readonly document: Document
  readonly lines: LineCounter
  readonly file: string
  readonly place: RecipeSource['place']
}

type Path = readonly PropertyKey[]

function toPlain({ document, file }: Reader): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 })
  } catch (cause) {
    throw new UsageError('recipe-aliases', 'the aliases of the recipe expand to more than it may hold', {
      place: file,
      cause,
    })
  }
}

function checked<T>(
  schema: z.ZodType<T>,
  value: unknown,
  at: Path,
  reader: Reader,
  what: string,
  reserved: string[] = [],
): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  // A misspelled key leaves another one missing; the misspelling is what to say.
  const { issues } = result.error
  const issue = deepest(issues.find(({ code }) => code === 'unrecognized_keys') ?? issues[0])
  const path = [...at, ...issue.path]
  if (issue.code === 'unrecognized_keys') {
    const key = issue.keys[0]
    const candidates = [...keysOf(schema, issue.path), ...reserved]
    const inside = issue.path.length > 0 ? `${issue.path.join('.')} of ` : ''
    const place = path.length === 0 ? `a recipe` : what === 'recipe' ? path.join('.') : `${inside}'${what}'`
    throw fault(reader, [...path, key], `${place} has no option '${key}'`, nearest(key, candidates), true)
  }
  const option = (what === 'recipe' ? path : issue.path).map(String).join('.')
  const where = option === '' ? '' : what === 'recipe' ? `${option}: ` : `'${what}' has a wrong '${option}': `
  const meant = wanted(issue)
  const hint = meant === undefined ? undefined : `Give ${meant}.`
  throw fault(reader, path, where + issue.message.replace(/^Invalid input: /, ''), hint)
}

const kinds: Readonly<Record<string, string>> = {
  int: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  string: 'text',
  array: 'a list',
  object: 'settings, as in { name: value }',
  record: 'settings, as in { name: value }',
}

/** What a schema that complains would take, in words; undefined where the complaint does not tell. */
export function wanted(issue: z.core.$ZodIssue): string | undefined {
  if (issue.code === 'invalid_type') return kinds[issue.expected]
  if (issue.code === 'invalid_value') return `${issue.values.length > 1 ? 'one of ' : ''}${issue.values.join(', ')}`
  if (issue.code === 'invalid_union') {
    const choices = issue.errors.map(([first]) => first && wanted(first))
    return choices.length > 0 && choices.every((choice) => choice !== undefined) ? choices.join(' or ') : undefined
  }
  if (issue.code !== 'too_small' && issue.code !== 'too_big') return undefined
  const [bound, side] = issue.code === 'too_small' ? [issue.minimum, 'more'] : [issue.maximum, 'less']
  const units: Readonly<Record<string, string>> = { array: ' entries', string: ' characters' }
  const unit = units[issue.origin] ?? ''
  return issue.inclusive === false ? `${side} than ${bound}${unit}` : `${bound}${unit} or ${side}`
}

/** Of a choice between schemas the complaint of the one that got furthest: it is the one that was meant. */
function deepest(issue: z.core.$ZodIssue): z.core.$ZodIssue {
  if (issue.code !== 'invalid_union') return issue
  const branches = issue.errors.flatMap((issues) => (issues[0] ? [deepest(issues[0])] : []))
  const meant = branches.find((inner) => inner.path.length > 0 || inner.code === 'unrecognized_keys')
  return meant ? { ...meant, path: [...issue.path, ...meant.path] } : issue
}

function nearest(name: string, candidates: Iterable<string>): string {
  const all = [...candidates]
  const near = nearestName(name, all)
  return near ? `Did you mean '${near}'?` : `There are: ${all.sort().join(', ')}.`
}

/** A complaint about the value at `path`, or about its key. */
function fault(reader: Reader, path: Path, message: string, hint?: string, aboutKey = false): UsageError {
  return new UsageError('recipe', message, { place: positionOf(reader, path, aboutKey), hint })
}

function patternPlaces(reader: Reader, at: Path, options: Readonly<Record<string, unknown>>): Map<string, string> {
  const places = new Map<string, string>()
  for (const key of ['include', 'exclude']) {
    const list = options[key]
    if (!Array.isArray(list)) continue
    for (const [i, pattern] of list.entries())
      if (!places.has(String(pattern))) places.set(String(pattern), positionOf(reader, [...at, key, i], false))
  }
  for (const pattern of Object.keys(options.layers ?? {}))
    if (!places.has(pattern)) places.set(pattern, positionOf(reader, [...at, 'layers', pattern], true))
  return places
}

function positionOf({ document, lines, file, place }: Reader, path: Path, aboutKey: boolean): string {
  if (place) return place(path)
  let node: unknown = document.contents
  let found: YamlNode | undefined
  for (const [depth, step] of path.entries()) {
    if (isNode(node)) found = node
    const last = depth === path.length - 1
    if (isMap(node)) {
      const pair = node.items.find((item) => String(isScalar(item.key) ? item.key.value : item.key) === String(step))
      if (!pair) break
      node = last && aboutKey ? pair.key : (pair.value ?? pair.key)
    } else node = (node as { items?: unknown[] } | undefined)?.items?.[Number(step)]
    if (isNode(node)) found = node
  }
  found ??= isNode(node) ? node : undefined
  const { line, col } = lines.linePos(found?.range?.[0] ?? 0)
  return `${file}:${line}:${col}`
}

/** The keys that an object has at `path` inside a schema. */
function keysOf(schema: z.core.$ZodType, path: Path): string[] {
  const inner = unwrapped(schema)
  if (inner instanceof z.ZodUnion) return inner.options.flatMap((option) => keysOf(option, path))
  if (path.length === 0) return inner instanceof z.ZodObject ? Object.keys(inner.shape) : []
  const [step, ...rest] = path
  if (inner instanceof z.ZodObject) {
    const next = (inner.shape as Record<string, z.core.$ZodType>)[String(step)]
    return next ? keysOf(next, rest) : []
  }
  if (inner instanceof z.ZodRecord) return keysOf(inner.valueType, rest)
  if (inner instanceof z.ZodArray) return keysOf(inner.element, rest)
  return []
}

function unwrapped(schema: z.core.$ZodType): z.core.$ZodType {
  let inner = schema
  while (inner instanceof z.ZodOptional || inner instanceof z.ZodDefault || inner instanceof z.ZodNullable)
    inner = inner.def.innerType
  return inner
}
