/** What runs in a worker thread, of Node or of a browser: decodes the streams that `threads.ts` sends, one at a time. */
import type { Symbols } from '../../codecs/codec.ts'
import type { Stream } from './content.ts'
import { decodeStream } from './decode.ts'

/** A stream to decode, and a number by which the answer is known. */
export interface Job {
  readonly id: number
  readonly stream: Stream
}

/** The symbols; none where the stream is damaged, which the thread that asked finds out in its own words. */
export interface Answer {
  readonly id: number
  readonly symbols?: Symbols
}

/** The end of the channel that a worker holds: a browser's worker itself, or Node's parent port. */
interface Port {
  addEventListener(type: 'message', listen: (event: { readonly data: Job }) => void): void
  postMessage(answer: Answer, transfer: ArrayBuffer[]): void
}

const isBrowser = typeof (globalThis as { postMessage?: unknown }).postMessage === 'function'
const port = (isBrowser ? globalThis : process.getBuiltinModule('node:worker_threads').parentPort) as unknown as Port

port.addEventListener('message', ({ data: { id, stream } }) => {
  let symbols: Symbols | undefined
  try {
    symbols = decodeStream(stream, '')
  } catch {
    symbols = undefined
  }
  port.postMessage({ id, symbols }, symbols ? [symbols.buffer as ArrayBuffer] : [])
})
