import type { NumberSpec } from '../base/options.ts';
import { eventOptions, type EventSettings } from '../events/settings.ts';
import { wakeOptions, type WakeSettings } from './wakes/settings.ts';

/** Limits and times of the durable actors of one node. */
export interface DurableSettings extends EventSettings, WakeSettings {
  readonly loadTimeoutMs: number;
  readonly commitRerunsMax: number;
}

/** The part of the table of defaults that durable actors use. */
export const durableOptions: { readonly [Name in keyof DurableSettings]: NumberSpec } = {
  ...eventOptions,
  ...wakeOptions,
  loadTimeoutMs: {
    kind: 'number',
    default: 30_000,
    min: 1,
    max: 3_600_000,
    unit: 'ms',
    help: 'How long loading a durable actor may take.',
  },
  commitRerunsMax: {
    kind: 'integer',
    default: 20,
    min: 0,
    max: 10_000,
    unit: 'runs',
    help: 'How often a command whose commit met another one is run again on what is stored by then.',
  },
};
