export { allowOnly, bodyOf, callOptions } from './http-request.ts';
export { closeHttpServer, createHttpServer, listen, sendJson, sendProblem } from './http-server.ts';
export { notFound, Problem, type ProblemOf, problemOf } from './problem.ts';
