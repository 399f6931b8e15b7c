#!/usr/bin/env python3
# Proves that tools/layer_check.py accepts the tree as it is and finds a planted violation of every rule it knows.
import contextlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOL = os.path.join(ROOT, "tools", "layer_check.py")
sys.path.insert(0, os.path.join(ROOT, "tools"))
sys.dont_write_bytecode = True
import layer_check  # noqa: E402

SOURCE = "// A file that is made for this test.\n"
HEADER = SOURCE + "#pragma once\n"

# (rule, path, text before the bad line, bad line, a good line in its place)
PLANTED = [
    ("layer", "base/a.cpp", SOURCE, '#include "compute/tensor.hpp"', '#include "base/status.hpp"'),
    ("layer", "model/a.cpp", SOURCE, '#include "storage/file_system.hpp"', '#include "compute/tensor.hpp"'),
    ("layer", "compute/cpu/a.cpp", SOURCE, '#include "schemas/frame.hpp"', '#include "compute/tensor.hpp"'),
    ("layer", "dataflow/a.hpp", HEADER, '  #  include "actors/engine.hpp"', '#include "model/description.hpp"'),
    ("layer", "server/a.cpp", SOURCE, '#include "simulations/clock.hpp"', '#include "actors/engine.hpp"'),
    ("include_path", "base/a.cpp", SOURCE, '#include "status.hpp"', '#include "base/status.hpp"'),
    ("include_path", "model/a.cpp", SOURCE, '#include "model/../storage/a.hpp"', '#include "model/a.hpp"'),
    ("include_path", "model/a.cpp", SOURCE, "#include <base/status.hpp>", "#include <string>"),
    ("include_path", "base/a.cpp", SOURCE, '#include "tests/support/a.hpp"', '// #include "tests/support/a.hpp"'),
    ("foreign_header", "server/a.cpp", SOURCE, "#include <caf/actor.hpp>", "#include <boost/asio.hpp>"),
    ("foreign_header", "actors/a.cpp", SOURCE, "#include <boost/asio.hpp>", "#include <caf/actor.hpp>"),
    ("foreign_header", "base/text.cpp", SOURCE, "#include <spdlog/logger.h>", "#include <string>"),
    ("foreign_header", "model/a.cpp", SOURCE, "#include <sys/mman.h>", "#include <nlohmann/json.hpp>"),
    ("foreign_header", "model/a.cpp", SOURCE, "#include <immintrin.h>", "#include <pcre2.h>"),
    ("foreign_header", "storage/a.cpp", SOURCE, "#include <kj/io.h>", "#include <unistd.h>"),
    ("foreign_header", "compute/a.cpp", SOURCE, "#include <cuda_runtime.h>", "#include <immintrin.h>"),
    ("foreign_header", "transport/a.cpp", SOURCE, "#include <ucp/api/ucp.h>", "#include <openssl/ssl.h>"),
    ("foreign_header", "actors/a.cpp", SOURCE, "#include <prometheus/counter.h>", "#include <map>"),
    ("foreign_header", "server/a.cpp", SOURCE, "#include <CLI/CLI.hpp>", "#include <map>"),
    ("foreign_header", "server/a.cpp", SOURCE, "#include <toml++/toml.h>", "#include <map>"),
    ("foreign_header", "compute/a.cpp", SOURCE, "#include <nlohmann/json.hpp>", "#include <map>"),
    ("foreign_header", "compute/a.cpp", SOURCE, "#include <unicode/uchar.h>", "#include <map>"),
    ("foreign_header", "model/a.cpp", SOURCE, "#include <xxhash.h>", "#include <map>"),
    ("foreign_header", "server/a.cpp", SOURCE, "#include <openssl/ssl.h>", "#include <map>"),
    ("foreign_header", "base/a.cpp", SOURCE, "#include <gtest/gtest.h>", "#include <map>"),
    ("unknown_header", "server/a.cpp", SOURCE, "#include <zmq.h>", "#include <string_view>"),
    ("unknown_header", "tests/unit/base/a.cpp", SOURCE, "#include <absl/strings/str_cat.h>", "#include <gtest/gtest.h>"),
    ("generated_header", "transport/a.cpp", SOURCE, '#include "schemas/frame.capnp.h"', '#include "schemas/frame.hpp"'),
    ("pure_dataflow", "dataflow/a.cpp", SOURCE, "#include <thread>", "#include <map>"),
    ("pure_dataflow", "dataflow/a.cpp", SOURCE, "#include <fstream>", "#include <vector>"),
    ("pure_dataflow", "dataflow/a.cpp", SOURCE, "#include <caf/actor.hpp>", "#include <chrono>"),
    ("link", "compute/CMakeLists.txt", "troupe_library(compute\n", "  LINKS troupe_model)", "  LINKS troupe_base)"),
    ("link", "model/text.cmake", "# Text libraries.\n", "target_link_libraries(troupe_model PUBLIC troupe_storage)",
     "target_link_libraries(troupe_model PUBLIC troupe_compute)"),
    ("link", "base/CMakeLists.txt", "troupe_library(base\n", "  LINKS troupe_model_text)", "  LINKS tl::expected)"),
    ("foreign_link", "server/CMakeLists.txt", "troupe_library(server\n", "  LINKS CAF::core)", "  LINKS Boost::headers)"),
    ("clock", "actors/a.cpp", SOURCE, "auto t = std::chrono::steady_clock::now();", "auto t = clock.now();"),
    ("clock", "actors/a.cpp", SOURCE, "auto t = steady_clock::now();", "time_point virtual_clock::now() const {"),
    ("clock", "server/a.cpp", SOURCE, "auto t = time(nullptr);", "auto t = wall_time(nullptr);"),
    ("clock", "storage/a.cpp", SOURCE, "clock_gettime(CLOCK_REALTIME, &t);", "// clock_gettime(CLOCK_REALTIME, &t);"),
    ("entropy", "cli/a.cpp", SOURCE, "std::random_device device;", "auto seed = entropy_seed();"),
    ("entropy", "tests/unit/base/a.cpp", SOURCE, "int x = rand();", "int x = random_rand();"),
    ("generator", "model/a.cpp", SOURCE, "std::mt19937 generator;", 'auto text = "std::mt19937 generator";'),
    ("sleep", "server/a.cpp", SOURCE, "std::this_thread::sleep_for(1s);", "timer.expires_after(1s);"),
    ("sleep", "tests/unit/base/a.cpp", SOURCE, "usleep(3);", "step();"),
    ("thread", "actors/a.cpp", SOURCE, "std::mutex guard;", "std::map<int, int> guard;"),
    ("thread", "model/a.cpp", SOURCE, "std::this_thread::yield();", "yield();"),
    ("thread", "base/text.cpp", SOURCE, "std::thread worker;", "worker_thread worker;"),
    ("exception", "model/a.cpp", SOURCE, 'throw std::runtime_error("x");', 'return fail(code, "throw");'),
    ("catch", "dataflow/a.cpp", SOURCE, "} catch (...) {", "} // catch (...) {"),
    ("new", "model/a.cpp", SOURCE, "auto* p = new int[4];", "int new_page = 4; /* new int */"),
    ("new", "model/a.cpp", SOURCE, "p_(new thing(3))", "return std::unique_ptr<thing>(new thing(3));"),
    ("new", "model/a.cpp", SOURCE, "int* p(new int);", "std::unique_ptr<thing> made(new thing(3));"),
    ("delete", "model/a.cpp", SOURCE, "delete[] p;", "a(const a&) = delete;"),
    ("using_namespace", "tests/unit/base/a.cpp", SOURCE, "using namespace std;", "using namespace std::chrono_literals;"),
    ("include_guard", "base/a.hpp", HEADER, "#ifndef TROUPE_BASE_A_HPP", "#ifndef NDEBUG"),
    ("unordered", "dataflow/a.hpp", HEADER, "std::unordered_map<int, int> pages;",
     "std::unordered_map<int, int> pages; // order not observed: only looked up"),
    ("unordered", "actors/a.cpp", SOURCE, "std::unordered_set<int> a; // order not observed:", "std::set<int> a;"),
    ("float_message", "actors/a.hpp",
     HEADER + "template <class I> auto inspect(I& f, step& x) { return f(x.id); }\nstruct step {\n  int id = 0;\n",
     "  std::vector<float> gains; };", "  uint32_t gain_bits = 0; };"),
    ("float_message", "actors/type_ids.hpp",
     HEADER + "CAF_ADD_TYPE_ID(troupe, (troupe::actors::step))\nnamespace troupe::actors {\nstruct step {\n",
     "  double loss = 0; };", "  int loss = 0; };\nstruct options { double rate; };"),
    ("pragma_once", "base/a.hpp", "", "// A file that is made for this test.", "// A file made for this test.\n#pragma once"),
    ("first_line", "base/a.cpp", "", "#include <string>", "// What this file is for.\n#include <string>"),
    ("first_line", "tools/a.py", "#!/usr/bin/env python3\n", "import os", "# What this file is for.\nimport os"),
    ("first_line", "cmake/a.cmake", "", "#", "# What this file is for."),
    ("fixme", "base/a.cpp", SOURCE, "// FIX" "ME later", "// fixed"),
    ("todo", "base/a.cpp", SOURCE, "// TO" "DO(now): mend", "// TO" "DO(perf): one pass is enough"),
    ("todo", "tools/a.sh", "# What this file is for.\n", "# TO" "DO: mend", "# mend"),
    ("workplace", "docs/a.md", "# Title\n", "see /wo" "rk/main", "see docs/architecture.md"),
    ("header_suffix", "base/a.h", SOURCE, "", None),
]


