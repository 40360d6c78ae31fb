import { ImageEncoder } from '../generate/image-encoder.js';
import { EmbeddingRows } from '../model/embedding-rows.js';
import type { OpenPictures } from './finetune-options.js';

/** Pictures of training data through the vision tower at a path: an mmproj GGUF or a checkpoint folder. */
export function trainingPictures(path: string): OpenPictures {
  return ({ tokenizer, embeddingLength, threads }) => {
    // Rows are asked for right after their picture was encoded.
    const embeddings = new EmbeddingRows(embeddingLength, 0);
    const encoder = new ImageEncoder(path, { embeddingLength, embeddings, tokenizer, threads });
    return {
      encode: (bytes) => encoder.encode(bytes, {}),
      row: (id) => embeddings.row(id),
      close: () => encoder.close(),
    };
  };
}
