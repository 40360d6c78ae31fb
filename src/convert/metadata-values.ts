import type { MetadataArray, MetadataValue } from '../formats/tensor-source.js';

export const u32 = (value: number): MetadataValue => ({ type: 'uint32', value });
export const i32 = (value: number): MetadataValue => ({ type: 'int32', value });
/** Rounded to what the file will hold. */
export const f32 = (value: number): MetadataValue => ({ type: 'float32', value: Math.fround(value) });
export const bool = (value: boolean): MetadataValue => ({ type: 'bool', value });
export const text = (value: string): MetadataValue => ({ type: 'string', value });
export const list = (items: MetadataArray['items'], value: MetadataArray['value']): MetadataValue => ({
  type: 'array',
  items,
  value,
});
