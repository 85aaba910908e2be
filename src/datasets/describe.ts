import { z } from 'zod'
import { datasets } from './index.ts'

/** One option of a kind of data, as documentation and `--help` show it. */
export interface DatasetOptionDescription {
  readonly name: string
  readonly description: string
  readonly default?: string
  /** The values that it may take, where they are few. */
  readonly choices?: readonly string[]
}

export interface DatasetDescription {
  readonly name: string
  /** How it is written: `images:DIR`. */
  readonly form: string
  readonly summary: string
  readonly example: string
  readonly options: readonly DatasetOptionDescription[]
}

/** All kinds of data with their options, derived from the records and their schemas. */
export function describeDatasets(): readonly DatasetDescription[] {
  return Array.from(datasets.values(), (kind) => {
    const schema = z.toJSONSchema(kind.options, { io: 'input', unrepresentable: 'any' })
    const properties = (schema.properties ?? {}) as Record<string, z.core.JSONSchema.JSONSchema>
    return {
      name: kind.name,
      form: kind.location ? `${kind.name}:${kind.location}` : kind.name,
      summary: kind.summary,
      example: kind.example,
      options: Object.entries(properties).map(([name, property]) => ({
        name,
        description: property.description ?? '',
        default: property.default === undefined ? undefined : String(property.default),
        choices: property.enum?.map(String),
      })),
    }
  })
}
