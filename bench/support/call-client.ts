import { connect } from '@perkey/core';
import { nats } from '@perkey/nats';
import { CpuProfile } from './cpu-profile.ts';
import { BatchedEchoLoad, EchoLoad, type Load } from './floor-loads.ts';
import { serve } from './peer.ts';
import { ProductLoad } from './product-load.ts';

export interface CallRun {
  readonly load: 'product' | 'floor' | 'batchedFloor';
  readonly inflight: number;
  readonly ms: number;
}

/** The process that calls: a thin client, and a connection for each of the floors. */
const [servers = ''] = process.argv.slice(2);
const client = await connect({ cluster: 'bench', transport: nats({ servers }) });
const loads: Readonly<Record<CallRun['load'], Load>> = {
  product: new ProductLoad(client),
  floor: await EchoLoad.open(servers),
  batchedFloor: await BatchedEchoLoad.open(servers),
};
const profile = new CpuProfile();

serve(
  {
    run: ({ load, inflight, ms }: CallRun) => loads[load].run(inflight, ms),
    profile: () => profile.start(),
    profiled: (file: string) => profile.stop(file),
  },
  () => client.close(),
);
