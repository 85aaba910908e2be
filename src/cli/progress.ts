import type { ProgressEvent, ProgressListener } from '../progress.ts'
import { formatCount, formatNumber, formatSeconds } from './format.ts'
import type { Io } from './io.ts'
import { visible } from './visible.ts'

/** Shows what a command is doing, on stderr. */
export interface ProgressDisplay {
  readonly listener: ProgressListener
  /** Prints a line of its own, above what is being drawn. */
  note(text: string): void
  /** Ends the line that is being drawn. */
  finish(): void
}

/** The least time between two drawings of a line, and between two plain lines of the same task. */
const drawEveryMs = 80
const lineEveryMs = 5000
/** A task that was done in less time is not worth a plain line. */
const shortestMs = 500

/**
 * A terminal gets one line a task, drawn again and again: a bar, the rate, the time left. Anything else gets a plain line
 * every five seconds, and one of the last that is known of a task when another begins, unless it was done at once.
 */
export function createProgressDisplay(io: Io, now: () => number = () => performance.now()): ProgressDisplay {
  let current:
    | { task: string; started: number; from: number; last: ProgressEvent; lastAt: number; shown: boolean }
    | undefined
  let drawn = Number.NEGATIVE_INFINITY
  let open = false
  const draw = (event: ProgressEvent) => {
    const width = io.terminal ? Math.max(20, io.columns - 1) : Number.POSITIVE_INFINITY
    const text = describe(event, current!.lastAt - current!.started, current!.from, io.terminal, width)
    if (io.terminal) io.stderr(`\r\u001b[2K${text}`)
    else io.stderr(`${text}\n`)
    open = io.terminal
    drawn = now()
    current!.shown = true
  }
  const close = () => {
    if (current && !current.shown && (io.terminal || !isDone(current.last) || tookLong(current))) draw(current.last)
    if (open) io.stderr('\n')
    open = false
    current = undefined
  }
  return {
    listener(event) {
      if (current && (current.task !== event.task || event.done < current.last.done)) close()
      const first = current === undefined
      const at = now()
      current ??= { task: event.task, started: at, from: event.done, last: event, lastAt: at, shown: false }
      current.last = event
      current.lastAt = at
      current.shown = false
      // What is done may get a last word yet: plain lines cannot be drawn again.
      const draws = io.terminal
        ? isDone(event) || first || at - drawn >= drawEveryMs
        : !isDone(event) && at - drawn >= lineEveryMs
      if (draws) draw(event)
    },
    note(text) {
      close()
      io.stderr(`${visible(text)}\n`)
    },
    finish: close,
  }
}

function isDone({ done, total }: ProgressEvent): boolean {
  return total > 0 && done >= total
}

function tookLong({ started, lastAt }: { readonly started: number; readonly lastAt: number }): boolean {
  return lastAt - started >= shortestMs
}

/** An estimate of more than so many times what it rests on is a guess, and not shown. */
const mostForesight = 100

/** Keys of details that are shown as rate and time left, not as facts. */
const etaKey = 'etaSeconds'

/** One line of at most `width` characters: where it would be longer, facts in its middle, then the bar, give way to the time left. */
function describe(event: ProgressEvent, elapsedMs: number, from: number, terminal: boolean, width: number): string {
  const { task, done, total, detail = {} } = event
  const share = total > 0 ? Math.min(1, done / total) : 0
  const head = [visible(task).padEnd(terminal ? 12 : 0)]
  if (terminal) head.push(bar(share))
  head.push(`${Math.floor(share * 100)} %`.padStart(5), `${formatNumber(done)}/${formatNumber(total)}`)
  const facts = Object.entries(detail).filter(([key]) => key !== etaKey)
  const middle = facts.map(([key, value]) => visible(`${spaced(key)} ${formatValue(key, value)}`))
  const tail: string[] = []
  const advanced = done - from
  if (!facts.some(([key]) => key.endsWith('PerSecond')) && advanced > 0 && elapsedMs > 500) {
    const rate = advanced / (elapsedMs / 1000)
    middle.push(`${rate >= 10 ? formatCount(rate) : rate.toPrecision(2)}/s`)
  }
  const known = detail[etaKey]
  const ahead = (total - done) / advanced
  const eta = typeof known === 'number' ? known : ahead < mostForesight ? (elapsedMs / 1000) * ahead : undefined
  if (share >= 1) tail.push(`in ${formatSeconds(elapsedMs / 1000)}`)
  else if (eta !== undefined && elapsedMs > 500) tail.push(`${formatSeconds(eta)} left`)
  const line = () => [...[...head, ...middle, ...tail].join('  ').trim()]
  while (middle.length > 0 && line().length > width) middle.pop()
  if (line().length > width) head[0] = head[0].trimEnd()
  if (line().length > width) head.splice(1, 1)
  return line().slice(0, width).join('')
}

function bar(share: number): string {
  const width = 20
  const full = Math.round(share * width)
  return `[${'='.repeat(full)}${' '.repeat(width - full)}]`
}

/** `validationAccuracy` reads better as `validation accuracy`. */
function spaced(key: string): string {
  return key.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`).replace(/ per second$/, '/s')
}

function formatValue(key: string, value: string | number): string {
  if (typeof value === 'string') return value
  return /accuracy$/i.test(key) ? `${(value * 100).toFixed(2)} %` : formatNumber(value)
}
