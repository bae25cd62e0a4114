import type { ActorDefinition } from '../actor/definition.ts';
import type { Authorize } from '../actor/authorization.ts';
import type { TurnMiddleware } from '../actor/middleware.ts';
import type { OpenStore } from '../contract/store.ts';
import type { ControlLink, LinkEnvironment, Transport } from '../contract/transport.ts';
import type { Projection } from '../events/projection.ts';
import type { ProjectionEndings } from './hosted-projections.ts';
import type { PrivateStore } from './ownership-parts.ts';
import type { NodeSettings } from './settings.ts';
import type { Session } from './session.ts';

export interface SessionOptions {
  readonly nodeId: string;
  readonly settings: NodeSettings;
  readonly transport: Transport;
  readonly control: ControlLink;
  readonly environment: LinkEnvironment;
  readonly definitions: readonly ActorDefinition[];
  readonly middleware: readonly TurnMiddleware[];
  readonly privateStore: PrivateStore | undefined;
  /** Open; undefined for a node that hosts no durable actors. */
  readonly store: OpenStore | undefined;
  readonly projections: readonly Projection[];
  /** Of this node, from one session to the next. */
  readonly projectionEndings: ProjectionEndings;
  readonly authorize: Authorize | undefined;
  readonly signal: AbortSignal;
  /** The lease is held: this incarnation exists from now on. */
  readonly onJoined: (incarnation: string) => void;
  /** The incarnation was evicted after it had opened: it can never act again. Called once, not while it leaves. */
  readonly onLost: (session: Session) => void;
}
