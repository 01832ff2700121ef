#!/usr/bin/env python3
"""Runs the same commands on a real Ganeti and on Gantry, and shows where they differ.

    tests/compare/compare.py [--ganeti PREFIX] [--gantry PROGRAM] [--file F] [--section REGEX] [--only REGEX] [--verbose]
    tests/compare/compare.py --times 9            # medians of the commands marked with @, side by side

Needs a running Ganeti of throw-away machines: its fake hypervisor, disk templates file and diskless, the
Debian packages ganeti and ganeti-os-noop, no instances. PREFIX is put before each command and must lead to
its master, for example "ssh master --" or an nsenter; without it the commands run here. Where there is no
such cluster the script says so and ends with 0.

A Gantry of as many nodes, with the same names, is started in a temporary directory and ended afterwards.
scenario.txt and rules.txt have the commands; one marked with = is asked for every field that the real one lists, and each of
them is compared by itself; one marked with ~ takes away what may have been made, and is not compared. From both outputs goes what must differ (ids, times, job numbers, digits of
measured sizes); every line that differs then has to be named in kept.txt with the reason, or the script ends with 1.
"""

import argparse
import ast
import difflib
import os
import re
import shlex
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
# A command that needs longer hangs: the slowest of the scenario waits three seconds.
COMMAND_SECONDS = 120
# The commands, in this order on one cluster.
FILES = ["scenario.txt", "rules.txt"]
# A word before the command that is put into its environment.
VARIABLE = re.compile(r"[A-Z_]+=")
# A daemon is ready in less than a second; on a loaded machine it may take some.
READY_SECONDS = 30

NORMAL = [
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?", "TIME"),
    (r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}", "TIME"),
    (r"\b\d{10}\.\d+\b", "SECONDS"),
    (r"\b\d{10}\b", "SECONDS"),
    (r"\b[0-9a-f]{2}(:[0-9a-f]{2}){5}\b", "MAC"),
    (r"\bJobID: \d+", "JobID: JOB"),
    (r"\bSubmitted jobs [\d, ]+", "Submitted jobs JOBS"),
    (r"(?m)^ *\d+ +(?=(success|error|waiting|queued|running|canceled)\b)", "JOB "),
    (r"\bjob=\d+", "job=JOB"),
    (r"(?m)^\d+: (?=\S+$)", "JOB: "),
    (r"\b\d{19}\b", "NANOSECONDS"),
    (r"\b(198|127)\.51\.100\.", "NET."),
    (r"\b[Jj]ob (ID )?\d+", "job JOB"),
    (r"\bwith id \d+", "with id JOB"),
    # Ganeti keeps them as a set, in the order that it had when the cluster was made.
    (r"(?<=allowed disk templates: )\S.*", lambda found: ", ".join(sorted(found[0].split(", ")))),
    # As wide as the number of a job makes them.
    (r"(?m)^ *ID (?=Status\b)", "ID "),
    (r"(?m)^-{20,}$", "--------------------"),
]


# With it the bounds of a policy come with the lower ones first, and the ratios in the order of the manual.
HASH_SEED = 0
# As the lab's cluster is made: instances as small as a test wants them.
BOUNDS = (
    "min:cpu-count=1,disk-count=0,disk-size=0,memory-size=4,nic-count=0,spindle-use=0/"
    "max:cpu-count=8,disk-count=16,disk-size=1048576,memory-size=32768,nic-count=8,spindle-use=12"
)


class Side:
    """One of the two: how its commands are run."""

    def __init__(self, name, run):
        self.name = name
        self.run = run
        self.jobs = {}


def local(argv, env=None):
    """Runs a command; exit code, output, error output and seconds."""
    begin = time.monotonic()
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, env=env, timeout=COMMAND_SECONDS)
        code, out, err = done.returncode, done.stdout, done.stderr
    except subprocess.TimeoutExpired as over:
        code, out, err = None, over.stdout or b"", (over.stderr or b"") + b"\n(no end)"
    return code, out.decode(errors="replace"), err.decode(errors="replace"), time.monotonic() - begin


