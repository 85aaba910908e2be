/** The places of all axes of all values of a graph, and which of them can only be cut together. */

/** Where the places of one axis of a value begin; they follow each other. */
export interface SlotAxis {
  readonly value: string
  readonly axis: number
  readonly size: number
  readonly first: number
}

/** A slot is one place of one axis of one value. Slots that were joined form a set, named by one of them: its root. */
export interface ChannelSlots {
  /** How many slots there are. */
  readonly count: number
  /** All axes, in the order in which they were added. */
  readonly axes: readonly SlotAxis[]
  /** The axes of a value; undefined where it was not added. */
  axesOf(value: string): readonly SlotAxis[] | undefined
  /** The axis that the slot is a place of. */
  axisOf(slot: number): SlotAxis
  /** Adds the axes of a value with static sizes. */
  add(value: string, shape: readonly number[]): void
  join(a: number, b: number): void
  /** The root of the slot's set. */
  find(slot: number): number
  /** Says why the slot's set cannot be cut; of several reasons the first counts. */
  pin(slot: number, reason: string): void
  /** Why the slot's set cannot be cut; undefined where it can. */
  reason(slot: number): string | undefined
}

/** Starts without values. */
export function createChannelSlots(): ChannelSlots {
  const axes: SlotAxis[] = []
  const byValue = new Map<string, SlotAxis[]>()
  const parents: number[] = []
  const axisIndex: number[] = []
  const reasons = new Map<number, string>()

  const find = (slot: number): number => {
    let root = slot
    while (parents[root] !== root) root = parents[root]
    for (let at = slot; at !== root;) [at, parents[at]] = [parents[at], root]
    return root
  }

  return {
    axes,
    get count() {
      return parents.length
    },
    axesOf: (value) => byValue.get(value),
    axisOf: (slot) => axes[axisIndex[slot]],
    add(value, shape) {
      const own = shape.map((size, axis): SlotAxis => {
        const added = { value, axis, size, first: parents.length }
        for (let i = 0; i < size; i++) {
          axisIndex.push(axes.length)
          parents.push(parents.length)
        }
        axes.push(added)
        return added
      })
      byValue.set(value, own)
    },
    find,
    join(a, b) {
      const [x, y] = [find(a), find(b)]
      if (x === y) return
      // The smaller root stays, so that sets are named by their first slot.
      const [root, other] = x < y ? [x, y] : [y, x]
      parents[other] = root
      const reason = reasons.get(root) ?? reasons.get(other)
      reasons.delete(other)
      if (reason !== undefined) reasons.set(root, reason)
    },
    pin(slot, reason) {
      const root = find(slot)
      if (!reasons.has(root)) reasons.set(root, reason)
    },
    reason: (slot) => reasons.get(find(slot)),
  }
}
