/** Lists the available models in each vendor's format. */

/** The current time is reported as the creation time of each model, since that time is unknown. */
type At = { nowMs: number };

export type ModelListing = {
  list(models: readonly string[], at: At): object;
  one(model: string, at: At): object;
};

const openAiModel = (id: string, { nowMs }: At): object => ({
  id,
  object: 'model',
  created: Math.floor(nowMs / 1_000),
  owned_by: id.split('/')[0],
});

export const openAiModels: ModelListing = {
  list: (models, at) => ({ object: 'list', data: models.map((id) => openAiModel(id, at)) }),
  one: openAiModel,
};

const anthropicModel = (id: string, { nowMs }: At): object => ({
  type: 'model',
  id,
  display_name: id,
  created_at: new Date(nowMs).toISOString(),
});

export const anthropicModels: ModelListing = {
  list: (models, at) => ({
    data: models.map((id) => anthropicModel(id, at)),
    has_more: false,
    first_id: models[0] ?? null,
    last_id: models.at(-1) ?? null,
  }),
  one: anthropicModel,
};

const geminiModel = (id: string): object => ({
  name: `models/${id}`,
  baseModelId: id,
  displayName: id,
  supportedGenerationMethods: ['generateContent', 'streamGenerateContent', 'countTokens'],
});

export const geminiModels: ModelListing = {
  list: (models) => ({ models: models.map(geminiModel) }),
  one: geminiModel,
};
