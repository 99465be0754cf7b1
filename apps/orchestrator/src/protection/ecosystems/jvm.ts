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
    reports: /(^| )(exec:|spring-boot:run|quarkus:)/,
    options: { file: ['-f', '--file', '-s', '--settings'], value: ['-pl', '-P', '-T'] },
  }),
  ...named('gradle gradlew', {
    files: gradle,
    reports: /(^|[ :])(run|bootRun|exec)( |$)/,
    options: {
      file: ['-b', '--build-file', '-c', '--settings-file', '-I', '--init-script'],
      value: ['-p', '--project-dir', '--tests', '-x'],
    },
  }),
  ...named('sbt sbtn', { files: sbt, reports: /(^|[ /])(run|runMain)( |$)/ }),
  ...named('mill', {
    files: ['build.mill', 'build.sc', '*.mill', '.mill-version', '.mill-jvm-opts', 'mill'],
    reports: /\.(run|runMain)( |$)/,
  }),
  ant: {
    files: ['build.xml', 'ivy.xml', 'build.properties'],
    options: { file: ['-f', '-buildfile', '-file', '-propertyfile'] },
  },
  ...named('lein boot', {
    files: ['project.clj', 'build.boot', 'profiles.clj'],
    reports: /(^| )(run|trampoline)( |$)/,
  }),
  ...named('clojure clj', {
    files: ['deps.edn', 'tests.edn'],
    options: { code: ['-e', '--eval'], unknown: ['-m', '--main'] },
  }),
  bb: { files: ['bb.edn'], runs: 'script', options: { code: ['-e'], file: ['-f'] } },
  java: {
    runs: 'script',
    options: { file: ['-jar'], unknown: ['-cp', '-classpath', '--class-path', '-p', '-m', '--module'] },
  },
  ...named('javac kotlinc scalac', {}),
  ...named('scala scala-cli', { files: ['project.scala'] }),
};
