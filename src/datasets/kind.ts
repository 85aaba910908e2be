import { z } from 'zod'
import type { Dataset } from './dataset.ts'

/** What opening a source of data gives: its parts before validation is set aside. */
export interface Source {
  readonly train: Dataset
  readonly test: Dataset
  /** Present only when the source brings its own validation part. */
  readonly validation?: Dataset
}

/**
 * A kind of data set: what stands before the colon of a specification such as `mnist:DIR?mean=0.1307`.
 * The command line, recipes and the documentation learn all they know about data from these records.
 */
export interface DatasetKind<Shape extends z.ZodRawShape = z.ZodRawShape> {
  readonly name: string
  /** One full sentence. */
  readonly summary: string
  /** What stands after the colon, as a placeholder such as `DIR`; undefined when nothing does. */
  readonly location?: string
  /** What stands after the question mark, from text to values. */
  readonly options: z.ZodObject<Shape>
  /** A specification that works where its file or folder exists. */
  readonly example: string
  /**
   * @param name the specification, for messages and reports.
   * @throws DataError for files that are not what they should be, UsageError for a path that does not exist.
   */
  open(location: string, options: z.output<z.ZodObject<Shape>>, name: string): Promise<Source>
}

/** Makes a frozen record; the index of records takes them by this name. */
export function defineDataset<const Shape extends z.ZodRawShape>(kind: {
  readonly name: string
  readonly summary: string
  readonly location?: string
  readonly options: Shape
  readonly example: string
  open(location: string, options: z.output<z.ZodObject<Shape>>, name: string): Promise<Source>
}): DatasetKind {
  return Object.freeze({ ...kind, options: z.strictObject(kind.options) })
}
