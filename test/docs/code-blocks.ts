export interface CodeBlock {
  readonly language: string;
  /** With the line break at its end. */
  readonly text: string;
}

/** The fenced blocks of a page, in its order. */
export function codeBlocks(page: string): readonly CodeBlock[] {
  return [...page.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, language = '', text = '']) => ({ language, text }));
}
