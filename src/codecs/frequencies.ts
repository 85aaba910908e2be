/** Frequencies add up to two to the power of this. */
export const SCALE_BITS = 15
/** Slots to a cell of the table in which a decoder looks for a symbol, as a power of two. */
export const CELL_BITS = 6

const SCALE = 1 << SCALE_BITS
const CELLS = 1 << (SCALE_BITS - CELL_BITS)

/** What a neighbour of a symbol inherits of its count, and the neighbour's neighbour of that, and so on. */
const INHERITED = 0.8
/** What every symbol has before anything was counted. */
const EVER = 0.5
/** The weight of the histogram that is smoothed over neighbours, in symbols. */
const SMOOTHED = 96
/** The weight of the histogram of all contexts within that of one, in symbols for each symbol of the alphabet. */
const COMMON = 4
/** Contexts: the quarter of all symbols, by number, to which the last one belonged. */
const CONTEXTS = 4

/** The frequencies of the symbols in one context. */
export interface Table {
  /** Where the slots of each symbol start, in 32,768ths; one more for the end. */
  readonly starts: Int32Array
  /** For every 64 slots the symbol of the first. */
  readonly cells: Uint8Array
}

interface LearningTable extends Table {
  readonly counts: Float64Array
  /** Symbols that came in this context. */
  seen: number
  /** Symbols until the table is built again. */
  left: number
}

/**
 * Frequencies of symbols, learned while coding. The tables are built anew whenever a quarter more symbols (but 16 at
 * least) came in their context; between, nothing but counts changes, so that a decoder is as fast as with fixed tables.
 * A context's histogram leans on that of all contexts, and this on itself smoothed over neighbours: codes stand for
 * sorted values, and a value that was not seen yet is as likely as those around it.
 */
export class Frequencies {
  /** The frequencies of the next symbol. */
  table: Table
  private current: LearningTable
  private readonly tables: readonly LearningTable[]
  /** How often each symbol came, and what that says of the next: estimates that add up to 1. */
  private readonly counts: Float64Array
  private readonly estimates: Float64Array
  private seen = 0
  private readonly contexts: Uint8Array
  /** The least symbol that can occur. */
  private readonly first: number

  /** @param alphabet At most 256. */
  constructor(alphabet: number, first: number) {
    this.first = first
    this.counts = new Float64Array(alphabet)
    this.estimates = new Float64Array(alphabet)
    this.contexts = new Uint8Array(alphabet)
    this.tables = Array.from({ length: CONTEXTS }, () => ({
      starts: new Int32Array(alphabet + 1),
      cells: new Uint8Array(CELLS),
      counts: new Float64Array(alphabet),
      seen: 0,
      left: 0,
    }))
    this.estimate()
    for (const table of this.tables) this.build(table)
    this.current = this.tables[0]
    this.table = this.current
  }

  /** Counts a symbol, which must be the next, and sees to the table of the one after. */
  learn(symbol: number): void {
    const { current } = this
    this.counts[symbol]++
    this.seen++
    current.counts[symbol]++
    current.seen++
    if (--current.left === 0) {
      this.estimate()
      this.build(current)
    }
    this.current = this.tables[this.contexts[symbol]]
    this.table = this.current
  }

  private estimate(): void {
    const { counts, estimates, contexts, first, seen } = this
    const alphabet = counts.length
    for (let i = first, sum = 0; i < alphabet; i++) estimates[i] = sum = sum * INHERITED + counts[i]
    let total = 0
    for (let i = alphabet - 1, sum = 0; i >= first; i--) {
      estimates[i] += sum * INHERITED + EVER
      sum = sum * INHERITED + counts[i]
      total += estimates[i]
    }
    for (let i = first, below = 0; i < alphabet; i++) {
      const estimate = (counts[i] + (SMOOTHED * estimates[i]) / total) / (seen + SMOOTHED)
      estimates[i] = estimate
      contexts[i] = Math.min(CONTEXTS - 1, Math.floor(CONTEXTS * (below + estimate / 2)))
      below += estimate
    }
  }

  private build(table: LearningTable): void {
    const { estimates, first } = this
    const { counts, starts, cells } = table
    const alphabet = counts.length
    const common = COMMON * alphabet
    // Every symbol has one slot at least; what rounding leaves goes to the most frequent one.
    const scale = (SCALE - alphabet + first) / (table.seen + common)
    let used = 0
    let best = first
    for (let i = first; i < alphabet; i++) {
      starts[i] = 1 + Math.floor((counts[i] + common * estimates[i]) * scale)
      used += starts[i]
      if (starts[i] > starts[best]) best = i
    }
    starts[best] += SCALE - used
    let start = 0
    let cell = 0
    for (let i = first; i < alphabet; i++) {
      const frequency = starts[i]
      starts[i] = start
      start += frequency
      while (cell << CELL_BITS < start) cells[cell++] = i
    }
    starts[alphabet] = start
    table.left = Math.max(16, table.seen >> 2)
  }
}
