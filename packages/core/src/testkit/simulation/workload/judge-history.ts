import { appendList } from '../../history/append-list.ts';
import { checkHistory, type StateLoss } from '../../history/check.ts';
import { counter } from '../../history/counter.ts';
import type { HistoryModel } from '../../history/model.ts';
import type { History } from '../../history/operation.ts';
import { register } from '../../history/register.ts';
import type { SimulationWorld } from '../world.ts';
import { durableTypes } from './durable-cells.ts';
import type { Ledger } from './ledger.ts';

/** Judges what callers were told, key by key; fails the world where it cannot have happened. */
export function judgeHistory(world: SimulationWorld, ledger: Ledger, history: History): void {
  const { oracle } = world;
  const typeOf = (address: string): string => address.slice(0, address.indexOf('/'));
  const shardOf = (address: string): number => oracle.shardOf(address.slice(address.indexOf('/') + 1));
  const mayDie = ({ key, before, after }: StateLoss): boolean =>
    oracle.wasLost(shardOf(key), ledger.epochsOf(before).last, ledger.epochsOf(after).first);
  const judge = <State>(type: string, model: HistoryModel<State>): void => {
    const isStored = durableTypes.includes(type);
    // Of records that were set back nobody can say who owned what. Whoever wrote, the store took one after the other.
    if (oracle.wasSetBack && !isStored) return;
    // One request counts once in a history; where it may count once for each life the ledger has judged it.
    const ofType = ({ key, op }: { readonly key: string; readonly op?: string }): boolean =>
      typeOf(key) === type && !(oracle.wasSetBack && op === 'read') && !ledger.wasRepeated(key);
    const operations = history.operations.filter(ofType);
    const verdict = checkHistory(
      { operations, events: history.events.filter(ofType) },
      {
        model,
        shardOf,
        isLogComplete: isStored,
        mayDie: isStored ? () => false : mayDie,
      },
    );
    if (verdict.decision === 'accepted') return;
    const found = verdict.findings.map(({ rule, text }) => `${rule}: ${text}`);
    world.fail(`the history of type ${type} is ${verdict.decision}: ${[...found, ...verdict.undecided].slice(0, 5).join('\n')}`);
  };
  judge('counter', counter());
  judge('register', register());
  judge('list', appendList());
  judge('journal', appendList());
  judge('tally', counter());
}
