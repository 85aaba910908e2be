import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

let collector: (() => void) | undefined

/**
 * Frees the arrays that nothing refers to any more. V8 does so in its own time, which it tells by what JavaScript
 * allocates: while native code fills hundreds of megabytes, as many of dead arrays would stay. Takes some 10 ms.
 */
export function collectGarbage(): void {
  if (!collector) {
    setFlagsFromString('--expose-gc')
    collector = runInNewContext('gc') as () => void
    setFlagsFromString('--no-expose-gc')
  }
  collector()
  // Arrays are given back in the background; a second collection waits for that of the first.
  collector()
}
