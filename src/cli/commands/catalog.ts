import { codecs } from '../../codecs/index.ts'
import { datasets } from '../../datasets/index.ts'
import { nearestName, UsageError } from '../../errors.ts'
import { foreignFormats } from '../../formats/index.ts'
import { operators } from '../../ir/ops/index.ts'
import { methods } from '../../methods/index.ts'
import type { Paper } from '../../paper.ts'
import { networks } from '../../zoo/index.ts'
import { defineCommand } from '../command.ts'
import { loadRecipe, shippedRecipes } from '../recipes.ts'
import { describeOptions, type OptionDescription } from '../schema.ts'
import { formatFacts, formatTable, left } from '../table.ts'

/** One thing that Espalier has, of whatever kind. */
interface Entry {
  readonly kind: string
  readonly name: string
  readonly summary: string
  /** A word that tells things of a kind apart, such as a method's family. */
  readonly group?: string
  readonly paper?: Paper
  readonly options?: readonly OptionDescription[]
  readonly facts?: Readonly<Record<string, string>>
}

/** Lists all that there is, from the records themselves. */
export const catalog = defineCommand({
  name: 'catalog',
  summary:
    'Lists methods, recipes, data, networks, formats, codecs and operators, or shows one of them with its options.',
  examples: [
    ['espalier catalog', 'lists everything'],
    ['espalier catalog k-means', 'shows one method, its paper and its options'],
    ['espalier catalog data', 'shows one kind of thing: methods, recipes, data, networks, formats, codecs, operators'],
  ],
  configure(command) {
    command.argument('[name]', 'a kind of thing, or the name of one')
  },
  async execute([name]) {
    const entries = await allEntries()
    if (name === undefined) return { data: grouped(entries), text: formatList(entries) }
    const kinds = [...new Set(entries.map(({ kind }) => kind))]
    if (kinds.includes(name)) {
      const chosen = entries.filter(({ kind }) => kind === name)
      const detailed = chosen.some(({ options }) => options) && chosen.length <= 8
      return { data: grouped(chosen), text: detailed ? chosen.map(formatEntry).join('\n') : formatList(chosen) }
    }
    const found = entries.filter((entry) => entry.name === name)
    if (found.length > 0)
      return { data: found.length === 1 ? found[0] : found, text: found.map(formatEntry).join('\n') }
    const near = nearestName(name, [...kinds, ...entries.map((entry) => entry.name)])
    throw new UsageError('catalog-name', `there is nothing called '${name}'`, {
      place: name,
      hint: near ? `Did you mean ${near}?` : `Kinds of things are ${kinds.join(', ')}.`,
    })
  },
})

async function allEntries(): Promise<readonly Entry[]> {
  const recipes = await Promise.all(
    shippedRecipes().map(async (name): Promise<Entry> => {
      const { summary = '', steps } = await loadRecipe(name)
      return { kind: 'recipes', name, summary, facts: { steps: steps.map(({ method }) => method.name).join(', ') } }
    }),
  )
  return [
    ...Array.from(methods.values(), ({ name, family, summary, paper, needs, options }): Entry => ({
      kind: 'methods',
      name,
      summary,
      group: family,
      paper,
      options: describeOptions(options),
      facts: { needs: needs.length > 0 ? needs.join(', ') : 'nothing but the model' },
    })),
    ...recipes,
    ...Array.from(datasets.values(), ({ name, summary, options, location, example }): Entry => ({
      kind: 'data',
      name,
      summary,
      options: describeOptions(options),
      facts: { form: location ? `${name}:${location}?option=value` : `${name}?option=value`, example },
    })),
    ...Array.from(networks.values(), ({ name, summary, paper, inputShape, classes }): Entry => ({
      kind: 'networks',
      name,
      summary,
      paper,
      facts: { input: `[N, ${inputShape.join(', ')}]`, classes: String(classes) },
    })),
    ...Array.from(foreignFormats.values(), ({ name, summary, paper, ending, companions = [], read, write }): Entry => ({
      kind: 'formats',
      name,
      summary,
      paper,
      facts: {
        file: `*${ending}`,
        ...(read
          ? { read: ['compress', `--from ${name}`, ...companions.map((file) => `--${file.name} FILE`)].join(' ') }
          : {}),
        ...(write ? { written: `export ${name}` } : {}),
      },
    })),
    ...Array.from(codecs.values(), ({ name, summary, paper }): Entry => ({ kind: 'codecs', name, summary, paper })),
    ...Array.from(operators, ([name, operator]): Entry => ({
      kind: 'operators',
      name,
      summary: `Since opset ${operator.since}${operator.gradient ? ', with a gradient' : ''}.`,
    })),
  ]
}

function grouped(entries: readonly Entry[]): Record<string, Omit<Entry, 'kind'>[]> {
  const result: Record<string, Omit<Entry, 'kind'>[]> = {}
  for (const { kind, ...rest } of entries) (result[kind] ??= []).push(rest)
  return result
}

function formatList(entries: readonly Entry[]): string {
  return Object.entries(grouped(entries))
    .map(([kind, things]) => {
      const plain = things.every(({ group, paper, options, facts }) => !group && !paper && !options && !facts)
      if (plain && things.length > 20) return `${kind} (${things.length})\n${wrapped(things.map(({ name }) => name))}`
      const rows = things.map(({ name, group, summary, paper }) => [
        `  ${name}`,
        ...(things.some((thing) => thing.group) ? [group ?? ''] : []),
        summary + (paper ? ` [${paper.year}]` : ''),
      ])
      return `${kind} (${things.length})\n${formatTable(
        rows[0].map(() => left('')),
        rows,
      )}`
    })
    .join('\n')
}

function formatEntry({ kind, name, summary, group, paper, options, facts }: Entry): string {
  const head: [string, string][] = [[name, `${kind}${group ? `, ${group}` : ''}`]]
  head.push(['', summary])
  if (paper) {
    const source = paper.arxiv ? `, arXiv ${paper.arxiv}` : paper.doi ? `, doi ${paper.doi}` : ''
    head.push(['paper', `${paper.authors}: ${paper.title}. ${paper.venue} ${paper.year}${source}`])
  }
  for (const [key, value] of Object.entries(facts ?? {})) head.push([key, value])
  if (!options || options.length === 0) return formatFacts(head)
  return `${formatFacts(head)}\n${formatTable(
    [left('option'), left('takes'), left('default'), left('what')],
    options.map((option) => [option.name, option.type, option.default ?? '-', option.description]),
  )}`
}

function wrapped(names: readonly string[]): string {
  const lines: string[] = []
  for (const name of names) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + name.length + 2 <= 100) lines[lines.length - 1] = `${last}, ${name}`
    else lines.push(`  ${name}`)
  }
  return `${lines.join('\n')}\n`
}
