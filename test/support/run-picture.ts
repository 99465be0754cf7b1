/** Program of `npm run picture`. It records the README's run in a terminal, and draws the result as docs/run.svg. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { temporaryFolder } from '@coppice/testing';
import headless from '@xterm/headless';
import type { IBufferCell, Terminal } from '@xterm/headless';
import { fileNameOf, projectFolder, readmeBlocks } from './readme.ts';

const heading = 'A run of your own';
const columns = 112;
const rows = 40;
const character = { width: 8.4, height: 19 };
const margin = 16;
const fontSize = 14;
/** Colours by their number in the terminal. */
const palette: Readonly<Record<number, string>> = { 1: '#ff7b72', 2: '#3fb950', 3: '#d29922', 6: '#39c5cf' };
const textColour = '#e6edf3';
const dimColour = '#8b949e';
const background = '#0d1117';

await using folder = await temporaryFolder('picture');
await chmod(folder.path, 0o711);
for (const text of readmeBlocks('yaml', heading)) await writeFile(path.join(folder.path, fileNameOf(text)), text);
const [makeRepository = '', run = ''] = readmeBlocks('sh', heading);
const command = run.split(' ||')[0] ?? run;
const environment = {
  ...process.env,
  PATH: `${projectFolder}:${process.env['PATH'] ?? ''}`,
  COPPICE_HOME: path.join(folder.path, 'home'),
  TERM: 'xterm-256color',
};
await inShell(makeRepository);
try {
  await writeFile(path.join(projectFolder, 'docs/run.svg'), drawing(await record(command)));
} finally {
  await inShell('coppice down');
}

async function inShell(commands: string): Promise<void> {
  const child = spawn('sh', ['-euc', commands], { cwd: folder.path, env: environment, stdio: 'ignore' });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`"${commands.trim()}" ended with ${code}`);
}

/** Returns the terminal's content after the command has ended. */
async function record(typed: string): Promise<Terminal> {
  const terminal = new headless.Terminal({ cols: columns, rows, scrollback: 1_000, allowProposedApi: true });
  const write = (text: string | Buffer) => new Promise<void>((resolve) => terminal.write(text, resolve));
  await write(`$ ${typed}\r\n`);
  const inTerminal = `stty cols ${columns} rows ${rows}; ${typed}`;
  const child = spawn('script', ['--quiet', '--flush', '--command', inTerminal, '/dev/null'], {
    cwd: folder.path,
    env: environment,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const piece of child.stdout) await write(piece as Buffer);
  return terminal;
}

function drawing(terminal: Terminal): string {
  const buffer = terminal.buffer.active;
  const lines: string[] = [];
  for (let y = 0; y < buffer.length; y++) {
    const line = buffer.getLine(y);
    const cells = Array.from({ length: columns }, (_, x) => line?.getCell(x)).filter((cell) => cell !== undefined);
    lines.push(spans(cells));
  }
  while (lines.at(-1) === '') lines.pop();
  const width = Math.ceil(columns * character.width + 2 * margin);
  const height = lines.length * character.height + 2 * margin;
  const texts = lines.map((line, index) => {
    const y = margin + (index + 0.75) * character.height;
    return `  <text x="${margin}" y="${y}">${line}</text>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" role="img">`,
    '  <title>A run of two tasks in a terminal: one is merged, one waits for a decision</title>',
    `  <rect width="100%" height="100%" rx="8" fill="${background}"/>`,
    `  <g font-family="ui-monospace, Menlo, Consolas, monospace" font-size="${fontSize}" fill="${textColour}" xml:space="preserve">`,
    ...texts,
    '  </g>',
    '</svg>',
    '',
  ].join('\n');
}

/** Returns one SVG span for adjacent cells of the same colour. */
function spans(cells: readonly IBufferCell[]): string {
  const parts: { colour: string; text: string }[] = [];
  for (const cell of cells) {
    const colour = cell.isDim() !== 0 ? dimColour : (cell.isFgPalette() && palette[cell.getFgColor()]) || textColour;
    const text = cell.getChars() || ' ';
    const last = parts.at(-1);
    if (last?.colour === colour) last.text += text;
    else parts.push({ colour, text });
  }
  const last = parts.at(-1);
  if (last !== undefined) last.text = last.text.trimEnd();
  return parts
    .filter(({ text }) => text !== '')
    .map(({ colour, text }) =>
      colour === textColour ? escaped(text) : `<tspan fill="${colour}">${escaped(text)}</tspan>`,
    )
    .join('');
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
