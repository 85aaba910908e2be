import { join } from 'node:path'
import { onnxruntime } from '../../engines/onnxruntime.ts'
import { runPapers } from '../../papers/harness.ts'
import { figureValues, judge, spread } from '../../papers/results.ts'
import { paperRows } from '../../papers/rows/index.ts'
import { defineCommand } from '../command.ts'
import { formatTable, left, right } from '../table.ts'

interface Options {
  readonly data: string
  readonly docs: string
  readonly cache: string
  readonly fresh?: boolean
  readonly pageOnly?: boolean
  readonly list?: boolean
}

/** Runs the experiments of the literature and writes the table of paper and ours. */
export const papers = defineCommand<Options>({
  name: 'papers',
  summary: 'Repeats experiments of the literature and writes the table "paper, ours, why they differ".',
  examples: [
    ['espalier papers --list', 'says what there is, and how long each takes'],
    ['espalier papers', 'runs what has no result yet, and writes docs/papers.md'],
  ],
  configure(command) {
    command
      .argument('[rows...]', 'names of rows (default: all)')
      .option('--data <folder>', 'the folder with data sets and pretrained models', '../shared/data')
      .option('--docs <folder>', 'the folder of papers.md and of the results', 'docs')
      .option('--cache <folder>', 'where unfinished runs are kept', join('.cache', 'papers'))
      .option('--fresh', 'run again what has a result')
      .option('--page-only', 'write the page from the results that are there')
      .option('--list', 'list the rows and run nothing')
  },
  async execute(names, options, { signal, progress }) {
    const rows = [...paperRows.values()]
    if (options.list) {
      const facts = rows.map(({ name, summary, seeds, minutes, needs }) => ({
        name,
        summary,
        seeds: seeds.length,
        minutes,
        needs,
      }))
      return {
        data: facts,
        text: formatTable(
          [left('row'), right('seeds'), right('minutes a seed'), left('what')],
          facts.map(({ name, seeds, minutes, summary }) => [name, String(seeds), String(minutes), summary]),
        ),
      }
    }
    const results = await runPapers({
      rows,
      only: names,
      engine: onnxruntime,
      data: options.data,
      docs: options.docs,
      cache: options.cache,
      fresh: options.fresh,
      pageOnly: options.pageOnly,
      progress: progress.listener,
      signal,
      note: progress.note,
    })
    const figures = rows.flatMap((row) =>
      row.figures.map((figure) => {
        const values = figureValues(row, results.get(row.name), figure)
        return {
          row: row.name,
          figure: figure.name,
          unit: figure.unit,
          digits: figure.digits ?? 2,
          paper: figure.published,
          ours: values.length > 0 ? spread(values).mean : undefined,
          runs: values.length,
          verdict: judge(figure, values),
        }
      }),
    )
    return {
      data: { page: join(options.docs, 'papers.md'), figures },
      text: formatTable(
        [left('row'), left('figure'), right('paper'), right('ours'), left('unit'), left('verdict')],
        figures.map(({ row, figure, unit, digits, paper, ours, verdict }) => [
          row,
          figure,
          paper?.toFixed(digits) ?? '-',
          ours?.toFixed(digits) ?? '-',
          unit,
          verdict,
        ]),
      ),
    }
  },
})
