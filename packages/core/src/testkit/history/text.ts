import type { Operation } from './operation.ts';

/** A plain value as a text that is equal for equal values; at most `lengthMax` characters of it. */
export function valueText(value: unknown, lengthMax: number = Infinity): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length <= lengthMax ? text : `${text.slice(0, lengthMax)}...`;
}

/** One line: who asked for what, what came of it, and when. */
export function operationText(operation: Operation): string {
  const { client, key, op, input, rid, t0, t1, outcome, output, code, epoch, by, life } = operation;
  const told =
    outcome === 'ok' ? (output === undefined ? 'ok' : valueText(output, 200)) : `${outcome}${code === undefined ? '' : ` (${code})`}`;
  const facts = [rid && `rid ${rid}`, epoch !== undefined && `epoch ${epoch}`, by && `by ${by}`, life && `life ${life}`].filter(Boolean);
  const asked = `${client}: ${op}(${input === undefined ? '' : valueText(input, 200)}) on ${key}`;
  return `${asked} -> ${told} [${timeText(t0)}, ${timeText(t1)}]${facts.length > 0 ? ` ${facts.join(', ')}` : ''}`;
}

export function timeText(ms: number): string {
  return Number.isFinite(ms) ? ms.toFixed(3).replace(/\.?0+$/, '') : 'never';
}
