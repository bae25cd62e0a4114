/** NaN for none. */
export function median(numbers: readonly number[]): number {
  return percentile(Float64Array.from(numbers).sort(), 50);
}

/** The nearest rank. `sorted` rises; NaN for none. */
export function percentile(sorted: Float64Array, percent: number): number {
  const rank = Math.ceil((percent / 100) * sorted.length);
  return sorted[Math.max(0, rank - 1)] ?? Number.NaN;
}

/** `digits` after the point. */
export function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
