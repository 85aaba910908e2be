/**
 * Dependent quantization: which multiples of a step a number may be depends on those before it. Half of the states of a
 * machine allow the even ones, coded as half of them; the others the odd ones and 0, coded as half of what is next
 * further out. The parity of the code leads to the next state. So numbers lie twice as dense as each one's choice is.
 *
 * The machine is the trellis of eight states of Ungerboeck, as trellis-coded quantization has it (Marcellin, Fischer:
 * Trellis Coded Quantization of Memoryless and Gauss-Markov Sources, 1990); that parities drive it is from Schwarz et al.:
 * Hybrid Video Coding with Trellis-Coded Quantization (2019).
 */

export const DEPENDENT_STATES = 8

/** The next state by the state and the parity of the code. */
const NEXT = [0, 1, 3, 2, 5, 4, 6, 7, 1, 0, 2, 3, 4, 5, 7, 6]

/** So many numbers other than 0 at least: fewer could obey the machine by chance. */
const FEWEST = 24

/** 0 where the state allows even numbers, 1 where it allows odd ones and 0. */
export function quantizerOf(state: number): number {
  return state & 1
}

export function nextState(state: number, code: number): number {
  return NEXT[state * 2 + (code & 1)]
}

/** The multiple of the step that a code stands for. */
export function dependentNumber(quantizer: number, code: number): number {
  return 2 * code - quantizer * Math.sign(code)
}

/** The codes of numbers that obey the machine from state 0 on; undefined where one does not, or few are not 0. */
export function toDependent(numbers: Int32Array): Int32Array | undefined {
  const codes = new Int32Array(numbers.length)
  let nonzero = 0
  let state = 0
  for (let i = 0; i < numbers.length; i++) {
    const number = numbers[i]
    const quantizer = quantizerOf(state)
    if (number !== 0) {
      if ((number & 1) !== quantizer) return undefined
      codes[i] = (number + quantizer * Math.sign(number)) / 2
      nonzero++
    }
    state = nextState(state, codes[i])
  }
  return nonzero < FEWEST ? undefined : codes
}

/** The numbers of codes, in their place. */
export function fromDependent(codes: Int32Array): void {
  let state = 0
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i]
    codes[i] = dependentNumber(quantizerOf(state), code)
    state = nextState(state, code)
  }
}
