import type { Model } from '../ir/model.ts'
import type { Paper } from '../paper.ts'
import type { ProgressListener } from '../progress.ts'

/** One of the files that make up a model in another program's format. */
export interface ForeignFile {
  readonly bytes: Uint8Array
  /** Its name, for messages. */
  readonly place: string
}

/** A further file of a format, beside the main one. */
export interface Companion {
  /** The option of the command line by which it is given. */
  readonly name: string
  /** What it is, without an article. */
  readonly summary: string
}

/**
 * A file format for models that is neither ONNX nor ours: read, written, or both. The options of the command line follow
 * from the record.
 */
export interface ForeignFormat {
  readonly name: string
  /** One full sentence. */
  readonly summary: string
  readonly paper?: Paper
  /** How names of the main file end, with the dot. */
  readonly ending: string
  /** The files that are needed to read the format beside the main one. */
  readonly companions?: readonly Companion[]
  /**
   * Reads a model.
   * @param companions the further files, by name; all of them are there.
   * @returns the model, and what a user should know about it.
   * @throws DataError when the bytes are wrong, ModelError and UnsupportedError for what they describe.
   */
  read?(
    main: ForeignFile,
    companions: Readonly<Record<string, ForeignFile>>,
    progress?: ProgressListener,
  ): { readonly model: Model; readonly notes: readonly string[] }
  /**
   * Writes a model.
   * @throws UnsupportedError that names what does not fit the format.
   */
  write?(model: Model, progress?: ProgressListener): Uint8Array
}

export function defineForeignFormat(format: ForeignFormat): ForeignFormat {
  return Object.freeze(format)
}
