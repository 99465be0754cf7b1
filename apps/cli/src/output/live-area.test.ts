import { expect, test } from 'vitest';
import { Screen } from '../test-support/screen.ts';
import { liveArea } from './live-area.ts';

test('replaces the lines that it drew before, and leaves older output unchanged', () => {
  const screen = new Screen(40, 10);
  screen.write('$ coppice run\n');
  const area = liveArea(screen.write, screen.size);
  area.draw(['one', 'two']);
  area.draw(['three']);
  expect(screen.visible).toEqual(['$ coppice run', 'three']);
  area.print('stays');
  area.draw(['four', 'five']);
  expect(screen.visible).toEqual(['$ coppice run', 'stays', 'four', 'five']);
  area.clear();
  expect(screen.visible).toEqual(['$ coppice run', 'stays']);
});

test('erases all rows of lines that a narrowed terminal has wrapped', () => {
  const screen = new Screen(40, 10);
  screen.write('before\n');
  const area = liveArea(screen.write, screen.size);
  area.draw(['a'.repeat(35), 'b'.repeat(35)]);
  screen.resize(10);
  area.draw(['c']);
  expect(screen.visible).toEqual(['before', 'c']);
});

test('never draws more lines than can be erased', () => {
  const screen = new Screen(40, 5);
  screen.write('before\n');
  const area = liveArea(screen.write, screen.size);
  const many = Array.from({ length: 20 }, (_, index) => `line ${index}`);
  area.draw(many);
  area.draw(many);
  expect(screen.lines.filter((line) => line === 'line 0')).toHaveLength(1);
  area.clear();
  expect(screen.lines.join('\n')).not.toContain('line');
});
