#!/usr/bin/env python3
# Runs the scripts of deploy/ on a copy of themselves with stand-ins for apt, cmake, ninja, ctest and the program, and
# checks what they call, what they print where, and how they fail.
import os
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

STAND_INS = {
    # Everything is installed but the names in $MISSING.
    "dpkg-query": 'for name; do case " -W -f $MISSING " in *" $name "*) ;; *) echo "installed $name" ;; esac; done',
    "apt-get": 'echo "apt-get $*" >>"$CALLS"; case "$*" in *install*) [ -z "$APT_ERROR" ] || { echo "$APT_ERROR"; exit 100; } ;; esac',
    "sudo": 'while [ "$1" = --non-interactive ]; do shift; done; exec "$@"',
    "cmake": 'echo "cmake $*" >>"$CALLS"; f=build/$2; mkdir -p $f; : >$f/build.ninja;'
             ' echo "CMAKE_HOME_DIRECTORY:INTERNAL=$(pwd)" >$f/CMakeCache.txt',
    "ninja": 'echo "ninja $*" >>"$CALLS"; [ -z "$NINJA_ERROR" ] || { printf "[1/2] a\\nFAILED: b.o\\n%s\\n" "$NINJA_ERROR";'
             ' exit 1; }; mkdir -p "$2/bin"; cp "$(dirname "$0")/troupe" "$2/bin/"; echo "[1/2] Building"',
    "troupe": 'echo "program: $*"; echo noise >&2; exit 7',
    "ctest": 'echo "ctest $*" >>"$CALLS"; echo "100% tests passed, 0 tests failed out of 3"; exit ${CTEST_RC:-0}',
}


class DeployScripts(unittest.TestCase):
    def setUp(self):
        self.root = os.path.realpath(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.root)
        self.tree = os.path.join(self.root, "tree with space")
        shutil.copytree(os.path.join(ROOT, "deploy"), os.path.join(self.tree, "deploy"))
        shutil.copy(os.path.join(ROOT, "CMakePresets.json"), self.tree)
        self.calls_path = os.path.join(self.root, "calls")
        for name, body in STAND_INS.items():
            self.write(os.path.join(self.root, "bin", name), "#!/bin/sh\n" + body + "\n")

    def write(self, path, text):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.chmod(path, 0o755)

    def run_script(self, *command, **environment):
        self.write(self.calls_path, "")
        path = os.path.join(self.root, "bin") + ":" + os.environ["PATH"]
        return subprocess.run([os.path.join(self.tree, "deploy", command[0]), *command[1:]], cwd=self.root,
                              env={**os.environ, "PATH": path, "CALLS": self.calls_path, "MISSING": "",
                                   "TMPDIR": self.root, **environment},
                              capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=60)

    def calls(self):
        with open(self.calls_path, encoding="utf-8") as stream:
            return stream.read().splitlines()

    def test_dependencies_does_nothing_when_nothing_is_missing(self):
        done = self.run_script("dependencies.sh")
        self.assertEqual((done.returncode, done.stdout, done.stderr, self.calls()), (0, "", "", []))

    def test_dependencies_installs_just_what_is_missing(self):
        done = self.run_script("dependencies.sh", MISSING="libcaf-dev jq")
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        update, install = self.calls()
        self.assertTrue(update.endswith(" update"))
        self.assertTrue(install.endswith(" install --no-install-recommends jq libcaf-dev"))

    def test_dependencies_of_a_group_leaves_the_others_alone(self):
        done = self.run_script("dependencies.sh", "build", MISSING="jq")
        self.assertEqual((done.returncode, self.calls()), (0, []))

    def test_dependencies_names_the_cause_of_a_failure_in_one_line(self):
        for error, cause in [("E: You don't have enough free space in /var.", "the disk is full"),
                             ("E: Unable to locate package jq", "package jq is not in the package sources"),
                             ("E: Could not get lock /var/lib/dpkg/lock.", "another package manager"),
                             ("E: Something else", "E: Something else")]:
            done = self.run_script("dependencies.sh", MISSING="jq", APT_ERROR=error)
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"apt-get install failed: {cause}", done.stderr.splitlines()[-1])

    def test_dependencies_refuses_an_unknown_group(self):
        done = self.run_script("dependencies.sh", "gpus")
        self.assertEqual((done.returncode, len(done.stderr.splitlines())), (1, 1))

    def test_run_leaves_standard_output_to_the_program(self):
        done = self.run_script("run.sh", "generate", "Once upon", "--seed", "7")
        self.assertEqual((done.returncode, done.stdout), (7, "program: generate Once upon --seed 7\n"))
        self.assertEqual(self.run_script("run.sh").stdout, "program: serve\n")

    def test_run_configures_once_and_again_when_the_presets_change(self):
        self.run_script("run.sh")
        self.assertEqual([call.split()[0] for call in self.calls()], ["cmake", "ninja"])
        self.run_script("run.sh")
        self.assertEqual([call.split()[0] for call in self.calls()], ["ninja"])
        os.utime(os.path.join(self.tree, "CMakePresets.json"), (2e9, 2e9))
        self.run_script("run.sh")
        self.assertEqual([call.split()[0] for call in self.calls()], ["cmake", "ninja"])

    def test_run_says_in_one_last_line_that_the_build_failed(self):
        for error, cause in [("b.cpp:1: error: no", "the whole log is in"), ("x: No space left on device", "is full")]:
            done = self.run_script("run.sh", NINJA_ERROR=error)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn(error, done.stderr)
            self.assertIn("building release failed", done.stderr.splitlines()[-1])
            self.assertIn(cause, done.stderr.splitlines()[-1])

    def test_test_runs_the_asked_presets_and_sums_up(self):
        done = self.run_script("test.sh", "--only", "address", "--only", "release")
        self.assertEqual(done.returncode, 0)
        self.assertEqual([line.split(" (")[0] for line in done.stdout.splitlines()[-2:]],
                         [f"{preset}: 100% tests passed, 0 tests failed out of 3" for preset in ("address", "release")])
        self.assertEqual([call.split()[0] for call in self.calls()], ["cmake", "ninja", "ctest"] * 2)

    def test_test_fails_when_ctest_does_and_still_runs_the_rest(self):
        done = self.run_script("test.sh", "--only", "release", "--only", "address", CTEST_RC="8")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(sum(call.startswith("ctest") for call in self.calls()), 2)

    def test_test_refuses_what_it_does_not_know(self):
        for arguments in (["--only", "debug"], ["--fast"], ["--only"]):
            done = self.run_script("test.sh", *arguments)
            self.assertEqual((done.returncode, self.calls()), (1, []), arguments)


if __name__ == "__main__":
    unittest.main()
