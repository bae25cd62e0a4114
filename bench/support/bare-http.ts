import fastify from 'fastify';
import { serve } from './peer.ts';

/** The HTTP library with nothing behind it: what the counter demo is held against. */
const app = fastify();
app.post('/counter/:id/increment', () => ({ hello: 'world' }));
const address = await app.listen({ host: '127.0.0.1', port: 0 });

serve({ address: () => address }, () => app.close());
