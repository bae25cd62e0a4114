import { dirname, relative, sep } from 'node:path';
import type { RuleTester } from 'oxlint/plugins-dev';
import { wallsOf } from './walls.ts';

type Rule = Exclude<Parameters<RuleTester['run']>[1], { createOnce: unknown }>;
type Context = Parameters<Rule['create']>[0];

const root = dirname(dirname(import.meta.dirname));
const walls = wallsOf(root);

/** The linted file, relative to the root, with forward slashes. */
const fileOf = (context: Context): string => relative(root, context.filename).split(sep).join('/');

/** What is imported, from where it may be: every form of import and re-export, of values and of types. */
const importWalls: Rule = {
  create(context) {
    const file = fileOf(context);
    const check = (node: { range: [number, number]; type: string; value?: unknown } | null | undefined): void => {
      if (node?.type !== 'Literal' || typeof node.value !== 'string') return;
      const message = walls(file, node.value);
      if (message !== undefined) context.report({ node, message });
    };
    return {
      ImportDeclaration: (node) => check(node.source),
      ExportNamedDeclaration: (node) => check(node.source),
      ExportAllDeclaration: (node) => check(node.source),
      ImportExpression: (node) => check(node.source),
      TSImportType: (node) => check(node.source),
    };
  },
};

/** Syntax that the project does without. What only types know how to erase is refused by the compiler too. */
const plainSyntax: Rule = {
  create(context) {
    const refuse = (message: string) => (node: { range: [number, number] }) => context.report({ node, message });
    return {
      ExportAllDeclaration: refuse('A door names what it exports.'),
      TSEnumDeclaration: refuse('No enum: use a union of literals.'),
      TSParameterProperty: refuse('No parameter property: declare the field.'),
      Decorator: refuse('No decorator.'),
    };
  },
};

/** A module keeps no state: two clusters in one process share nothing. */
const moduleState: Rule = {
  create: (context) => ({
    VariableDeclaration(node) {
      const top = node.parent.type === 'Program' || node.parent.type === 'ExportNamedDeclaration';
      if (top && (node.kind === 'let' || node.kind === 'var')) context.report({ node, message: 'No module-level mutable state.' });
    },
  }),
};

/** `new Date()` and `Date()` read the wall clock. */
const wallDate: Rule = {
  create(context) {
    const message = 'Only base/clock.ts reads real time.';
    return {
      NewExpression(node) {
        if (node.callee.type === 'Identifier' && node.callee.name === 'Date' && node.arguments.length === 0)
          context.report({ node, message });
      },
      CallExpression(node) {
        if (node.callee.type === 'Identifier' && node.callee.name === 'Date') context.report({ node, message });
      },
    };
  },
};

/** One wrapper around every callback of the client library: an exception in one leaves its connection deaf. */
const rawSubscribe: Rule = {
  create: (context) => ({
    CallExpression({ callee }) {
      if (callee.type !== 'MemberExpression' || callee.property.type !== 'Identifier' || callee.property.name !== 'subscribe') return;
      context.report({ node: callee.property, message: 'Subscribe through the wrapper, which catches what a callback throws.' });
    },
  }),
};

/** The reason may be known only at run time: then the name is a template. */
const withReason = /\(.+\)|\$\{/;

/** A test runs, once, and counts; one that cannot run here says why in its name, in parentheses. */
const honestTests: Rule = {
  create(context) {
    const { sourceCode } = context;
    const runners = /^(test|it|describe|suite)\b/;
    return {
      CallExpression(node) {
        const callee = sourceCode.getText(node.callee);
        if (!runners.test(callee)) return;
        if (/\.only\b/.test(callee)) context.report({ node: node.callee, message: 'No test runs alone.' });
        const [name] = node.arguments;
        // `test.skipIf(condition)('name', ...)`: the name is in the outer call.
        const conditional = /\.(skipIf|runIf)\b/.test(callee) && node.callee.type === 'CallExpression';
        if ((conditional || /\.(skip|todo|fails)\b/.test(callee)) && (name === undefined || !withReason.test(sourceCode.getText(name)))) {
          context.report({ node: node.callee, message: 'The name of a skipped test ends with the reason in parentheses.' });
        }
        for (const argument of node.arguments) {
          if (argument.type !== 'ObjectExpression') continue;
          if (/\b(retry|only)\s*:/.test(sourceCode.getText(argument)))
            context.report({ node: argument, message: 'No test is tried twice.' });
        }
      },
    };
  },
};

export default {
  meta: { name: 'perkey' },
  rules: {
    walls: importWalls,
    'plain-syntax': plainSyntax,
    'module-state': moduleState,
    'wall-date': wallDate,
    'raw-subscribe': rawSubscribe,
    'honest-tests': honestTests,
  },
};
