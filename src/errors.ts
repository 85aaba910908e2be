/**
 * The errors of Espalier, one class for each party who has to act. Anything else that escapes is a bug.
 */

/** What every error carries besides its message. */
export interface ErrorDetails {
  /** Where: a file, node, tensor, option or recipe line. */
  readonly place?: string
  /** What to do about it, as an imperative sentence. */
  readonly hint?: string
  readonly cause?: unknown
}

/** The common base: never thrown itself. */
export abstract class EspalierError extends Error {
  /** The exit status of the command line for this class of error. */
  abstract readonly exitCode: number
  /** A stable kebab-case identifier, for programs and for the documentation. */
  readonly code: string
  readonly place: string | undefined
  readonly hint: string | undefined

  constructor(code: string, message: string, details: ErrorDetails = {}) {
    super(message, { cause: details.cause })
    this.name = new.target.name
    this.code = code
    this.place = details.place
    this.hint = details.hint
  }
}

/** The caller asked for something that does not exist or cannot be: a wrong option, name, recipe or path. */
export class UsageError extends EspalierError {
  readonly exitCode = 2
}

/** The model is malformed: a cycle, a missing initializer, types that do not fit. */
export class ModelError extends EspalierError {
  readonly exitCode = 3
}

/** The model is valid, but Espalier cannot do this with it: an operator without a gradient, a control flow without bound. */
export class UnsupportedError extends EspalierError {
  readonly exitCode = 4
}

/** The bytes are wrong: a truncated file, a damaged pack, a record out of range. */
export class DataError extends EspalierError {
  readonly exitCode = 5
}

/**
 * The candidate nearest to `name` by edit distance, or undefined when none is near enough to be meant.
 * Messages about wrong names end with it.
 */
export function nearestName(name: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined
  let bestDistance = Math.max(2, Math.floor(name.length / 2)) + 1
  for (const candidate of candidates) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase())
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const current = [i]
    for (let j = 1; j <= b.length; j++) {
      const substitution = previous[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)
      current.push(Math.min(substitution, previous[j] + 1, current[j - 1] + 1))
    }
    previous = current
  }
  return previous[b.length]
}
