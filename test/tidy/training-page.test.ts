/** docs/training.md has every training setting, with what the schema says of it. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { trainingSettings } from '../../src/training/settings.ts'

const page = readFileSync(resolve(import.meta.dirname, '../../docs/training.md'), 'utf8')
const table = page.slice(page.indexOf('<!-- every setting'), page.indexOf('<!-- end -->'))

interface Property {
  readonly type: string
  readonly enum?: readonly string[]
  readonly default?: unknown
  readonly description: string
  readonly minimum?: number
  readonly maximum?: number
  readonly exclusiveMinimum?: number
  readonly exclusiveMaximum?: number
}

/** Safe integers are what every integer is; no bound of ours. */
const bound = (value: number | undefined) => (Math.abs(value ?? Infinity) < Number.MAX_SAFE_INTEGER ? value : undefined)

function takes({ type, enum: choices, ...range }: Property): string {
  if (choices) return choices.map((choice) => `\`${choice}\``).join(', ')
  if (type !== 'number' && type !== 'integer') return type === 'boolean' ? '`true`, `false`' : 'numbers'
  const [least, above, most, below] = [
    range.minimum,
    range.exclusiveMinimum,
    range.maximum,
    range.exclusiveMaximum,
  ].map(bound)
  const words = [
    least === undefined ? above !== undefined && `above ${above}` : most === undefined && `${least} or more`,
    most !== undefined && (least === undefined ? `to ${most}` : `${least} to ${most}`),
    below !== undefined && `below ${below}`,
  ]
  return [type === 'integer' ? 'integer' : 'number', words.filter(Boolean).join(', ')].join(' ')
}

describe('docs/training.md', () => {
  const { properties } = z.toJSONSchema(trainingSettings, { io: 'input' }) as unknown as {
    readonly properties: Readonly<Record<string, Property>>
  }

  it('has a row for every setting, as the schema has it', () => {
    const rows = Object.entries(properties).map(([name, own]) => {
      const usual = own.default === undefined ? '–' : `\`${JSON.stringify(own.default).replaceAll('"', '')}\``
      return `| \`${name}\` | ${takes(own)} | ${usual} | ${own.description} |`
    })
    expect(table.split('\n').filter((line) => line.startsWith('| `'))).toEqual(rows)
  })

  it('names no setting that there is not', () => {
    const rest = page.replace(table, '')
    for (const [, name] of rest.matchAll(/`([a-z]+[A-Z][a-zA-Z]+)`/g)) expect(Object.keys(properties)).toContain(name)
  })
})
