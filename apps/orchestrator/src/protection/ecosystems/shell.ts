import { named } from '../program.ts';
import type { Ecosystem } from '../program.ts';

/** Shells, and programs that start a command from their arguments. */
export const shell: Ecosystem = {
  ...named('sh bash dash zsh ksh mksh ash', {
    runs: 'shell',
    options: { value: ['-o', '+o', '-O', '+O'], file: ['--rcfile', '--init-file'] },
  }),
  ...named('. source', { runs: 'script' }),
  ...named('exec command builtin nohup setsid time chronic unbuffer catchsegv', {
    runs: 'command',
    options: { value: ['-a', '-f', '-o'] },
  }),
  busybox: { runs: 'command' },
  nice: { runs: 'command', options: { value: ['-n', '--adjustment'] } },
  ionice: { runs: 'command', options: { value: ['-c', '-n', '--class', '--classdata'] } },
  stdbuf: { runs: 'command', options: { value: ['-i', '-o', '-e'] } },
  env: { runs: 'command', options: { value: ['-u', '--unset', '-C', '--chdir'], command: ['-S', '--split-string'] } },
  timeout: { runs: 'command', operands: 1, options: { value: ['-k', '--kill-after', '-s', '--signal'] } },
  flock: { runs: 'command', operands: 1, options: { value: ['-w', '--timeout', '-E'], command: ['-c'] } },
  taskset: { runs: 'command', operands: 1 },
  ...named('sudo doas', { runs: 'command', options: { value: ['-u', '-g', '-C', '-h', '-p', '-r', '-t', '-U'] } }),
  // Reports uses in which git's configuration starts a program, such as an alias, a hook or a driver.
  git: {
    runs: 'nothing',
    reports:
      /(^| )(alias\.|core\.(hookspath|fsmonitor|editor|pager|sshcommand)=|[\w.]+\.(cmd|driver|textconv|command|process|clean|smudge)=|hook run)/i,
    options: { value: ['-C', '--git-dir', '--work-tree', '-m'] },
    subcommands: {
      bisect: { runs: 'nothing', subcommands: { run: { runs: 'command' } } },
      submodule: { runs: 'nothing', subcommands: { foreach: { runs: 'text' } } },
      rebase: { runs: 'nothing', options: { command: ['-x', '--exec'] } },
      difftool: { runs: 'nothing', options: { command: ['-x', '--extcmd'] } },
      'filter-branch': { runs: 'nothing', options: { command: ['--tree-filter', '--index-filter', '--msg-filter'] } },
    },
  },
  su: { options: { value: ['-s'], command: ['-c', '--command'] } },
  script: { options: { command: ['-c', '--command'] } },
  watch: { runs: 'command', options: { value: ['-n', '--interval'] } },
  ...named('xvfb-run dbus-run-session', { runs: 'command', options: { value: ['-n', '-s', '-w', '-f', '-e', '-p'] } }),
  ...named('strace ltrace', { runs: 'command', options: { value: ['-e', '-o', '-s', '-p', '-u'] } }),
  ...named('valgrind', { files: ['.valgrindrc'], runs: 'command' }),
  xargs: {
    runs: 'command',
    operandsFromInput: true,
    options: {
      value: ['-n', '-P', '-L', '-d', '-a', '-s', '-E', '--max-args', '--max-procs', '--delimiter'],
      placeholder: ['-I', '--replace'],
    },
  },
  parallel: { runs: 'text', operandsFromInput: true, options: { value: ['-j', '--jobs', '-N', '-n', '-P'] } },
  direnv: { files: ['.envrc'], subcommands: { exec: { runs: 'command', operands: 1 } } },
  ...named('nix nix-shell', {
    files: ['flake.nix', 'flake.lock', '*.nix'],
    reports: /^run( |$)/,
    options: { command: ['--run', '--command', '-c'] },
  }),
};

/**
 * Programs that only read files or don't touch the work tree. Files in their arguments aren't protected, since the task
 * may have to create these files.
 */
export const readers: Ecosystem = {
  ...named(
    `: [ [[ alias bg break cat cd cmp continue cut date declare df diff dirname basename du echo egrep exit export
    false fg fgrep file getopts grep gzip gunzip hash head hostname id jobs kill let local ls md5sum mkdir mktemp
    nl od paste popd printf ps pushd pwd read readlink readonly realpath return rev rm rmdir seq set sha1sum
    sha256sum shasum shift shopt sleep stat sum sync tac tail tee test touch tr true tsort tty type
    typeset ulimit umask uname uniq unset wait wc whereis which who whoami xxd yes zip b2sum base64 chmod
    chown cksum column comm curl wget expand unexpand expr factor fold fmt groups join less logname
    mkfifo more nproc numfmt pathchk pr printenv ptx shred tput truncate unlink users vdir zcat zgrep times command_not_found`,
    { runs: 'nothing' },
  ),
  ...named('cp mv ln link install unzip', { runs: 'copies' }),
  ...named('jq yq', { runs: 'nothing', options: { file: ['-f', '--from-file', '-L'] } }),
  rg: { runs: 'nothing', options: { command: ['--pre', '--hostname-bin'] } },
  sort: { runs: 'nothing', options: { command: ['--compress-program'] } },
  split: { runs: 'nothing', options: { command: ['--filter'] } },
  tar: {
    runs: 'nothing',
    options: {
      command: ['-I', '--use-compress-program', '--to-command', '-F', '--info-script', '--new-volume-script'],
    },
    reports: /exec=/,
  },
  // In a sed script, the command `e` and the flag `e` of `s` start a shell.
  ...named('sed gsed', {
    runs: 'nothing',
    reports: /(^|[ ;{}\n\d$/!,])e \S|\/[gIpMm\d]*e[gIpMm\d]*( |;|\}|$)/,
    options: { file: ['-f', '--file'] },
  }),
  ...named('awk gawk mawk nawk', {
    runs: 'nothing',
    reports: /\bsystem\s*\(|\|&?\s*"|\|&?\s*getline/,
    options: { file: ['-f', '--file', '-i', '--include'] },
  }),
};
