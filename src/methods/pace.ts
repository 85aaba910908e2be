import type { Context } from './method.ts'

/** Multiplications between two turns of the event loop: a fifth of a second or so. */
const TURN = 2e8

/**
 * For long computations outside the engine: the result is called with the number of multiplications done since the last
 * call, and now and then lets the event loop have its turn, so that a page answers and an abort arrives.
 * It rejects with the signal's reason.
 */
export function createPace({ signal }: Pick<Context, 'signal'>): (multiplications: number) => Promise<void> {
  let done = 0
  return async (multiplications) => {
    signal?.throwIfAborted()
    done += multiplications
    if (done < TURN) return
    done = 0
    await new Promise((resolve) => setTimeout(resolve, 0))
    signal?.throwIfAborted()
  }
}
