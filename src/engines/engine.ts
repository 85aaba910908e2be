import type { Model } from '../ir/model.ts'
import type { Tensor } from '../tensor/tensor.ts'

export interface SessionOptions {
  /** Threads inside one operator; default: what the engine finds best. */
  readonly threads?: number
  /**
   * 'training' keeps fake quantization apart and builds quickly; 'inference' fuses and folds all it can; 'check' runs the
   * graph as it is written, which needs less memory than folding codes into weights. Default 'inference'.
   */
  readonly purpose?: 'inference' | 'training' | 'check'
}

/** A model made ready to run. `close` frees native memory. */
export interface Session {
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  /**
   * Runs the model once. Tensors in `feeds` are not copied and not changed.
   * @param fetches the outputs wanted; default all.
   */
  run(feeds: Readonly<Record<string, Tensor>>, fetches?: readonly string[]): Promise<Record<string, Tensor>>
  close(): Promise<void>
}

/** Executes graphs. Only engines do. */
export interface Engine {
  readonly name: string
  /** Channels a block of the engine's own layout on this processor; see `Target.block`. Undefined where it has none. */
  block?(): Promise<number | undefined>
  /** @throws ModelError or UnsupportedError when the engine refuses the model, with the engine's own words. */
  createSession(model: Model, options?: SessionOptions): Promise<Session>
}
