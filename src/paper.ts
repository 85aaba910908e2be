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

// Papers that several records cite; one that a single record cites stands in that record.

export const deepCompression: Paper = {
  title: 'Deep Compression: Compressing Deep Neural Networks with Pruning, Trained Quantization and Huffman Coding',
  authors: 'Han, Mao, Dally',
  venue: 'ICLR',
  year: 2016,
  arxiv: '1510.00149',
}

export const gradientBasedLearning: Paper = {
  title: 'Gradient-Based Learning Applied to Document Recognition',
  authors: 'LeCun, Bottou, Bengio, Haffner',
  venue: 'Proceedings of the IEEE',
  year: 1998,
  doi: '10.1109/5.726791',
}

export const entropyPenalisedReparameterization: Paper = {
  title: 'Scalable Model Compression by Entropy Penalized Reparameterization',
  authors: 'Oktay, Ballé, Singh, Shrivastava',
  venue: 'ICLR',
  year: 2020,
  arxiv: '1906.06624',
}
