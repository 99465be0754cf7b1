export { parseYaml } from './parse-yaml.ts';
export type { YamlPlace, YamlText } from './parse-yaml.ts';
