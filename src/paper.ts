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

export const resourceEfficientInference: Paper = {
  title: 'Pruning Convolutional Neural Networks for Resource Efficient Inference',
  authors: 'Molchanov, Tyree, Karras, Aila, Kautz',
  venue: 'ICLR',
  year: 2017,
  arxiv: '1611.06440',
}

export const weightsAndConnections: Paper = {
  title: 'Learning both Weights and Connections for Efficient Neural Networks',
  authors: 'Han, Pool, Tran, Dally',
  venue: 'NIPS',
  year: 2015,
  arxiv: '1506.02626',
}

export const recoveringFromRandomPruning: Paper = {
  title: 'Recovering from Random Pruning: On the Plasticity of Deep Convolutional Neural Networks',
  authors: 'Mittal, Bhardwaj, Khapra, Ravindran',
  venue: 'WACV',
  year: 2018,
  arxiv: '1801.10447',
}

export const xnorNet: Paper = {
  title: 'XNOR-Net: ImageNet Classification Using Binary Convolutional Neural Networks',
  authors: 'Rastegari, Ordonez, Redmon, Farhadi',
  venue: 'ECCV',
  year: 2016,
  arxiv: '1603.05279',
}

export const dorefaNet: Paper = {
  title: 'DoReFa-Net: Training Low Bitwidth Convolutional Neural Networks with Low Bitwidth Gradients',
  authors: 'Zhou, Wu, Ni, Zhou, Wen, Zou',
  venue: 'arXiv',
  year: 2016,
  arxiv: '1606.06160',
}

export const lowPrecisionWeightsAndActivations: Paper = {
  title: 'Quantized Neural Networks: Training Neural Networks with Low Precision Weights and Activations',
  authors: 'Hubara, Courbariaux, Soudry, El-Yaniv, Bengio',
  venue: 'Journal of Machine Learning Research',
  year: 2018,
  arxiv: '1609.07061',
}

export const binarizedNeuralNetworks: Paper = {
  title:
    'Binarized Neural Networks: Training Deep Neural Networks with Weights and Activations Constrained to +1 or -1',
  authors: 'Courbariaux, Hubara, Soudry, El-Yaniv, Bengio',
  venue: 'arXiv',
  year: 2016,
  arxiv: '1602.02830',
}

export const learnedStepSizeQuantization: Paper = {
  title: 'Learned Step Size Quantization',
  authors: 'Esser, McKinstry, Bablani, Appuswamy, Modha',
  venue: 'ICLR',
  year: 2020,
  arxiv: '1902.08153',
}

export const extremelyLowBitNeuralNetwork: Paper = {
  title: 'Extremely Low Bit Neural Network: Squeeze the Last Bit Out with ADMM',
  authors: 'Leng, Dou, Li, Zhu, Jin',
  venue: 'AAAI',
  year: 2018,
  arxiv: '1707.09870',
}

export const ternaryWeightNetworks: Paper = {
  title: 'Ternary Weight Networks',
  authors: 'Li, Zhang, Liu',
  venue: 'NIPS Workshop on Efficient Methods for Deep Neural Networks',
  year: 2016,
  arxiv: '1605.04711',
}

export const integerArithmeticOnlyInference: Paper = {
  title: 'Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference',
  authors: 'Jacob, Kligys, Chen, Zhu, Tang, Howard, Adam, Kalenichenko',
  venue: 'CVPR',
  year: 2018,
  arxiv: '1712.05877',
}

export const ternaryNeuralNetworksPaper: Paper = {
  title: 'Ternary Neural Networks for Resource-Efficient AI Applications',
  authors: 'Alemdar, Leroy, Prost-Boucle, Pétrot',
  venue: 'IJCNN',
  year: 2017,
  arxiv: '1609.00222',
}