def run_tool(root):
    """As a command, with the exit code that ctest and tools/check see."""
    done = subprocess.run([sys.executable, TOOL, "--root", root], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


class PlantedViolations(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.root)

    def check(self, path, text):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as stream:
            stream.write(text)
        output = io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(io.StringIO()):
            code = layer_check.main(["--root", self.root])
        os.remove(full)
        return code, output.getvalue()

    def test_every_planted_violation_is_found_on_its_line(self):
        for rule, path, before, bad, good in PLANTED:
            with self.subTest(rule=rule, path=path, bad=bad):
                code, output = self.check(path, before + bad + "\n")
                self.assertEqual(code, 1, output)
                line = 1 if rule in ("pragma_once", "header_suffix") else before.count("\n") + 1
                self.assertIn(f"{path}:{line}: {rule}: ", output)
                if good is not None:
                    self.assertEqual(self.check(path, before + good + "\n"), (0, ""))

    def test_every_rule_has_a_planted_violation(self):
        self.assertEqual({planted[0] for planted in PLANTED}, layer_check.ALL_RULES)

    def test_a_waiver_with_a_reason_lifts_a_ban_but_never_a_layer(self):
        self.assertEqual(self.check("model/a.cpp", SOURCE + "delete p; // waiver delete: handed over by C code\n"), (0, ""))
        self.assertEqual(self.check("model/a.cpp", SOURCE + "delete p; // waiver delete:\n")[0], 1)
        self.assertEqual(self.check("model/a.cpp", SOURCE + "delete p; // waiver new: handed over by C code\n")[0], 1)
        code, _ = self.check("base/a.cpp", SOURCE + '#include "model/a.hpp" // waiver layer: just this once\n')
        self.assertEqual(code, 1)

    def test_an_empty_tree_is_an_error_and_not_a_pass(self):
        self.assertEqual(run_tool(self.root)[0], 2)


class WholeTree(unittest.TestCase):
    def test_the_tree_keeps_every_rule(self):
        code, output = run_tool(ROOT)
        self.assertEqual((code, output), (0, ""))

    def test_a_forbidden_include_planted_in_the_tree_is_found(self):
        with tempfile.TemporaryDirectory() as copy:
            for folder in ("base", "tools"):
                shutil.copytree(os.path.join(ROOT, folder), os.path.join(copy, folder))
            self.assertEqual(run_tool(copy)[0], 0)
            with open(os.path.join(copy, "base", "status.hpp"), "a", encoding="utf-8") as stream:
                stream.write('#include "actors/engine.hpp"\n')
            code, output = run_tool(copy)
            self.assertEqual(code, 1)
            self.assertIn("layer: base/ (layer 0) may not include actors/ (layer 4)", output)


if __name__ == "__main__":
    unittest.main()
