import { z } from 'zod'

/** An option of anything that is described by a schema: a method, a data set, training. */
export interface OptionDescription {
  readonly name: string
  readonly description: string
  /** What it takes, in a few words: 'number', 'integer 2 to 8', 'a | b'. */
  readonly type: string
  /** As people would write it; absent where there is none. */
  readonly default?: string
}

type JsonSchema = z.core.JSONSchema.JSONSchema

/**
 * The options in a schema, as help and catalogue show them. A choice between objects gives the options of all of them.
 * What a schema that reads text makes of it is in its metadata, as `takes`.
 */
export function describeOptions(schema: z.ZodType): readonly OptionDescription[] {
  const root = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })
  const found = new Map<string, OptionDescription>()
  collect(root, root, found)
  return [...found.values()]
}

function collect(schema: JsonSchema, root: JsonSchema, found: Map<string, OptionDescription>): void {
  const here = resolve(schema, root)
  for (const branch of [...(here.anyOf ?? []), ...(here.oneOf ?? []), ...(here.allOf ?? [])])
    collect(branch, root, found)
  for (const [name, value] of Object.entries(here.properties ?? {})) {
    if (found.has(name)) continue
    const property = resolve(value as JsonSchema, root)
    found.set(name, {
      name,
      description: property.description ?? '',
      type: typeOf(property, root),
      default: property.default === undefined ? undefined : plain(property.default),
    })
  }
}

function resolve(schema: JsonSchema, root: JsonSchema): JsonSchema {
  const name = /^#\/\$defs\/(.+)$/.exec(schema.$ref ?? '')?.[1]
  const target = name === undefined ? undefined : root.$defs?.[name]
  return target ? { ...target, ...schema } : schema
}

function typeOf(schema: JsonSchema, root: JsonSchema): string {
  if (typeof schema['takes'] === 'string') return schema['takes']
  if (schema.enum) return schema.enum.map(plain).join(' | ')
  if (schema.const !== undefined) return plain(schema.const)
  const branches = schema.anyOf ?? schema.oneOf
  if (branches) return [...new Set(branches.map((branch) => typeOf(resolve(branch, root), root)))].join(' | ')
  if (schema.type === 'array') return 'list'
  if (schema.type === 'object') return 'map'
  if (schema.type === 'string') return 'text'
  return [[schema.type ?? 'value'].flat().join(' | '), ...rangeOf(schema)].join(' ')
}

/** The bounds of a number, in words; nothing where there are none but those of every integer. */
function rangeOf(schema: JsonSchema): string[] {
  const own = (value: number | boolean | undefined) =>
    typeof value === 'number' && Math.abs(value) < Number.MAX_SAFE_INTEGER ? value : undefined
  const { minimum, exclusiveMinimum, maximum, exclusiveMaximum } = schema
  const [least, above, most, below] = [minimum, exclusiveMinimum, maximum, exclusiveMaximum].map(own)
  const words = [
    above !== undefined && `above ${above}`,
    least !== undefined && (most === undefined ? `${least} or more` : `${least} to ${most}`),
    least === undefined && most !== undefined && `up to ${most}`,
    below !== undefined && `below ${below}`,
  ].filter((word) => word !== false)
  return words.length === 0 ? [] : [words.join(', ')]
}

function plain(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
}
