import { z } from 'zod'

/** How a training run goes: validated settings, as recipes and the command line give them. */
export const trainingSettings = z
  .object({
    epochs: z.number().positive().default(10).describe('passes over the training data'),
    batchSize: z.number().int().positive().default(64).describe('examples a step'),
    optimizer: z
      .enum(['sgd', 'adam', 'extra-gradient', 'shift-adamax'])
      .default('sgd')
      .describe('update rule; extra-gradient looks ahead every other step, shift-adamax moves by powers of two'),
    learningRate: z.number().positive().default(0.01).describe('initial step size'),
    momentum: z
      .number()
      .min(0)
      .max(1)
      .default(0.9)
      .describe('momentum of sgd and extra-gradient, beta1 of adam and shift-adamax'),
    nesterov: z.boolean().default(false).describe("Nesterov's form of momentum"),
    gradientClip: z
      .number()
      .positive()
      .optional()
      .describe('largest L2 norm of the gradients of all parameters together; what is longer is scaled down to it'),
    gradientSparsity: z
      .number()
      .min(0)
      .lt(1)
      .default(0)
      .describe('sgd: share of each gradient that waits, summed up, until it is among the largest'),
    gradientWarmup: z
      .number()
      .min(0)
      .max(1)
      .default(0)
      .describe('fraction of the run over which the sparsity of gradients rises from zero'),
    gradientTernary: z
      .boolean()
      .default(false)
      .describe('each gradient becomes -s, 0 or s at random, with the gradient as expectation'),
    flexpoint: z
      .number()
      .int()
      .min(4)
      .max(24)
      .optional()
      .describe('bits of the integers, 16 in the paper, that all tensors of a step are rounded to; left out: float32'),
    flexpointExponent: z
      .number()
      .int()
      .min(3)
      .max(6)
      .default(5)
      .describe('flexpoint: bits of the exponent that the integers of a tensor share'),
    shiftNormalization: z
      .boolean()
      .default(false)
      .describe('batch normalization multiplies by powers of two only, in training and in the model that comes out'),
    gradientBits: z
      .number()
      .int()
      .min(1)
      .max(16)
      .optional()
      .describe('bits of the gradients by the outputs of all layers but the first and the last, rounded at random'),
    weightDecay: z.number().min(0).default(0).describe('L2 penalty on parameters of two or more axes'),
    schedule: z
      .enum(['constant', 'step', 'cosine', 'polynomial'])
      .default('constant')
      .describe('learning rate over time'),
    milestones: z
      .array(z.number())
      .default([0.5, 0.75])
      .describe('step schedule: fractions of the run at which the rate drops'),
    gamma: z.number().positive().default(0.1).describe('step schedule: factor of each drop'),
    power: z.number().positive().default(1).describe('polynomial schedule: exponent'),
    warmup: z
      .number()
      .min(0)
      .max(1)
      .default(0)
      .describe('fraction of the run over which the rate rises linearly from zero'),
    loss: z
      .enum(['cross-entropy', 'mean-squared-error', 'kullback-leibler'])
      .default('cross-entropy')
      .describe('what is minimised; kullback-leibler follows a teacher'),
    temperature: z.number().positive().default(1).describe('kullback-leibler: softmax temperature of both networks'),
    teacherWeight: z
      .number()
      .min(0)
      .max(1)
      .default(1)
      .describe('kullback-leibler: share of the teacher in the loss; the rest is cross-entropy with the labels'),
    augmentation: z
      .enum(['none', 'crop', 'crop-flip'])
      .default('none')
      .describe('random crops from a padded image, mirror images'),
    shift: z.number().int().min(0).max(1024).default(4).describe('augmentation: pixels of padding on each side'),
    patience: z
      .number()
      .int()
      .positive()
      .optional()
      .describe('stop early after this many epochs without a better validation result'),
  })
  .strict()

export type TrainingSettings = z.infer<typeof trainingSettings>
