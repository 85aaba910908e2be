/** Where a method comes from. */
export interface Paper {
  readonly title: string
  readonly authors: string
  readonly venue: string
  readonly year: number
  /** arXiv identifier, without the prefix. */
  readonly arxiv?: string
  readonly doi?: string
}
