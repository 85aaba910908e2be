import { figureValues, judge, spread, type RowResults } from './results.ts'
import { figureOf, type Figure, type FigureTable, type PaperRow } from './row.ts'

/** The page docs/papers.md: every number in it comes from a record or from a results file. */
export function papersPage(rows: readonly PaperRow[], results: ReadonlyMap<string, RowResults>): string {
  return [
    '# Papers: what they say, what we measure',
    '',
    'Written by `npm run papers` from `docs/papers/*.json`; do not edit.',
    'Ours is the mean over the seeds with its sample standard deviation. Test sets are only measured, after each step and at the end; choices were made on validation data, except where a row says otherwise. Minutes are wall time, pauses of the run included.',
    '',
    ...rows.flatMap((row) => section(row, results.get(row.name))),
  ].join('\n')
}

/** Marks of the part of the README that is written. */
const summaryStart = '<!-- written by npm run papers -->'
const summaryEnd = '<!-- end -->'

/** `readme` with the tables of the headline figures between its marks; unchanged where it has none. */
export function withSummary(
  readme: string,
  rows: readonly PaperRow[],
  results: ReadonlyMap<string, RowResults>,
): string {
  const start = readme.indexOf(summaryStart)
  const end = readme.indexOf(summaryEnd, start)
  if (start < 0 || end < 0) return readme
  return [readme.slice(0, start) + summaryStart, ...summary(rows, results), readme.slice(end)].join('\n')
}

/** A table a network, in which a row of the page is one line. */
function summary(rows: readonly PaperRow[], results: ReadonlyMap<string, RowResults>): string[] {
  const networks = new Map<string, PaperRow[]>()
  for (const row of rows) {
    if (!row.figures.some(({ headline }) => headline)) continue
    networks.set(row.network, [...(networks.get(row.network) ?? []), row])
  }
  const tables = [...networks].flatMap(([network, own]) => [
    '',
    `${network}:`,
    '',
    '| method | figure | paper | ours | seeds |',
    '|---|---|--:|--:|--:|',
    ...own.map((row) => summaryLine(row, results.get(row.name))),
  ])
  return [...tables, '']
}

/** The headline figures of a row below each other; those that miss what is asked say so. */
function summaryLine(row: PaperRow, results: RowResults | undefined): string {
  const figures = row.figures.filter(({ headline }) => headline)
  const values = figures.map((figure) => figureValues(row, results, figure))
  const ours = figures.map((figure, i) => {
    const text = measured(values[i], figure)
    return judge(figure, values[i]) === 'missed' ? `${text}, asked ${bound(figure)}` : text
  })
  const cells = [
    figures.map(({ name }) => name),
    figures.map((figure) => quantity(figure.published, figure)),
    ours,
    [String(Math.max(...values.map(({ length }) => length)))],
  ].map((lines) => lines.join('<br>'))
  return `| ${[`[${row.method}](docs/papers.md#${row.name})`, ...cells].join(' | ')} |`
}

function section(row: PaperRow, results: RowResults | undefined): string[] {
  const runs = results?.runs.filter((run) => row.seeds.includes(run.seed)) ?? []
  const seconds = runs.reduce((sum, run) => sum + run.seconds, 0)
  return [
    `## ${row.name}`,
    '',
    row.summary,
    '',
    `Network: ${row.network}. Data: ${row.data}. Method: ${row.method}.${row.paper ? ` Paper: ${citation(row)}.` : ''}`,
    `Seeds: ${runs.length} of ${row.seeds.length} run${runs.length ? `, ${(seconds / runs.length / 60).toFixed(1)} minutes each` : ''}. Command: \`npm run papers -- ${row.name}\`.`,
    '',
    ...(row.table ? tableOf(row, row.table, results) : listOf(row, results)),
    '',
    row.difference,
    '',
  ]
}

/** One line a figure. */
function listOf(row: PaperRow, results: RowResults | undefined): string[] {
  return [
    '| figure | paper | ours | asked | |',
    '|---|---|---|---|---|',
    ...row.figures.map((figure) => {
      const values = figureValues(row, results, figure)
      return `| ${figure.name} | ${quantity(figure.published, figure)} | ${measured(values, figure)} | ${bound(figure)} | ${judge(figure, values)} |`
    }),
  ]
}

/** One line an entry, one column a quantity. */
function tableOf(row: PaperRow, { head, entries, columns }: FigureTable, results: RowResults | undefined): string[] {
  const figures = new Map(row.figures.map((figure) => [figure.name, figure]))
  const cell = (entry: string, column: string) => {
    const figure = figures.get(figureOf(entry, column))
    return figure ? measured(figureValues(row, results, figure), figure) : '–'
  }
  return [
    `| ${[head, ...columns].join(' | ')} |`,
    `|---|${columns.map(() => '--:|').join('')}`,
    ...entries.map((entry) => `| ${[entry, ...columns.map((column) => cell(entry, column))].join(' | ')} |`),
  ]
}

function citation(row: PaperRow): string {
  const { title, authors, venue, year, arxiv } = row.paper!
  const text = `${authors}, “${title}”, ${venue} ${year}`
  return arxiv ? `[${text}](https://arxiv.org/abs/${arxiv})` : text
}

/** A number with the unit of its figure; a dash where there is none. */
export function quantity(value: number | undefined, figure: Figure): string {
  if (value === undefined) return '–'
  const text = value.toFixed(figure.digits ?? 2)
  return figure.unit === 'x' ? `${text}x` : figure.unit ? `${text} ${figure.unit}` : text
}

/** Mean and deviation of a figure, or a dash before any run. */
export function measured(values: readonly number[], figure: Figure): string {
  if (values.length === 0) return '–'
  const { mean, deviation } = spread(values)
  return deviation === undefined
    ? quantity(mean, figure)
    : `${quantity(mean, figure)} ± ${deviation.toFixed(figure.digits ?? 2)}`
}

function bound(figure: Figure): string {
  if (figure.atLeast !== undefined) return `≥ ${quantity(figure.atLeast, figure)}`
  if (figure.atMost !== undefined) return `≤ ${quantity(figure.atMost, figure)}`
  return '–'
}