def with_variables(argv):
    """The words that are put into the environment, and the command behind them."""
    first = next(at for at, word in enumerate(argv) if not VARIABLE.match(word))
    return argv[:first], argv[first:]


def free_address(number):
    """An address of loopback as long as those of the real nodes, so that tables line up alike."""
    host = f"127.51.100.{11 + number}"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((host, 0))
        return f"{host}:{probe.getsockname()[1]}"


class Gantry:
    """A cluster of daemons in a temporary directory."""

    def __init__(self, program, cluster, nodes):
        self.program = os.path.abspath(program)
        self.place = tempfile.mkdtemp(prefix="gantry-compare-")
        self.daemons = []
        self.links = os.path.join(self.place, "bin")
        os.mkdir(self.links)
        self.must([self.program, "install-links", self.links])
        first = self.directory(0)
        storage = os.path.join(self.place, "file-storage")
        self.must([
            self.program, "cluster", "init", "--state-dir", first, "--node-name", nodes[0],
            "--address", free_address(0), "--enabled-hypervisors", "fake",
            "--enabled-disk-templates", "diskless,file,sharedfile",
            "--file-storage-dir", storage,
            "--shared-file-storage-dir", os.path.join(self.place, "shared-file-storage"),
            "--master-netdev", "br0", "--master-netmask", "32", "-N", "link=br0",
            "--ipolicy-bounds-specs", BOUNDS, cluster,
        ])
        self.start(0)
        for number, node in enumerate(nodes[1:], 1):
            said = self.must([self.program, "node", "add", "--state-dir", first, node])
            token = re.search(r"gantry-join\S+", said)[0]
            self.must([
                self.program, "join", "--state-dir", self.directory(number),
                "--address", free_address(number), token,
            ])
            self.start(number)
            self.until_online(node)

    def directory(self, number):
        return os.path.join(self.place, f"node{number + 1}")

    def must(self, argv):
        code, out, err, _ = local(argv)
        if code != 0:
            self.end()
            sys.exit(f"{shlex.join(argv)} ended with {code}:\n{out}{err}")
        return out

    def start(self, number):
        log = open(os.path.join(self.place, f"daemon{number + 1}.log"), "wb")
        argv = [self.program, "daemon", "--state-dir", self.directory(number)]
        self.daemons.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        self.wait_for(lambda: self.run(["gnt-cluster", "getmaster"])[0] == 0, "the daemon to answer")

    def until_online(self, node):
        argv = ["gnt-node", "list", "--no-headers", "--separator=|", "-o", "dtotal", node]
        self.wait_for(lambda: self.run(argv)[1].strip().isdigit(), f"{node} to report")

    def wait_for(self, condition, what):
        end = time.monotonic() + READY_SECONDS
        while not condition():
            if time.monotonic() > end:
                self.end()
                sys.exit(f"waited {READY_SECONDS} s for {what}")
            time.sleep(0.05)

    def run(self, argv):
        variables, argv = with_variables(argv)
        env = {
            "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TERM": "dumb",
            "GANTRY_STATE_DIR": self.directory(0), "HOME": self.place,
            **dict(word.split("=", 1) for word in variables),
        }
        code, out, err, seconds = local([os.path.join(self.links, argv[0]), *argv[1:]], env)
        # The real one has its files there.
        return code, *(text.replace(self.place, "/srv/ganeti") for text in (out, err)), seconds

    def end(self):
        for daemon in self.daemons:
            daemon.send_signal(signal.SIGTERM)
        for daemon in self.daemons:
            daemon.wait(READY_SECONDS)
        shutil.rmtree(self.place)


def scenario(path, only=""):
    """The commands: (mark, arguments). Of the sections, which have a word with a colon before what they are
    about, only those like this."""
    wanted, section = re.compile(only), None
    for line in open(path, encoding="utf-8"):
        line = line.strip()
        if line.startswith("#"):
            section = re.match(r"# (\w+): |(?=# \w+ end)", line) or section
        elif line and (not section or not section[1] or wanted.search(section[1])):
            mark = line[0] if line[0] in "@=~" else ""
            yield mark, shlex.split(line.lstrip("@=~ "))


