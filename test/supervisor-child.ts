import { noMetrics, silentLogger, systemClock, systemRandom } from '@perkey/core';
import { nats, reportIncarnation } from '@perkey/nats';

/** A node as far as a supervisor sees one: it takes its member record, tells its incarnation, and renews until it ends. */
const [server = '', nodeId = '', behaviour = ''] = process.argv.slice(2);

const environment = {
  cluster: 'test',
  clock: systemClock,
  random: systemRandom,
  log: silentLogger,
  metrics: noMetrics,
  connectTimeoutMs: 5_000,
};
const link = await nats({ servers: server }).openControl(nodeId, { onState: () => {} }, environment);
const incarnation = systemRandom.hex(8);
const found = await link.members.read(`member.${nodeId}`);
let revision = found?.revision ?? 0;
let n = 0;

async function renew(): Promise<void> {
  n += 1;
  const record = { nodeId, incarnation, n, inbox: 'x', weight: 1, types: { counter: '1' }, state: 'active', protocol: 1, extra: [1] };
  const outcome = await link.members.write(`member.${nodeId}`, JSON.stringify(record), revision);
  if (outcome.applied) ({ revision } = outcome);
}

await renew();
if (behaviour === 'deaf') process.on('SIGTERM', () => {});
if (behaviour !== 'silent') reportIncarnation(nodeId, incarnation);
if (behaviour === 'crash') setTimeout(() => process.exit(3), 20);
if (behaviour === 'done') setTimeout(() => process.exit(0), 20);
if (behaviour === 'abort') setTimeout(() => process.kill(process.pid, 'SIGABRT'), 20);
setInterval(() => void renew(), 50);
