import { Problem, type ProblemOf } from '@perkey/example-support/http';

/** The error that the contract of counters declares, for people. */
export const counterProblem: ProblemOf = ({ code, executed, details }) => {
  if (code !== 'actor.error' || details['code'] !== 'out_of_range') return undefined;
  return new Problem(422, 'counter.out_of_range', executed, 'The sum would leave the safe integers; the counter keeps its value.');
};
