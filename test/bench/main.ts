import { parseArgs } from 'node:util';
import type { RawEngine } from './by-hand.ts';
import { print, shares } from './report.ts';
import { benchTask, writeResults } from './task.ts';

/** `npm run bench -- task [--engine docker] [--engine bubblewrap] [--rounds 10] [--files 200] [--json FILE]`. */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    engine: { type: 'string', multiple: true, default: ['bubblewrap', 'docker'] },
    rounds: { type: 'string', default: '10' },
    files: { type: 'string', default: '200' },
    json: { type: 'string' },
  },
});

if (positionals[0] !== 'task') {
  process.stderr.write(
    'usage: npm run bench -- task [--engine bubblewrap|docker] [--rounds 10] [--files 200] [--json FILE]\n',
  );
  process.exit(2);
}

const results = await benchTask({
  engines: values.engine as RawEngine[],
  rounds: Number(values.rounds),
  files: Number(values.files),
});
for (const result of results) {
  print('');
  print(
    `${result.engine}: ratio ${result.ratio.toFixed(2)} (aim: below 1.3); ${Math.round(result.coppiceMs)} ms against ${Math.round(result.byHandMs)} ms by hand, medians of ${result.rounds}`,
  );
  print(`  where it goes: ${shares(result.steps)}`);
  print(`  by hand: ${shares(result.byHandSteps)}`);
  print(
    `  tasks a second: ${Object.entries(result.tasksPerSecond)
      .map(([atOnce, value]) => `${atOnce} at once ${value.toFixed(2)}`)
      .join(', ')}`,
  );
}
if (values.json !== undefined) await writeResults(values.json, results);