def kept(path):
    """What differs on purpose: (regex of the command, regex of the line with its sign, reason)."""
    rules, reason = [], None
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        line = line.rstrip("\n")
        if line.startswith("# "):
            reason, sometimes = line[2:], line.startswith("# sometimes: ")
        elif line.strip():
            command, _, pattern = line.partition(" :: ")
            if not pattern or reason is None:
                sys.exit(f"{path}:{number}: expected a reason, then COMMAND :: LINE")
            # What is not always met is not missed.
            rules.append([re.compile(command), re.compile(pattern), reason, int(sometimes)])
    return rules


def normal(text):
    for pattern, word in NORMAL:
        text = re.sub(pattern, word, text)
    # Sizes of this very machine: their shape counts, not their digits.
    return re.sub(r"\b\d+(\.\d+)?([MGT])\b", lambda m: re.sub(r"\d", "9", m[0]), text)


# Between fields of a row; stands in none of them.
BETWEEN = "|"


class EveryField:
    """A list asked for all fields of its table that the real one has, a line for each field of a row."""

    def __init__(self, real):
        self.real = real
        self.known = {}

    def of(self, program):
        if program not in self.known:
            out = self.real.run([program, "list-fields", "--no-headers", "--separator=" + BETWEEN])[1]
            self.known[program] = [line.split(BETWEEN)[0] for line in out.splitlines()]
        return self.known[program]

    def run(self, side, argv):
        fields = self.of(argv[0])
        options = ["--no-headers", "--separator=" + BETWEEN, "-o", ",".join(fields)]
        code, out, err, seconds = run_on(side, [*argv[:2], *options, *argv[2:]])
        rows = [line.split(BETWEEN) for line in out.splitlines()]
        told = [f"{name} = {in_order(value)}" for row in rows for name, value in zip(fields, row, strict=True)]
        return code, "\n".join(told), err, seconds


def in_order(value):
    """A value with names in the order of these: what there is counts here, not in which order."""
    if not value.startswith("{"):
        return value
    return str(dict(sorted(ast.literal_eval(value).items())))


def lines(result):
    code, out, err, _ = result
    return [*normal(out).splitlines(), *("! " + line for line in normal(err).splitlines()), f"exit {code}"]


def remember_job(side, result):
    """{job} in a command is the last job that this side has told of."""
    found = re.findall(r"^(?:JobID: )?(\d+)(?:: \S+)?$", result[1] + result[2], re.M)
    if found:
        side.jobs["job"] = found[-1]


def run_on(side, argv):
    argv = [argument.format(**{"job": "1", **side.jobs}) for argument in argv]
    result = side.run(argv)
    remember_job(side, result)
    return result


def archive_jobs(side):
    """What was done before is not compared. Of "all" jobs Ganeti archives none, so they are named."""
    ids = side.run(["gnt-job", "list", "--no-headers", "-o", "id"])[1].split()
    if ids:
        side.run(["gnt-job", "archive", *ids])


def compare(sides, steps, rules, verbose):
    """Runs everything; gives the number of commands and of lines without a reason."""
    unexplained, commands, differing = 0, 0, 0
    every_field = EveryField(sides[0])
    for mark, argv in steps:
        if mark == "~":
            for side in sides:
                run_on(side, argv)
            continue
        commands += 1
        run = every_field.run if mark == "=" else run_on
        command = f"{mark if mark == '=' else ''}{shlex.join(argv)}"
        theirs, ours = (lines(run(side, argv)) for side in sides)
        delta = [line for line in difflib.unified_diff(theirs, ours, n=0, lineterm="") if line[:2] not in ("--", "++", "@@")]
        left = []
        for line in delta:
            rule = next((rule for rule in rules if rule[0].search(command) and rule[1].search(line)), None)
            if rule:
                rule[3] += 1
            if verbose or not rule:
                left.append((line, rule[2] if rule else None))
            unexplained += rule is None
        differing += bool(delta)
        if left:
            print(f"$ {command}")
            for line, reason in left:
                print(f"    {line}" + (f"        ({reason})" if reason else ""))
    print(f"{commands} commands, {differing} differ, {unexplained} lines without a reason")
    return unexplained


