import { named } from '../program.ts';
import type { Ecosystem } from '../program.ts';

const maven = ['pom.xml', '.mvn', 'mvnw', 'mvnw.cmd', '**/.m2/settings.xml'];
const gradle = [
  '*.gradle',
  '*.gradle.kts',
  '*.gradle.dcl',
  'gradle.properties',
  'gradle.lockfile',
  'gradlew',
  'gradlew.bat',
  'gradle',
  'buildSrc',
  'build-logic',
];
const sbt = ['*.sbt', '.sbtopts', '.jvmopts', '**/project/*.scala', '**/project/*.properties', 'project/**'];

export const jvm: Ecosystem = {
  ...named('mvn mvnw mvnd', {
    files: maven,
    options: { file: ['-f', '--file', '-s', '--settings'], value: ['-pl', '-P', '-T'] },
  }),
  ...named('gradle gradlew', {
    files: gradle,
    options: {
      file: ['-b', '--build-file', '-c', '--settings-file', '-I', '--init-script'],
      value: ['-p', '--project-dir', '--tests', '-x'],
    },
  }),
  ...named('sbt sbtn', { files: sbt }),
  ...named('mill', { files: ['build.mill', 'build.sc', '*.mill', '.mill-version', '.mill-jvm-opts', 'mill'] }),
  ant: {
    files: ['build.xml', 'ivy.xml', 'build.properties'],
    options: { file: ['-f', '-buildfile', '-file', '-propertyfile'] },
  },
  ...named('lein boot', { files: ['project.clj', 'build.boot', 'profiles.clj'] }),
  ...named('clojure clj', {
    files: ['deps.edn', 'tests.edn'],
    options: { code: ['-e', '--eval'], value: ['-M', '-X', '-T'] },
  }),
  bb: { files: ['bb.edn'], runs: 'script', options: { code: ['-e'], file: ['-f'] } },
  java: { runs: 'script', options: { file: ['-jar', '-cp', '-classpath', '--class-path'] } },
  ...named('javac kotlinc scalac', {}),
  ...named('scala scala-cli', { files: ['project.scala'] }),
};
