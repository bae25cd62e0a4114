import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import type { Reach, Slowness, Way } from './reach.ts';

const run = promisify(execFile);
const all = ([program = '', ...args]: readonly string[]): Promise<unknown> => run(program, args);
const command = (line: string): Promise<unknown> => all(line.split(' '));
const quietly = (line: string): Promise<unknown> => command(line).catch(() => undefined);

/** Names of namespaces and devices: `pk<process id>x<number>`. */
const ownName = /^pk(\d+)x\d+$/;

/**
 * Links of network namespaces: each process in one of its own, joined to this machine by a pair of devices, with faults at the receiver's
 * input hook. A drop at the sender's output would tell the sender.
 */
export class Namespaces implements AsyncDisposable {
  readonly #open: NamespaceReach[] = [];

  /** Undefined where this machine does not allow it: no root, no `ip`, no `nft`, or a kernel without them. */
  static async open(): Promise<Namespaces | undefined> {
    if (process.platform !== 'linux' || process.getuid?.() !== 0) return undefined;
    await removeLeftovers();
    const namespaces = new Namespaces();
    try {
      const probe = await NamespaceReach.open(0);
      await probe.cut('both');
      await probe[Symbol.asyncDispose]();
      return namespaces;
    } catch {
      await removeOne(`pk${process.pid}x0`);
      return undefined;
    }
  }

  async reach(port: number): Promise<Reach> {
    const reach = await NamespaceReach.open(port);
    this.#open.push(reach);
    return reach;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#open.map((reach) => reach[Symbol.asyncDispose]()));
  }
}

let count = 0;

class NamespaceReach implements Reach {
  readonly how = 'namespaces';
  readonly prefix: readonly string[];
  readonly servers: readonly string[];
  readonly #name: string;

  private constructor(name: string, host: string, port: number) {
    this.#name = name;
    this.prefix = ['ip', 'netns', 'exec', name];
    this.servers = [`nats://${host}:${port}`];
  }

  static async open(port: number): Promise<NamespaceReach> {
    const number = count;
    count = (count + 1) % 60;
    const name = `pk${process.pid}x${number}`;
    const network = `10.${200 + (process.pid % 50)}.${Math.floor(process.pid / 50) % 250}`;
    const [host, node] = [`${network}.${number * 4 + 1}`, `${network}.${number * 4 + 2}`];
    await command(`ip netns add ${name}`);
    await command(`ip link add ${name} type veth peer name eth0 netns ${name}`);
    await command(`ip addr add ${host}/30 dev ${name}`);
    await command(`ip link set ${name} up`);
    await command(`ip -n ${name} addr add ${node}/30 dev eth0`);
    await command(`ip -n ${name} link set eth0 up`);
    await command(`ip -n ${name} link set lo up`);
    const chain = ['{', 'type', 'filter', 'hook', 'input', 'priority', '0;', '}'];
    for (const prefix of [[], ['ip', 'netns', 'exec', name]]) {
      await all([...prefix, 'nft', 'add', 'table', 'inet', name]);
      await all([...prefix, 'nft', 'add', 'chain', 'inet', name, 'in', ...chain]);
    }
    return new NamespaceReach(name, host, port);
  }

  async cut(way: Way): Promise<void> {
    const name = this.#name;
    if (way !== 'toNode') await command(`nft add rule inet ${name} in iifname ${name} counter drop`);
    if (way !== 'toServer') await command(`ip netns exec ${name} nft add rule inet ${name} in iifname eth0 counter drop`);
  }

  async heal(): Promise<void> {
    const name = this.#name;
    await command(`nft flush chain inet ${name} in`);
    await command(`ip netns exec ${name} nft flush chain inet ${name} in`);
    await quietly(`tc qdisc del dev ${name} root`);
    await quietly(`tc -n ${name} qdisc del dev eth0 root`);
  }

  async slow({ kbit, lossPercent, delayMs }: Slowness): Promise<void> {
    if (delayMs !== undefined) throw new Error('namespaces cannot delay on this kernel');
    const name = this.#name;
    if (kbit !== undefined) {
      await command(`tc qdisc replace dev ${name} root tbf rate ${kbit}kbit burst 32kb latency 400ms`);
      await command(`tc -n ${name} qdisc replace dev eth0 root tbf rate ${kbit}kbit burst 32kb latency 400ms`);
    }
    if (lossPercent === undefined) return;
    const some = `numgen random mod 100 < ${lossPercent} counter drop`;
    await command(`nft add rule inet ${name} in iifname ${name} ${some}`);
    await command(`ip netns exec ${name} nft add rule inet ${name} in iifname eth0 ${some}`);
  }

  async dropped(): Promise<number> {
    const name = this.#name;
    const listed = await Promise.all([
      run('nft', ['list', 'chain', 'inet', name, 'in']),
      run('ip', ['netns', 'exec', name, 'nft', 'list', 'chain', 'inet', name, 'in']),
    ]);
    const counts = listed.flatMap(({ stdout }) => [...stdout.matchAll(/counter packets (\d+)/g)].map((match) => Number(match[1])));
    return counts.reduce((sum, packets) => sum + packets, 0);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return removeOne(this.#name);
  }
}

async function removeOne(name: string): Promise<void> {
  await quietly(`nft delete table inet ${name}`);
  await quietly(`ip link del ${name}`);
  await quietly(`ip netns del ${name}`);
}

/** What harnesses left behind that were killed. */
async function removeLeftovers(): Promise<void> {
  const listed = await run('ip', ['netns', 'list']).catch(() => ({ stdout: '' }));
  const names = listed.stdout.split('\n').map((line) => line.split(' ')[0] ?? '');
  for (const name of names) {
    const owner = ownName.exec(name)?.[1];
    if (owner !== undefined && !existsSync(`/proc/${owner}`)) await removeOne(name);
  }
}