def medians(sides, steps, passes):
    print(f"{'command':<52} {'ganeti ms':>10} {'gantry ms':>10} {'ratio':>7}")
    for mark, argv in steps:
        if mark != "@":
            for side in sides:
                run_on(side, argv)
            continue
        taken = [[], []]
        for _ in range(passes):
            for at, side in enumerate(sides):
                taken[at].append(run_on(side, argv)[3] * 1000)
        theirs, ours = map(statistics.median, taken)
        print(f"{shlex.join(argv)[:52]:<52} {theirs:>10.1f} {ours:>10.1f} {theirs / ours:>6.0f}x")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ganeti", default="", metavar="PREFIX", help="what leads to the master of a real Ganeti")
    parser.add_argument("--gantry", default="target/debug/gantry", metavar="PROGRAM", help="default: %(default)s")
    parser.add_argument("--file", action="append", metavar="F", help=f"the commands of this one; default: {' '.join(FILES)}")
    parser.add_argument("--section", default="", metavar="REGEX", help="of rules.txt only sections like this, as 'C20[1-5]'")
    parser.add_argument("--only", default="", metavar="REGEX", help="only commands like this, and those that change something")
    parser.add_argument("--times", type=int, metavar="N", help="measure in place of comparing, N times each")
    parser.add_argument("--verbose", action="store_true", help="show differences with a reason too")
    args = parser.parse_args()
    prefix = shlex.split(args.ganeti)
    # Ganeti prints some sets in the order of their hashes, which would be another one each time.
    order = ["env", f"PYTHONHASHSEED={HASH_SEED}"]
    real = Side("ganeti", lambda argv: local([*prefix, *order, *argv]))
    if not prefix and not shutil.which("gnt-cluster"):
        print("skipped: no Ganeti here (Debian package ganeti), and no --ganeti PREFIX")
        return 0
    code, out, err, _ = real.run(["gnt-node", "list", "--no-headers", "-o", "name"])
    if code != 0:
        sys.exit(f"the real Ganeti does not answer ({code}): {err}")
    nodes = out.split()
    code, out, err, _ = real.run(["gnt-instance", "list", "--no-headers", "-o", "name"])
    if code != 0 or out.strip():
        sys.exit(f"the real Ganeti must have no instances, it has {out.split()} {err}")
    _, out, _, _ = real.run(["gnt-cluster", "info"])
    cluster = re.search(r"^Cluster name: (\S+)", out, re.M)[1]
    steps = [step for name in args.file or FILES for step in scenario(os.path.join(HERE, name), args.section)]
    if args.only:
        changing = re.compile(r" (add|remove|startup|shutdown|reboot|add-tags|remove-tags|delay)\b")
        only = re.compile(args.only)
        steps = [step for step in steps if only.search(shlex.join(step[1])) or changing.search(shlex.join(step[1]))]
    rules = kept(os.path.join(HERE, "kept.txt"))
    own = Gantry(args.gantry, cluster, nodes)
    sides = [real, Side("gantry", own.run)]
    try:
        for side in sides:
            archive_jobs(side)
        if args.times:
            medians(sides, steps, args.times)
            return 0
        unexplained = compare(sides, steps, rules, args.verbose)
        for rule in rules:
            if not rule[3] and not (args.only or args.file or args.section):
                print(f"kept.txt: never met: {rule[0].pattern} :: {rule[1].pattern}")
        return int(unexplained > 0)
    finally:
        own.end()


if __name__ == "__main__":
    sys.exit(main())
