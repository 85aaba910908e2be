/**
 * An estimate of the energy that a layer takes, after section 3 of Yang, Chen, Sze, 'Designing Energy-Efficient
 * Convolutional Neural Networks using Energy-Aware Pruning', CVPR 2017, 1611.05128: what is computed, plus the accesses
 * of each level of memory times what one costs there.
 *
 * Differs from the paper: the accesses are not those of a dataflow that was optimized for each layer, but follow from
 * these assumptions, the same for all layers.
 * - DRAM: each weight, each input and each output passes once an example; weights that are zero do not, but then a mask
 *   of one bit a weight does, where that is less.
 * - Buffer: whatever passes DRAM is written to or read from the buffer once; and of the two factors of a product each
 *   one that is fetched from it serves `reuse` products.
 * - Registers: each multiply-accumulate reads two factors and a sum, and writes the sum. Sums have 32 bits.
 * - A zero weight is neither fetched nor multiplied; zeros in feature maps count as any number.
 * - Energy grows with the bits: an access and an addition as they do, a multiplication as the product of both factors'.
 */
import type { Model } from '../ir/model.ts'
import { cmos45, type EnergyTable } from './energy-table.ts'
import { layerWork, type LayerWork } from './layer-work.ts'

export interface EnergyOptions {
  /** Default the table of 45 nm. */
  readonly table?: EnergyTable
  /** Products for which a factor stays in the registers: the width of an array of arithmetic units. Default 16. */
  readonly reuse?: number
}

/** Picojoules for one example, by what takes them. */
export interface LayerEnergy {
  readonly computePj: number
  readonly registerPj: number
  readonly bufferPj: number
  readonly dramPj: number
  /** The sum. */
  readonly energyPj: number
}

const WORD = 32

/** The energy of a layer of which the share `density` of the weights is not zero, in [0, 1]. */
export function layerEnergy(
  work: LayerWork,
  density: number,
  { table = cmos45, reuse = 16 }: EnergyOptions = {},
): LayerEnergy {
  const { weightBits, factorBits, inputBits, integer } = work
  const macs = work.macs * density
  const [add, multiply] = integer ? [table.integerAdd, table.integerMultiply] : [table.floatAdd, table.floatMultiply]
  const computePj = macs * (multiply * (factorBits / WORD) * (inputBits / WORD) + add)
  const factors = (weightBits + inputBits) / WORD
  const registerPj = macs * (factors + 2) * table.registerFile
  const weightWords = Math.min(1, density + 1 / weightBits) * work.weights * (weightBits / WORD)
  const words = weightWords + work.inputs * (inputBits / WORD) + work.outputs * (work.outputBits / WORD)
  const bufferPj = (words + (macs / reuse) * factors) * table.sram
  const dramPj = words * table.dram
  return { computePj, registerPj, bufferPj, dramPj, energyPj: computePj + registerPj + bufferPj + dramPj }
}

/**
 * The energy of each layer for one example, by name; without the layers whose shapes cannot be told.
 * @param densityOf the share of a layer's weights that is not zero; default 1.
 */
export function energyOf(
  model: Model,
  densityOf: (layer: string) => number | undefined = () => 1,
  options: EnergyOptions = {},
): Map<string, LayerEnergy> {
  return new Map(
    Array.from(layerWork(model), ([name, work]) => [name, layerEnergy(work, densityOf(name) ?? 1, options)]),
  )
}
