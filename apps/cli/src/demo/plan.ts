/** The demo's run file, and its expected results with the scripted model. */
import type { DemoModel } from './model.ts';

/** Returns the text of the run file. Its paths are relative to the file. */
export const runFile = ({
  name,
  isScripted,
}: DemoModel): string => `# The demo's run file: seven tasks, six of which can start at once.
repository: repository
baseBranch: main
concurrency: 6
defaults:
  model: ${JSON.stringify(name)}${isScripted ? ' # a model that plays a script; a real one is named provider/model' : ''}
  limits: { time: ${isScripted ? '2m' : '15m'} }
tasks:
  - name: fix-truncate               # an agent that works with tools, turn after turn, until it is done
    description: Count the dots as part of the length
    prompt: test/truncate.test.js fails. Find out why, and fix src/truncate.js.
    agent: { kind: loop, turns: 20 }
    verify: node --test test/truncate.test.js test/count-words.test.js
    commit: { type: fix }

  - name: reading-time
    description: Add readingTime
    prompt: |
      Add readingTime(text) in src/reading-time.js: the minutes that reading a text takes, at 200 words a minute, rounded, at least 1.
      Use what is there. Add a test in test/reading-time.test.js.
    agent: { kind: loop, turns: 20 }
    verify: node --test test/reading-time.test.js test/count-words.test.js

  - name: slugify                    # the smallest agent: one answer of the model, written to a file
    description: Add slugify
    prompt: Write src/slugify.js so that test/slugify.test.js passes.
    agent: { kind: prompt, file: src/slugify.js }
    verify: node --test test/slugify.test.js test/count-words.test.js

  - name: title-case
    description: Add titleCase
    prompt: Write src/title-case.js so that test/title-case.test.js passes.
    agent: { kind: prompt, file: src/title-case.js }
    verify: node --test test/title-case.test.js test/count-words.test.js

  - name: usage
    description: Explain how to use the functions
    prompt: Write docs/USAGE.md.
    agent: { kind: prompt, file: docs/USAGE.md }
    verify: grep -rq slugify docs
    commit: { type: docs }

  - name: faster-count               # the script gets this one wrong, and the suite notices
    description: Count words faster
    prompt: Make countWords in src/count-words.js faster.
    agent: { kind: prompt, file: src/count-words.js }
    verify: node --test test/count-words.test.js
    commit: { type: perf }

  - name: index
    description: Export everything from one module
    prompt: Write src/index.js so that the whole suite passes.
    agent: { kind: prompt, file: src/index.js }
    dependsOn: [fix-truncate, reading-time, slugify, title-case] # starts from what those have landed
    verify: npm test
`;

export const landingTasks = ['fix-truncate', 'reading-time', 'slugify', 'title-case', 'usage', 'index'];
export const loopTasks = ['fix-truncate', 'reading-time'];
export const keptOutTask = 'faster-count';
export const allTasks = [...landingTasks, keptOutTask];
export const keptOutFile = 'src/count-words.js';
export const atOnceMin = 3;
