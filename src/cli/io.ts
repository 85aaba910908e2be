/** What a command knows of the outside: where it writes, and how to stop it. Tests bring their own. */
export interface Io {
  /** Results, and nothing else. */
  stdout(text: string): void
  /** Progress, notes and errors. */
  stderr(text: string): void
  /** The most characters of a line of results: the width of the terminal, and endless where stdout is none. */
  readonly resultColumns: number
  /** Whether stderr is a terminal whose last line can be drawn again. */
  readonly terminal: boolean
  /** Width of the terminal in characters. */
  readonly columns: number
  /** Says stop when the user does. */
  readonly signal: AbortSignal
}

/** The streams of the process, and Ctrl-C: once for a clean stop, twice for an immediate one. */
export function processIo(): Io {
  const controller = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(130)
      process.stderr.write('\nstopping; once more to stop at once\n')
      controller.abort(new Error(`stopped by ${name}`))
    })
  // A reader that has seen enough, such as head, closes the pipe: nothing is wrong then.
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(0)
      throw error
    })
  return {
    stdout: (text) => process.stdout.write(text),
    stderr: (text) => process.stderr.write(text),
    // A terminal that does not know its width says 0 columns.
    resultColumns: (process.stdout.isTTY && process.stdout.columns) || Number.POSITIVE_INFINITY,
    terminal: process.stderr.isTTY && process.env['TERM'] !== 'dumb',
    columns: process.stderr.columns || 80,
    signal: controller.signal,
  }
}
