import { histogram } from './canonical.ts'
import type { Symbols } from './codec.ts'
import { relativeIndex } from './relative.ts'

/** How many bits the symbols need at least under one fixed probability each: Shannon's bound for a static coder. */
export function entropyBits(symbols: Symbols, alphabet: number): number {
  return histogramEntropy(histogram(symbols, alphabet))
}

/** The same from counts. Not exact across machines (logarithms): for reports and choices by estimate, never a format. */
export function histogramEntropy(counts: Float64Array): number {
  let total = 0
  let bits = 0
  for (const count of counts) {
    if (count === 0) continue
    total += count
    bits -= count * Math.log2(count)
  }
  return total === 0 ? 0 : Math.max(0, bits + total * Math.log2(total))
}

/** How a pruned and perhaps shared tensor is stored for the account of `storageWithIndices`. */
export interface StorageForm {
  /** Bits of a surviving weight: 32 without sharing, the bits of a code with it. */
  readonly bits: number
  /** Bits of a relative index; Deep Compression has 8 for convolutions and 5 for fully connected layers. */
  readonly indexBits: number
  /** Numbers in the codebook; 0 without sharing. */
  readonly codebook?: number
  /** Bits of a codebook's number; 32 unless stated. */
  readonly codebookBits?: number
}

/** What `storageWithIndices` counted. */
export interface StorageAccount {
  /** Weights other than zero. */
  readonly survivors: number
  /** Entries added because a run of zeros was longer than an index can say. */
  readonly fillers: number
  readonly bytes: number
}

/**
 * The size of a sparse tensor as Deep Compression's tables account for it: every entry, fillers included, takes a code
 * and a relative index, and the codebook comes on top. This is arithmetic, not a file.
 * A tensor without zeros is taken as dense and needs no index.
 * @param weights Row-major; numbers, or the codes of a shared tensor, where 0 is the pruned weight.
 */
export function storageWithIndices(weights: ArrayLike<number>, form: StorageForm): StorageAccount {
  let survivors = 0
  for (let i = 0; i < weights.length; i++) if (weights[i] !== 0) survivors++
  const codebookBits = (form.codebook ?? 0) * (form.codebookBits ?? 32)
  if (survivors === weights.length)
    return { survivors, fillers: 0, bytes: Math.ceil((survivors * form.bits + codebookBits) / 8) }
  const mask = new Uint8Array(weights.length)
  for (let i = 0; i < weights.length; i++) if (weights[i] !== 0) mask[i] = 1
  const { fillers } = relativeIndex(mask, 2, form.indexBits)
  const entryBits = (survivors + fillers) * (form.bits + form.indexBits)
  return { survivors, fillers, bytes: Math.ceil((entryBits + codebookBits) / 8) }
}
