/** What single operations and accesses cost, in one technology. All figures are picojoules for words of 32 bits. */
export interface EnergyTable {
  readonly name: string
  /** One full sentence: the technology and where the figures come from. */
  readonly summary: string
  readonly integerAdd: number
  readonly floatAdd: number
  readonly integerMultiply: number
  readonly floatMultiply: number
  /** One access of the registers beside an arithmetic unit. */
  readonly registerFile: number
  /** One access of the buffer on the chip. */
  readonly sram: number
  /** One access of the memory outside the chip. */
  readonly dram: number
}

/** The table that Han et al. and most after them reckon with: an access of DRAM costs as much as 6,400 integer additions. */
export const cmos45: EnergyTable = Object.freeze({
  name: 'cmos-45',
  summary:
    "CMOS of 45 nm at 0.9 V, after Horowitz, Computing's Energy Problem, ISSCC 2014, as Han et al. 2015 have it.",
  integerAdd: 0.1,
  floatAdd: 0.9,
  integerMultiply: 3.1,
  floatMultiply: 3.7,
  registerFile: 1,
  sram: 5,
  dram: 640,
})
