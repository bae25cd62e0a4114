import { expect, test } from 'vitest';
import { resolveNats } from './options.ts';
import type { NatsOptions } from './options.ts';

test('servers come from the option, else from NATS_URL, else the default', () => {
  expect(resolveNats({}, {}).servers).toEqual(['127.0.0.1:4222']);
  expect(resolveNats({}, { NATS_URL: 'nats://a:1, nats://b:2' }).servers).toEqual(['a:1', 'b:2']);
  expect(resolveNats({ servers: 'c' }, { NATS_URL: 'nats://a:1' }).servers).toEqual(['c:4222']);
  expect(resolveNats({ servers: ['nats://a', '[::1]:5', 'tls://b:3/'] }, {}).servers).toEqual(['a:4222', '[::1]:5', 'b:3']);
});

test('credentials in a URL are used, and kept out of what is logged', () => {
  const resolved = resolveNats({ servers: 'nats://me:se%40cret@a:1' }, {});
  expect(resolved.credentials).toEqual({ user: 'me', pass: 'se@cret' });
  expect(resolved.servers).toEqual(['a:1']);
  expect(resolveNats({ servers: 'nats://token123@a' }, {}).credentials).toEqual({ token: 'token123' });
  expect(resolveNats({ servers: 'nats://me:x@a', token: 'other' }, {}).credentials).toEqual({ token: 'other' });
});

test('the control connection has the same credentials unless it is given its own', () => {
  expect(resolveNats({ token: 't' }, {}).controlCredentials).toEqual({ token: 't' });
  expect(resolveNats({ token: 't', control: { user: 'c', pass: 'p' } }, {}).controlCredentials).toEqual({ user: 'c', pass: 'p' });
});

test('tls is asked for by the option or by the URL', () => {
  expect(resolveNats({}, {}).tls).toBeUndefined();
  expect(resolveNats({ servers: 'tls://a' }, {}).tls).toEqual({});
  expect(resolveNats({ servers: 'tls://a', tls: { ca: 'x' } }, {}).tls).toEqual({ ca: 'x' });
});

test('what is out of bounds is refused with the name of the option, and no secret in the message', () => {
  const bad: readonly (readonly [NatsOptions, string])[] = [
    [{ replicas: 0 }, 'replicas'],
    [{ replicas: 1.5 }, 'replicas'],
    [{ storeTimeoutMs: 1 }, 'storeTimeoutMs'],
    [{ inboxPrefix: 'a.>' }, 'inboxPrefix'],
    [{ servers: [] }, 'servers'],
    [{ servers: '' }, 'servers'],
    [{ servers: 'http://a:1' }, 'servers'],
    [{ servers: 'nats://me:hush-hush@a b' }, 'servers'],
    [{ servers: 'nats://me:hush-hush@a:99999' }, 'servers'],
    [{ servers: 'nats://me:hush-hush%@a' }, 'servers'],
    [{ user: 'a', pass: 'hush-hush', token: 'hush-hush' }, 'user and token'],
    [{ pass: 'hush-hush' }, 'pass'],
    [{ token: '' }, 'token'],
    [{ control: { nkey: 'hush-hush', creds: 'hush-hush' } }, 'nkey and creds'],
    [{ server: 'a' } as NatsOptions, 'server'],
    [{ control: { password: 'hush-hush' } as NatsOptions }, 'control'],
  ];
  for (const [options, name] of bad) {
    const thrown: unknown = (() => {
      try {
        return resolveNats(options, {});
      } catch (error) {
        return error;
      }
    })();
    expect(thrown).toMatchObject({ code: 'options.invalid' });
    expect((thrown as Error).message).toContain(name);
    expect((thrown as Error).message).not.toContain('hush-hush');
  }
});
