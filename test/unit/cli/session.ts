import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from '../../../src/cli/run.ts'

/** What a command line said, and how it ended. */
export interface CliResult {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** Runs a command line in this process. */
export async function cli(argv: readonly string[], signal = new AbortController().signal): Promise<CliResult> {
  let out = ''
  let err = ''
  const code = await run(argv, {
    stdout: (text) => {
      out += text
    },
    stderr: (text) => {
      err += text
    },
    terminal: false,
    columns: 100,
    resultColumns: Number.POSITIVE_INFINITY,
    signal,
  })
  return { code, out, err }
}

/** As `cli`, with --json: the document, which must be the only thing on stdout. */
export async function cliJson<T>(argv: readonly string[]): Promise<CliResult & { readonly data: T }> {
  const result = await cli([...argv, '--json'])
  return { ...result, data: JSON.parse(result.out) as T }
}

/** A folder for one test file. */
export async function temporaryFolder(): Promise<{ path(name: string): string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'espalier-cli-'))
  return {
    path: (name) => join(folder, name),
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}
