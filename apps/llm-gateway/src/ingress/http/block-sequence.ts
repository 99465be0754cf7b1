import type { AnswerBlock, AnswerBlocks } from '../../answer-blocks.ts';

/** One step of writing a block. `index` is the number of the block in the answer, from 0. */
export type BlockStep = { index: number; block: AnswerBlock } & (
  | { type: 'open' }
  | { type: 'piece'; text: string }
  | { type: 'close' }
);

/**
 * Produces the steps that write an answer's blocks one after another, for wire formats in which a block ends before the next begins. The pieces of several tool
 * calls may interleave, so a call is complete only at the answer's end. The first call is therefore written as it arrives, and everything after it is held back
 * until the end.
 */
export class BlockSequence {
  readonly #answer: AnswerBlocks;
  #index = 0;
  #opened = false;
  /** Number of pieces of the open block that were already returned. */
  #returnedPieces = 0;

  constructor(answer: AnswerBlocks) {
    this.#answer = answer;
  }

  /** Returns the steps that the answer so far allows. */
  next(): BlockStep[] {
    const steps: BlockStep[] = [];
    for (;;) {
      const block = this.#answer.blocks[this.#index];
      if (block === undefined || !this.#add(block, steps, false)) return steps;
      const last = this.#index === this.#answer.blocks.length - 1;
      if (last || block.type === 'tool-call') return steps;
      this.#close(block, steps);
    }
  }

  /** Returns the remaining steps of a complete answer. */
  end(): BlockStep[] {
    const steps: BlockStep[] = [];
    for (;;) {
      const block = this.#answer.blocks[this.#index];
      if (block === undefined) return steps;
      this.#add(block, steps, true);
      this.#close(block, steps);
    }
  }

  /** @returns false for a tool call that can't be opened yet, since its id or name is missing. */
  #add(block: AnswerBlock, steps: BlockStep[], complete: boolean): boolean {
    const index = this.#index;
    if (!this.#opened) {
      if (block.type === 'tool-call' && !complete && (block.id === '' || block.name === '')) return false;
      this.#opened = true;
      steps.push({ type: 'open', index, block });
    }
    const text = block.pieces.slice(this.#returnedPieces).join('');
    this.#returnedPieces = block.pieces.length;
    if (text !== '') steps.push({ type: 'piece', index, block, text });
    return true;
  }

  #close(block: AnswerBlock, steps: BlockStep[]): void {
    steps.push({ type: 'close', index: this.#index, block });
    this.#index++;
    this.#opened = false;
    this.#returnedPieces = 0;
  }
}
