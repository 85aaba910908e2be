import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import { EspalierError } from '../errors.ts'
import type { CliCommand, Outcome } from './command.ts'
import { commands } from './commands.ts'
import { fitLines } from './fit-lines.ts'
import type { Io } from './io.ts'
import { createProgressDisplay } from './progress.ts'
import { visible } from './visible.ts'

/** The exit status after Ctrl-C, as shells have it. */
const interrupted = 130

/**
 * Runs one command line, without the name of the program.
 * @returns the exit status: 0, 2 for wrong usage, 3 for a wrong model, 4 for what is not supported, 5 for wrong data, 130
 * when it was stopped, and 1 for anything else.
 */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  const json = argv.includes('--json')
  let exitCode = 0
  const finish = (outcome: Outcome) => {
    io.stdout(json ? `${JSON.stringify(outcome.data, undefined, 2)}\n` : fitLines(outcome.text, io.resultColumns))
    exitCode = outcome.exitCode ?? 0
  }
  try {
    await createProgram(io, json, finish).parseAsync([...argv], { from: 'user' })
    return exitCode
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0
    const report = describeError(error, io.signal.aborted)
    if (json) io.stdout(`${JSON.stringify({ error: report.error }, undefined, 2)}\n`)
    io.stderr(report.text)
    return report.exitCode
  }
}

function createProgram(io: Io, json: boolean, finish: (outcome: Outcome) => void): Command {
  const program = new Command('espalier')
    .description(
      'Makes neural networks small: prunes, quantizes, shares and codes an ONNX model, and proves the result.',
    )
    .version(packageVersion())
    .showSuggestionAfterError(true)
    .addHelpText(
      'after',
      '\nExample:\n  espalier demo    trains and compresses a small network, in under three minutes\n',
    )
  for (const command of [program, ...commands.map((record) => addCommand(program, record, io, json, finish))])
    command.exitOverride().configureOutput({
      // With --json, stdout holds one document; help and errors are none.
      writeOut: json ? io.stderr : io.stdout,
      writeErr: () => {},
      getOutHelpWidth: () => io.columns,
      getErrHelpWidth: () => io.columns,
    })
  return program
}

function addCommand(
  program: Command,
  record: CliCommand,
  io: Io,
  json: boolean,
  finish: (outcome: Outcome) => void,
): Command {
  const command = program.command(record.name).description(record.summary)
  record.configure(command)
  command
    .option('--json', 'print one JSON document instead of text')
    .option('-q, --quiet', 'show no progress')
    .addHelpText('after', `\nExample:\n${record.examples.map(([line, what]) => `  ${line}\n      ${what}\n`).join('')}`)
    .action(async () => {
      const { quiet } = command.opts<{ quiet?: boolean }>()
      const progress = createProgressDisplay(quiet ? { ...io, stderr: () => {} } : io)
      try {
        const outcome = await record.execute(command.args, command.opts(), { signal: io.signal, progress, json })
        // The line that is being drawn ends first: a terminal shows both streams.
        progress.finish()
        finish(outcome)
      } finally {
        progress.finish()
      }
    })
  return command
}

interface ErrorReport {
  readonly error: {
    readonly code: string
    readonly message: string
    readonly place?: string
    readonly hint?: string
    readonly exitCode: number
  }
  readonly text: string
  readonly exitCode: number
}

function describeError(error: unknown, aborted: boolean): ErrorReport {
  if (aborted) return report('aborted', 'stopped before it was done; no file was left half-written', interrupted)
  if (error instanceof CommanderError) {
    const [message, ...more] = error.message.replace(/^error: /, '').split('\n')
    const hint = more
      .join(' ')
      .trim()
      .replace(/^\((.*)\)$/, '$1')
    return report('usage', message, 2, undefined, hint || 'Run it with --help to see what it takes.')
  }
  if (error instanceof EspalierError) return report(error.code, error.message, error.exitCode, error.place, error.hint)
  const message = error instanceof Error ? error.message : String(error)
  const hint =
    'This is a bug of Espalier, or the machine has run out of something: please report it with the lines above.'
  const internal = report('internal', message, 1, undefined, hint)
  const stack = error instanceof Error && error.stack ? `${error.stack}\n` : ''
  return { ...internal, text: stack + internal.text }
}

function report(code: string, message: string, exitCode: number, place?: string, hint?: string): ErrorReport {
  const lines = [`error[${code}]: ${visible(message)}`]
  if (place) lines.push(`  at ${visible(place)}`)
  if (hint) lines.push(`  hint: ${visible(hint)}`)
  return { error: { code, message, place, hint, exitCode }, text: `${lines.join('\n')}\n`, exitCode }
}

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
