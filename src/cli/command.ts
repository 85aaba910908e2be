import type { Command } from 'commander'
import type { ProgressDisplay } from './progress.ts'

/** What a command gets besides its arguments and options. */
export interface CommandContext {
  readonly signal: AbortSignal
  readonly progress: ProgressDisplay
  /** Whether the result will be printed as JSON. */
  readonly json: boolean
}

/** What a command has to say, once as data and once as text; one of them is printed. */
export interface Outcome {
  readonly data: unknown
  readonly text: string
  /** Not zero where the command did its work and the answer is bad: a proof that failed. */
  readonly exitCode?: number
}

/** A command of the command line: one file, one record. */
export interface CliCommand {
  readonly name: string
  /** One full sentence. */
  readonly summary: string
  /** Commands to copy, each with what it does; `--help` ends with them. */
  readonly examples: readonly (readonly [line: string, what: string])[]
  /** Adds arguments and options. */
  configure(command: Command): void
  execute(args: readonly string[], options: Record<string, never>, context: CommandContext): Promise<Outcome>
}

/**
 * Makes a command. `Options` are what `configure` declares, by commander's names; the arguments come as strings, optional
 * ones as undefined, and variadic ones one after another.
 */
export function defineCommand<Options>(
  command: Omit<CliCommand, 'execute'> & {
    execute(args: readonly string[], options: Options, context: CommandContext): Promise<Outcome>
  },
): CliCommand {
  return Object.freeze(command) as unknown as CliCommand
}
