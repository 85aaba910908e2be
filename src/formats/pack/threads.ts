/** Worker threads that decode streams, the same for Node and for browsers. */
import type { Symbols } from '../../codecs/codec.ts'
import type { Stream } from './content.ts'
import { decodeStream } from './decode.ts'
import type { Answer, Job } from './thread.ts'

/** Decodes streams on several threads; the largest of those that wait comes first. */
export interface ThreadPool {
  /** @throws DataError as `decodeStream` does. */
  decode(stream: Stream, place: string): Promise<Symbols>
  /** Ends the threads. What is not decoded yet never will be. */
  close(): void
}

interface Waiting {
  readonly stream: Stream
  /** Symbols and coded bits: what decoding takes grows with both. */
  readonly cost: number
  resolve(symbols: Symbols): void
  /** Decodes here, in the thread of the caller. */
  here(): void
}

interface Thread {
  waiting?: Waiting
  post(job: Job, transfer: ArrayBuffer[]): void
  stop(): void
}

/**
 * Starts up to `size` threads, as streams come. Where threads cannot be had, a page's policy forbids them or their file
 * is not served, streams are decoded in the thread of the caller: the result is the same.
 */
export function createThreadPool(size: number): ThreadPool {
  const threads = new Set<Thread>()
  let queue: Waiting[] = []
  let available = size
  let jobs = 0
  let closed = false

  /** The thread is no more: what it had is done here, and the rest too where no thread is left. */
  const lose = (thread: Thread) => {
    if (closed || !threads.delete(thread)) return
    available--
    thread.waiting?.here()
    if (available === 0) for (const waiting of queue.splice(0)) waiting.here()
  }
  const start = (): Thread | undefined => {
    const thread = startThread(
      (answer) => {
        const { waiting } = thread!
        if (!waiting) return
        thread!.waiting = undefined
        if (answer.symbols) waiting.resolve(answer.symbols)
        else waiting.here()
        assign()
      },
      () => lose(thread!),
    )
    if (thread) threads.add(thread)
    else available = threads.size
    return thread
  }
  const assign = () => {
    if (closed) return
    while (queue.length > 0) {
      const free = [...threads].find((thread) => !thread.waiting) ?? (threads.size < available ? start() : undefined)
      if (!free) break
      const waiting = queue.reduce((largest, other) => (other.cost > largest.cost ? other : largest))
      queue = queue.filter((other) => other !== waiting)
      free.waiting = waiting
      // A copy: sent along, a view would take its whole buffer with it.
      const bytes = waiting.stream.bytes!.slice()
      free.post({ id: jobs++, stream: { ...waiting.stream, bytes } }, [bytes.buffer])
    }
    if (available === 0) for (const waiting of queue.splice(0)) waiting.here()
  }
  return {
    decode: (stream, place) =>
      new Promise((resolve, reject) => {
        const here = () => {
          try {
            resolve(decodeStream(stream, place))
          } catch (error) {
            reject(error)
          }
        }
        queue.push({ stream, cost: stream.count + 8 * stream.length, resolve, here })
        assign()
      }),
    close() {
      closed = true
      for (const thread of threads) thread.stop()
    },
  }
}

/** Starts a thread, or gives undefined where there can be none. */
function startThread(answered: (answer: Answer) => void, failed: () => void): Thread | undefined {
  try {
    if (typeof Worker === 'function') {
      const worker = new Worker(new URL('./thread.js', import.meta.url), { type: 'module' })
      worker.addEventListener('message', (event: MessageEvent<Answer>) => answered(event.data))
      worker.addEventListener('error', (event) => {
        event.preventDefault()
        failed()
      })
      return { post: (job, transfer) => worker.postMessage(job, transfer), stop: () => worker.terminate() }
    }
    // Asked for at run time, so that nothing here names a module that browsers do not have.
    const { Worker: NodeWorker } = process.getBuiltinModule('node:worker_threads')
    const worker = new NodeWorker(new URL('./thread.js', import.meta.url))
    worker.on('message', answered)
    worker.on('error', failed)
    worker.on('exit', failed)
    return { post: (job, transfer) => worker.postMessage(job, transfer), stop: () => void worker.terminate() }
  } catch {
    return undefined
  }
}
