import { startNode } from '@perkey/core';
import { nats } from '@perkey/nats';
import { counter } from './counter.ts';
import { CpuProfile } from './cpu-profile.ts';
import { serve } from './peer.ts';
import { RawEcho } from './raw-echo.ts';

/** The process at the far end of `call`: a node, and on another connection the raw echoes. */
const [servers = ''] = process.argv.slice(2);
const node = await startNode({ cluster: 'bench', nodeId: 'node-0', transport: nats({ servers }), actors: [counter] });
const echo = await RawEcho.start(servers);
const profile = new CpuProfile();

serve(
  {
    profile: () => profile.start(),
    profiled: (file: string) => profile.stop(file),
  },
  () => Promise.all([node.stop(), echo.close()]),
);
