/** Tables of a report: lines of cells, the headings first; the first column is text, the others are figures. */

/** One line of cells after another, aligned for a terminal. */
export function alignedTable(lines: readonly (readonly string[])[]): string {
  const widths = (lines[0] ?? []).map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  const align = (cell: string, column: number): string =>
    column === 0 ? cell.padEnd(widths[column] as number) : cell.padStart(widths[column] as number)
  return lines.map((line) => line.map(align).join('  ').trimEnd()).join('\n')
}

/** The same as Markdown. */
export function markdownTable([headings = [], ...lines]: readonly (readonly string[])[]): string {
  const rule = headings.map((_, column) => (column === 0 ? '---' : '---:'))
  return [headings, rule, ...lines].map((line) => `| ${line.join(' | ')} |`).join('\n')
}
