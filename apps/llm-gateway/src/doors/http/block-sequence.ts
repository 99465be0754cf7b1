import type { AnswerBlock, AnswerBlocks } from './answer-blocks.ts';

/** `index` counts the blocks of the answer from 0. */
export type BlockStep = { index: number; block: AnswerBlock } & (
  | { type: 'open' }
  | { type: 'piece'; text: string }
  | { type: 'close' }
);

/**
 * An answer's blocks told one after the other, for wires in which a block ends before the next begins. A tool call is whole only at the answer's end, since
 * pieces of several may come in turns: the first is told as it comes, and what follows it is held back until the end.
 */
export class BlockSequence {
  readonly #answer: AnswerBlocks;
  #index = 0;
  #opened = false;
  /** Pieces of the open block that were told. */
  #told = 0;

  constructor(answer: AnswerBlocks) {
    this.#answer = answer;
  }

  /** What can be told of what the answer now holds. */
  next(): BlockStep[] {
    const steps: BlockStep[] = [];
    for (;;) {
      const block = this.#answer.blocks[this.#index];
      if (block === undefined || !this.#tell(block, steps, false)) return steps;
      const last = this.#index === this.#answer.blocks.length - 1;
      if (last || block.type === 'tool-call') return steps;
      this.#close(block, steps);
    }
  }

  /** The rest. The answer is complete by now. */
  end(): BlockStep[] {
    const steps: BlockStep[] = [];
    for (;;) {
      const block = this.#answer.blocks[this.#index];
      if (block === undefined) return steps;
      this.#tell(block, steps, true);
      this.#close(block, steps);
    }
  }

  /** @returns whether it could be: a call can't be begun without its id and name. */
  #tell(block: AnswerBlock, steps: BlockStep[], complete: boolean): boolean {
    const index = this.#index;
    if (!this.#opened) {
      if (block.type === 'tool-call' && !complete && (block.id === '' || block.name === '')) return false;
      this.#opened = true;
      steps.push({ type: 'open', index, block });
    }
    const text = block.pieces.slice(this.#told).join('');
    this.#told = block.pieces.length;
    if (text !== '') steps.push({ type: 'piece', index, block, text });
    return true;
  }

  #close(block: AnswerBlock, steps: BlockStep[]): void {
    steps.push({ type: 'close', index: this.#index, block });
    this.#index++;
    this.#opened = false;
    this.#told = 0;
  }
}
