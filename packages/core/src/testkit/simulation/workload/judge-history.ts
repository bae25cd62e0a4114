import { appendList } from '../../history/append-list.ts';
import { checkHistory } from '../../history/check.ts';
import { counter } from '../../history/counter.ts';
import type { HistoryModel } from '../../history/model.ts';
import type { History } from '../../history/operation.ts';
import { register } from '../../history/register.ts';
import type { SimulationWorld } from '../world.ts';
import type { Ledger } from './ledger.ts';

/** Judges what callers were told, key by key; fails the world where it cannot have happened. */
export function judgeHistory(world: SimulationWorld, ledger: Ledger, history: History): void {
  const { oracle } = world;
  // Of records that were set back nobody can say who owned what.
  if (oracle.wasSetBack) return;
  const typeOf = (address: string): string => address.slice(0, address.indexOf('/'));
  const shardOf = (address: string): number => oracle.shardOf(address.slice(address.indexOf('/') + 1));
  const judge = <State>(type: string, model: HistoryModel<State>): void => {
    const operations = history.operations.filter(({ key }) => typeOf(key) === type);
    const verdict = checkHistory(
      { operations, events: [] },
      {
        model,
        shardOf,
        mayDie: ({ key, before, after }) => oracle.wasLost(shardOf(key), ledger.epochsOf(before).last, ledger.epochsOf(after).first),
      },
    );
    if (verdict.decision === 'accepted') return;
    const found = verdict.findings.map(({ rule, text }) => `${rule}: ${text}`);
    world.fail(`the history of type ${type} is ${verdict.decision}: ${[...found, ...verdict.undecided].slice(0, 5).join('\n')}`);
  };
  judge('counter', counter());
  judge('register', register());
  judge('list', appendList());
}
