import type { HistoryRecorder } from '../../history/recorder.ts';
import type { SimulationWorld } from '../world.ts';

export function judgeHistory(_world: SimulationWorld, _recorder: HistoryRecorder): void {}
