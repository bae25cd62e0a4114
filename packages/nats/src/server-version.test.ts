import { expect, test } from 'vitest';
import { productionFloorNote } from './server-version.ts';

test('each release line has its floor; lines without fixes have none that is good', () => {
  for (const version of ['2.11.16', '2.11.20', '2.12.7', '2.14.0', '2.15.1', '3.0.0', '2.12.7-RC.1', 'unknown', '']) {
    expect([version, productionFloorNote(version)]).toEqual([version, undefined]);
  }
  for (const version of ['2.9.10', '2.10.27', '2.11.15', '2.12.6', '2.13.9', '1.4.1', 'v2.9.10'])
    expect(productionFloorNote(version)).toContain('2.12.7');
});
