import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Engine } from '../engines/engine.ts'
import { nearestName, UsageError } from '../errors.ts'
import { writeFileAtomic } from '../formats/files.ts'
import type { ProgressListener } from '../progress.ts'
import { papersPage, withSummary } from './page.ts'
import { formatResults, parseResults, type RowResults } from './results.ts'
import type { PaperRow, RowStore } from './row.ts'

export interface PapersOptions {
  readonly rows: readonly PaperRow[]
  /** Names of the rows to run; all when empty. */
  readonly only?: readonly string[]
  readonly engine: Engine
  /** The folder with MNIST, CIFAR-10 and the pretrained models. */
  readonly data: string
  /** The folder of papers.md and papers/*.json; a README.md beside it gets the table of headline figures between its marks. */
  readonly docs: string
  /** Where unfinished runs keep their checkpoints. */
  readonly cache: string
  /** Runs again what already has a result. */
  readonly fresh?: boolean
  /** Writes the page from the results that are there, and runs nothing. */
  readonly pageOnly?: boolean
  readonly progress?: ProgressListener
  readonly signal?: AbortSignal
  /** Told about every row that is skipped or done. */
  note?(text: string): void
}

/**
 * Runs the rows that have no result yet, seed by seed, writes each result as soon as it is there, and then the page.
 * A run that is killed goes on from its last checkpoint.
 * @throws UsageError for a row that does not exist.
 */
export async function runPapers(options: PapersOptions): Promise<ReadonlyMap<string, RowResults>> {
  const results = await readResults(options)
  if (!options.pageOnly) for (const row of chosen(options)) await runRow(row, options, results)
  await writeText(join(options.docs, 'papers.md'), papersPage(options.rows, results))
  const readme = join(options.docs, '..', 'README.md')
  const before = existsSync(readme) ? await readFile(readme, 'utf8') : ''
  const after = withSummary(before, options.rows, results)
  if (after !== before) await writeText(readme, after)
  return results
}

async function writeText(path: string, text: string): Promise<void> {
  await writeFileAtomic(path, new TextEncoder().encode(text))
}

function chosen({ rows, only }: PapersOptions): readonly PaperRow[] {
  if (!only?.length) return rows
  return only.map((name) => {
    const row = rows.find((candidate) => candidate.name === name)
    if (row) return row
    const near = nearestName(
      name,
      rows.map((candidate) => candidate.name),
    )
    throw new UsageError('papers-row', `there is no row '${name}'`, {
      hint: near ? `Did you mean '${near}'?` : `The rows are: ${rows.map((candidate) => candidate.name).join(', ')}.`,
    })
  })
}

async function readResults({ docs }: PapersOptions): Promise<Map<string, RowResults>> {
  const folder = join(docs, 'papers')
  await mkdir(folder, { recursive: true })
  const results = new Map<string, RowResults>()
  for (const file of (await readdir(folder)).filter((name) => name.endsWith('.json'))) {
    const parsed = parseResults(await readFile(join(folder, file), 'utf8'), join(folder, file))
    results.set(parsed.row, parsed)
  }
  return results
}

async function runRow(row: PaperRow, options: PapersOptions, results: Map<string, RowResults>): Promise<void> {
  const missing = row.needs.filter((name) => !existsSync(join(options.data, name)))
  if (missing.length > 0) {
    options.note?.(`${row.name}: skipped, ${missing.join(' and ')} not found under ${options.data}`)
    return
  }
  for (const seed of row.seeds) {
    const known = results.get(row.name)?.runs.filter((run) => run.seed !== seed || !options.fresh) ?? []
    if (known.some((run) => run.seed === seed)) {
      options.note?.(`${row.name}, seed ${seed}: has a result already`)
      continue
    }
    const folder = resolve(options.cache, row.name, String(seed))
    const started = performance.now()
    const values = await row.run({
      seed,
      engine: options.engine,
      path: (name) => resolve(options.data, name),
      store: folderStore(folder),
      shared: folderStore(resolve(options.cache, 'shared')),
      progress: options.progress,
      signal: options.signal,
    })
    const seconds = Math.round((performance.now() - started) / 1000)
    const runs = [...known, { seed, seconds, values }].sort((a, b) => a.seed - b.seed)
    results.set(row.name, { row: row.name, runs })
    await writeText(join(options.docs, 'papers', `${row.name}.json`), formatResults({ row: row.name, runs }))
    await rm(folder, { recursive: true, force: true })
    options.note?.(`${row.name}, seed ${seed}: ${JSON.stringify(values)} after ${seconds} s`)
  }
}

/** Named checkpoints as files of a folder. */
export function folderStore(folder: string): RowStore {
  const path = (name: string) => join(folder, name.replaceAll(/[^\w.-]/g, '_'))
  return {
    async read(name) {
      return existsSync(path(name)) ? await readFile(path(name)) : undefined
    },
    async write(name, bytes) {
      await mkdir(folder, { recursive: true })
      await writeFileAtomic(path(name), bytes)
    },
    async remove(name) {
      await rm(path(name), { force: true })
    },
  }
}
