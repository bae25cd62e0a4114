import { Deployment, StatefulSet } from 'kubernetes-models/apps/v1';
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1';
import { Service } from 'kubernetes-models/v1';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { gatewaySettings, handlerSettings } from '../examples/bank/src/settings.ts';

const root = join(import.meta.dirname, '..');
const folder = join(root, 'examples/bank/k8s');

interface Container {
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly readinessProbe?: { readonly httpGet?: { readonly path: string; readonly port: string } };
  readonly livenessProbe?: object;
  readonly lifecycle?: { readonly preStop?: object };
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
  readonly image: string;
}

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels?: object };
  readonly spec: {
    readonly replicas: number;
    readonly serviceName?: string;
    readonly selector: { readonly matchLabels: object };
    readonly template: {
      readonly metadata: { readonly labels: object };
      readonly spec: { readonly terminationGracePeriodSeconds: number; readonly containers: readonly [Container] };
    };
    readonly volumeClaimTemplates?: readonly { readonly metadata: { readonly name: string } }[];
  };
}

const manifests = readdirSync(folder).flatMap((file) =>
  parseAllDocuments(readFileSync(join(folder, file), 'utf8'), { strict: true, uniqueKeys: true }).map((document) => {
    expect(document.errors).toEqual([]);
    return document.toJS() as Manifest;
  }),
);

const models: Readonly<Record<string, new (data: never) => { validate(): void }>> = {
  'apps/v1 Deployment': Deployment,
  'apps/v1 StatefulSet': StatefulSet,
  'policy/v1 PodDisruptionBudget': PodDisruptionBudget,
  'v1 Service': Service,
};

function validate(manifest: object): void {
  const { apiVersion, kind } = manifest as Manifest;
  const Model = models[`${apiVersion} ${kind}`];
  if (Model === undefined) throw new Error(`there is no schema for ${apiVersion} ${kind} here`);
  new Model(manifest as never).validate();
}

const named = (kind: string, name: string): Manifest => {
  const found = manifests.find((manifest) => manifest.kind === kind && manifest.metadata.name === name);
  if (found === undefined) throw new Error(`there is no ${kind} ${name}`);
  return found;
};

describe('the manifests of the bank', () => {
  test.each(manifests.map((manifest) => [`${manifest.kind} ${manifest.metadata.name}`, manifest] as const))(
    '%s fits the published schema',
    (_name, manifest) => {
      expect(() => validate(manifest)).not.toThrow();
    },
  );

  test('the schemas refuse what does not fit', () => {
    const gateway = named('Deployment', 'bank-gateway');
    expect(() => validate({ ...gateway, spec: { ...gateway.spec, replicas: '3' } })).toThrow(/replicas|validation|integer/);
    expect(() => validate({ ...gateway, spec: { ...gateway.spec, selector: undefined } })).toThrow();
  });

  test.each([
    ['Deployment', 'bank-gateway', 3, 'sender', gatewaySettings],
    ['StatefulSet', 'bank-handler', 2, 'handler', handlerSettings],
  ] as const)('%s %s: %i replicas, probes, a drain, and settings that the program has', (kind, name, replicas, role, settings) => {
    const { spec } = named(kind, name);
    expect(spec.replicas).toBe(replicas);
    expect(spec.template.metadata.labels).toEqual(spec.selector.matchLabels);
    const [container] = spec.template.spec.containers;
    const { readinessProbe, livenessProbe, lifecycle, ports, env = [] } = container;
    expect(readinessProbe?.httpGet?.path).toBe('/health');
    expect(ports.map((port) => port.name)).toContain(readinessProbe?.httpGet?.port);
    expect(livenessProbe).toBeDefined();
    expect(lifecycle?.preStop).toBeDefined();
    expect(spec.template.spec.terminationGracePeriodSeconds).toBeGreaterThan(5 + 8 + 3);
    const known = Object.values(settings).flatMap((setting) => ('env' in setting ? [setting.env as string] : []));
    expect(
      env
        .filter((entry) => entry.name !== 'ROLE')
        .map((entry) => entry.name)
        .filter((entry) => !known.includes(entry)),
    ).toEqual([]);
    expect(env.find((entry) => entry.name === 'ROLE')?.value).toBe(role);
    const port = env.find((entry) => entry.name === (role === 'sender' ? 'PORT' : 'HEALTH_PORT'))?.value;
    expect(ports[0]?.containerPort).toBe(Number(port));
  });

  test('each handler keeps /data/events.db on a volume of its own', () => {
    const { spec } = named('StatefulSet', 'bank-handler');
    const [container] = spec.template.spec.containers;
    expect(container.env?.find((entry) => entry.name === 'DB_PATH')?.value).toBe('/data/events.db');
    expect(container.volumeMounts).toEqual([{ name: 'data', mountPath: '/data' }]);
    expect(spec.volumeClaimTemplates?.map(({ metadata }) => metadata.name)).toEqual(['data']);
    expect(named('Service', spec.serviceName ?? '')).toBeDefined();
  });

  test('both roles are one image', () => {
    const images = ['bank-gateway', 'bank-handler'].map(
      (name) =>
        manifests.find(({ kind, metadata }) => kind !== 'Service' && metadata.name === name)?.spec.template.spec.containers[0].image,
    );
    expect(new Set(images).size).toBe(1);
    expect(readFileSync(join(root, 'examples/bank/Dockerfile'), 'utf8')).toContain(`-t ${String(images[0])} .`);
  });
});
