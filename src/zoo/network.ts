import type { Model } from '../ir/model.ts'
import type { Paper } from '../paper.ts'

/** What every network of the zoo can be built with. */
export interface NetworkOptions {
  /** Seed of the initial weights. */
  readonly seed: number
  /** Number of outputs; default: that of the data set which the network was published for. */
  readonly classes?: number
}

/**
 * An untrained network of the literature, built by one file. Its input is called `input`, `[N, ...inputShape]`,
 * its output `logits`, `[N, classes]`, before any softmax.
 */
export interface Network {
  readonly name: string
  /** One full sentence. */
  readonly summary: string
  readonly paper: Paper
  /** Shape of one example, without the batch axis. */
  readonly inputShape: readonly number[]
  readonly classes: number
  build(options: NetworkOptions): Model
}

/** Freezes the record of a network. */
export function defineNetwork(network: Network): Network {
  return Object.freeze(network)
}
