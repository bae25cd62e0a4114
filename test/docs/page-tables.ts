/** Tables by name; a page holds one between `<!-- table: name -->` and `<!-- /table -->`. */
export type Tables = Readonly<Record<string, string>>;

const places = /(<!-- table: ([^>]+?) -->\n)[\s\S]*?(<!-- \/table -->)/g;

/** The names of the tables that a page has places for. */
export function tablesIn(page: string): readonly string[] {
  return [...page.matchAll(places)].map(([, , name]) => name as string);
}

/** The page with every place filled anew. Throws for a place whose table nobody makes. */
export function fillTables(page: string, tables: Tables): string {
  return page.replace(places, (_all, start: string, name: string, end: string) => {
    const table = tables[name];
    if (table === undefined) throw new Error(`there is no table "${name}"; the tables are ${Object.keys(tables).join(', ')}`);
    return `${start}\n${table}\n${end}`;
  });
}

export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return `${[line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')}\n`;
}

/** Text as code; nothing for no text. */
export function code(text: string): string {
  return text === '' ? '' : `\`${text}\``;
}

/** The first column of the first table after a place in the page, without its marks. */
export function firstColumnAfter(page: string, offset: number): readonly string[] {
  const lines = page.slice(offset).split('\n');
  const start = lines.findIndex((line) => line.startsWith('|'));
  const rows = start < 0 ? [] : lines.slice(start + 2);
  const end = rows.findIndex((line) => !line.startsWith('|'));
  return rows
    .slice(0, end < 0 ? undefined : end)
    .flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)].map(([, name]) => name as string));
}
