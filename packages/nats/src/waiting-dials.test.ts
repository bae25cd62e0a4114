import { expect, test } from 'vitest';
import { WaitingDials } from './waiting-dials.ts';

test('who waits goes when somebody got through; who was taken out does not', () => {
  const dials = new WaitingDials();
  const gone: string[] = [];
  const out = dials.add(() => gone.push('a'));
  const outB: () => void = dials.add(() => {
    gone.push('b');
    outB();
  });
  out();
  dials.go();
  dials.go();
  expect(gone).toEqual(['b']);
});
