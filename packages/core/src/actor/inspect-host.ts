import type { Activation } from './activation.ts';
import type { HostParts } from './host-parts.ts';
import type { ActorInspection, HostInspection } from './inspection.ts';

export function inspectHost(parts: HostParts, shards: number, resident: number, top: number): HostInspection {
  const { types, scheduler, watch, runner, gate } = parts;
  const queued = new Set<Activation>();
  for (const activation of scheduler.inLine()) queued.add(activation);
  for (const activation of watch.blocked()) if (activation.queue !== undefined) queued.add(activation);
  const deepest = Array.from(queued)
    .sort((a, b) => b.waiting - a.waiting)
    .slice(0, top)
    .map(inspectActor);
  return {
    shards,
    resident,
    residentByType: Object.fromEntries(types.map((type) => [type.name, type.resident])),
    waiting: scheduler.waiting,
    running: watch.size,
    quarantined: runner.quarantined,
    withheld: gate.withheld,
    deepest,
  };
}

export function inspectActor(activation: Activation): ActorInspection {
  const { type, key, waiting, status } = activation;
  const durable = type.durability?.inspect(activation);
  return { type: type.name, key, waiting, status, ...(durable && { durable }) };
}
