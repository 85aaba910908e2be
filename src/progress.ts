/** One step of something long, reported as it happens. Terminals, pages and logs render it. */
export interface ProgressEvent {
  /** What is going on, such as 'retrain' or 'k-means'. */
  readonly task: string
  readonly done: number
  readonly total: number
  /** Short facts worth a look: loss, accuracy, layer. */
  readonly detail?: Readonly<Record<string, string | number>>
}

export type ProgressListener = (event: ProgressEvent) => void
