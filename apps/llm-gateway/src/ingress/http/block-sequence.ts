import type { AnswerBlock, AnswerBlocks } from '../../answer-blocks.ts';

/** One step of writing a block. `index` is the block's position in the answer, from 0. */
export type BlockStep = { index: number; block: AnswerBlock } & (
  | { type: 'open' }
  | { type: 'piece'; text: string }
  | { type: 'close' }
);

/**
 * Produces the steps that write an answer's blocks, for wire formats in which a block must end before the next begins.
 * The pieces of several tool calls may interleave, so a call is complete only at the answer's end. Therefore all blocks
 * after the first call are written at the end.
 */
export class BlockSequence {
  readonly #answer: AnswerBlocks;
  #index = 0;
  #opened = false;
  /** Number of pieces of the current block that were already returned. */
  #returnedPieces = 0;

  constructor(answer: AnswerBlocks) {
    this.#answer = answer;
  }

  /** Returns the steps that are possible with the answer so far. */
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

  /** Adds the block's new steps. Returns false if the block is a tool call whose id or name is still missing. */
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
