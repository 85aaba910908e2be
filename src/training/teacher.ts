import type { Dataset } from '../datasets/dataset.ts'
import type { Engine } from '../engines/engine.ts'
import type { Model } from '../ir/model.ts'
import { createTensor, type Tensor } from '../tensor/tensor.ts'
import { createPredictor } from './predictor.ts'

export interface TeacherOptions {
  readonly model: Model
  /** Softmax temperature of both teacher and student. */
  readonly temperature: number
  /** Share of the teacher's divergence in the loss, in [0, 1]; the rest is cross-entropy with the labels. */
  readonly weight: number
}

export interface Teacher {
  /** `[steps, N, ...inputShape]` → logits `[steps · N, classes]`. */
  logits(images: Tensor<'float32'>): Promise<Tensor<'float32'>>
  close(): Promise<void>
}

/** A teacher sees the same examples as the student, augmentation included. */
export async function createTeacher({ model }: TeacherOptions, data: Dataset, engine: Engine): Promise<Teacher> {
  const predictor = await createPredictor(model, data.inputShape, engine)
  return {
    async logits(images) {
      const count = images.shape[0] * images.shape[1]
      const found = await predictor.predict(createTensor('float32', [count, ...data.inputShape], images.data))
      // Logarithms of probabilities differ from logits by a constant a row, which the softmax does not see.
      if (predictor.form !== 'probabilities') return found
      return createTensor(
        'float32',
        found.shape,
        found.data.map((value) => Math.log(Math.max(value, 1e-30))),
      )
    },
    close: () => predictor.close(),
  }
}
