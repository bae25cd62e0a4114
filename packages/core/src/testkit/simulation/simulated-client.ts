import { type Client, connect } from '../../client/client.ts';
import { SimulatedProcess } from './simulated-process.ts';
import { simulatedCluster } from './surroundings.ts';

/** A client of the simulated world. */
export class SimulatedClient extends SimulatedProcess {
  #client: Client | undefined;

  async start(): Promise<void> {
    const clock = this.begin();
    const { requestTimeoutMs } = this.around.options.settings;
    this.#client = await connect({
      ...{ cluster: simulatedCluster, transport: this.transport(() => {}), clock, random: this.random, env: {}, log: this.logger() },
      callerName: this.name,
      ...(requestTimeoutMs !== undefined && { requestTimeoutMs }),
    });
  }

  get client(): Client {
    if (this.#client === undefined) throw new Error(`${this.name} is not connected yet`);
    return this.#client;
  }
}
