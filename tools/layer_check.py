#!/usr/bin/env python3
# Reads every source file of the tree and says which lines break the rules of docs/architecture.md: who may include
# and link whom, which foreign headers live where, and what is banned outside its seam. Run: tools/layer_check.py
# [--root FOLDER] [FILE...]. Prints "path:line: rule: what to do instead"; exit 1 when there is anything to print.
import argparse
import os
import re
import sys
from typing import Iterator, NamedTuple

# --- The table -------------------------------------------------------------------------------------------------------

# An include or link goes to a lower number or stays in its folder.
LAYERS = {
    "base": 0,
    "schemas": 1, "compute": 1,
    "gpu": 2, "transport": 2, "storage": 2, "model": 2,
    "dataflow": 3,
    "actors": 4,
    "server": 5, "simulations": 5,
    "cli": 6,
}


class Foreign(NamedTuple):
    name: str
    headers: str  # regular expression for the start of the path between < and >
    targets: str  # regular expression for its names in CMake files; "" where it has none
    places: tuple  # folders or files that may use it; tests/ always may


FOREIGN = [
    Foreign("spdlog", r"spdlog/|fmt/", r"spdlog|fmt::", ("base/log.cpp",)),
    Foreign("tl-expected", r"tl/expected", "", ("base/", "server/")),  # the server has an error type of its own
    Foreign("Cap'n Proto", r"capnp/|kj/", r"CapnProto|capnp|kj::", ("schemas/",)),
    Foreign("SIMD intrinsics", r"\w*intrin\.h|cpuid\.h|arm_\w+\.h", "", ("compute/",)),
    Foreign("hwloc", r"hwloc", r"hwloc", ("compute/",)),
    Foreign("CUDA", r"cuda|cublas|cudnn|nccl|cub/|thrust/|nv|mma\.h|cooperative_groups", r"CUDA::|nccl", ("gpu/",)),
    Foreign("UCX", r"uc[mpst]/", r"ucx|ucp", ("transport/ucx/",)),
    Foreign("OpenSSL", r"openssl/", r"OpenSSL", ("transport/",)),
    Foreign("zstd and xxhash", r"zstd|xxh", r"zstd|xxhash|xxHash", ("storage/",)),
    Foreign("libcurl", r"curl/", r"CURL", ("storage/etcd/",)),
    Foreign("nlohmann-json", r"nlohmann/", r"nlohmann_json",
            ("storage/", "model/", "server/", "simulations/", "cli/")),
    Foreign("PCRE2", r"pcre2", r"pcre2|PCRE2", ("model/",)),
    Foreign("ICU", r"unicode/", r"ICU::", ("model/",)),
    Foreign("CAF", r"caf/", r"CAF::", ("actors/", "simulations/")),
    Foreign("Boost", r"boost/", r"Boost", ("server/",)),
    Foreign("prometheus-cpp", r"prometheus/", r"prometheus-cpp", ("server/",)),
    Foreign("CLI11", r"CLI/", r"CLI11", ("cli/",)),
    Foreign("toml++", r"toml\+\+/|toml\.hpp", r"tomlplusplus", ("simulations/", "cli/")),
    Foreign("test libraries", r"gtest/|gmock/|benchmark/", r"GTest|gtest|gmock|benchmark", ()),
    Foreign("POSIX", r"(sys|net|netinet|arpa|linux)/|(unistd|fcntl|poll|pthread|sched|signal|dirent|dlfcn|netdb|ifaddrs|spawn"
            r"|termios|syslog|aio|semaphore)\.h|csignal", "",
            ("compute/", "gpu/", "storage/", "transport/", "server/", "cli/")),
]

# Standard headers that have no place in pure decisions.
IMPURE_HEADERS = {
    "thread", "mutex", "shared_mutex", "condition_variable", "future", "semaphore", "latch", "barrier", "stop_token",
    "atomic", "random", "fstream", "iostream", "filesystem", "cstdio", "ctime",
}

# Who owns threads and may wait: the executor, transport progress, the storage writer, the log, the servers of sockets.
# actors/node.cpp is no actor: its caller waits there until the actors are up.
THREAD_OWNERS = ("compute/", "gpu/", "transport/", "storage/", "base/log.cpp", "actors/node.cpp", "server/", "cli/")
# Where exceptions of other people's libraries end.
CATCHERS = ("schemas/", "storage/", "model/", "server/", "simulations/capacity/profile_file.cpp",
            "simulations/faults/toml_text.cpp", "cli/")


class Ban(NamedTuple):
    rule: str
    pattern: str  # searched in code without comments and string literals
    instead: str
    allowed: tuple = ()  # folders or files where it may stand
    only: tuple = ("",)  # folders to which the ban is confined
    unless: str = "(?!)"  # a form of it that is right


PRODUCT = tuple(folder + "/" for folder in LAYERS)
BANS = [
    Ban("clock", r"\b(steady|system|high_resolution|file|utc)_clock\s*::\s*now\b|\b(clock_gettime|gettimeofday|timespec_get)\s*\(|(?<![\w.>])(std::)?time\s*\("
        r"\s*(nullptr|NULL|0|&)|\bstd::clock\s*\(|\b__rdtscp?\s*\(|\b_rdtsc\s*\(",
        "take a troupe::clock& and ask it", ("base/clock.cpp",), PRODUCT),
    Ban("entropy", r"\brandom_device\b|(?<![\w.>:])(std::)?s?rand\s*\(|\b(getrandom|getentropy|arc4random\w*)\s*\(",
        "draw from a random_key (base/random.hpp)", ("base/random.cpp",)),
    Ban("generator", r"\bstd::(mt19937\w*|minstd_rand\w*|ranlux\w+|knuth_b|default_random_engine|\w+_distribution)\b",
        "draw from a random_key (base/random.hpp)", ("base/random.cpp",), PRODUCT),
    Ban("sleep", r"\b(sleep_for|sleep_until|usleep|nanosleep|clock_nanosleep)\b|(?<![\w.>:])sleep\s*\(",
        "wait for a message, or a delayed one", (), PRODUCT + ("tests/unit/",)),
    Ban("thread", r"\bstd::(jthread|thread|mutex|recursive_mutex|timed_mutex|shared_mutex|condition_variable\w*|async"
        r"|future|promise|shared_future|counting_semaphore|binary_semaphore|latch|barrier|this_thread)\b|\bpthread_\w+",
        "threads and locks belong to their owners: " + " ".join(THREAD_OWNERS), THREAD_OWNERS, PRODUCT),
    Ban("exception", r"\bthrow\b(?!\s*\(\s*\))", "return a status", (), PRODUCT),
    Ban("catch", r"\bcatch\s*\(", "exceptions end in " + " ".join(CATCHERS), CATCHERS, PRODUCT),
    # "unique_ptr<thing> made(new thing(...))" is how a class with a private constructor makes itself.
    Ban("new", r"(?<!operator )\bnew\b\s*[\w:(<\[]", "std::make_unique or a container", (), PRODUCT,
        unless=r"\bunique_ptr<[^<>]+>\s*\w*[({]new\b"),
    Ban("delete", r"(?<!operator )\bdelete\b\s*(\[\s*\]\s*)?[\w:(*]", "let the owner release it", (), PRODUCT),
    Ban("using_namespace", r"\busing\s+namespace\b(?!\s+std::(\w+::)*\w*literals\b)", "name what you use"),
    Ban("include_guard", r"^\s*#\s*ifndef\s+\w*(_H|_HPP|_H_|_HPP_|_INCLUDED)\s*$", "#pragma once"),
    Ban("unordered", r"\bstd::unordered_(multi)?(map|set)\s*<",
        "std::map or a sorted vector, or the comment '// order not observed: WHY'", (), ("dataflow/", "actors/")),
]

# Searched in whole lines of every text file. Written so that these lines do not match themselves.
WORDS = [
    ("fixme", r"\bFIXM[E]\b", "mend it or file it"),
    ("todo", r"\bTOD[O]\b(?!\((soon|someday|perf)\))", "TOD" "O(soon), TOD" "O(someday) or TOD" "O(perf)"),
    ("workplace", r"/wor[k]/|/roo[t]/|/far[m]/|/tm[p]/studio|sub[a]gent|far[m]-(bench|studio)",
     "nothing in the tree may speak of the machine it was written on"),
]

CODE_SUFFIXES = (".hpp", ".cpp", ".cu", ".cuh")
FIRST_LINE = {  # what the comment on the first line starts with
    ".hpp": ("//",), ".cpp": ("//",), ".cu": ("//",), ".cuh": ("//",), ".capnp": ("#",), ".cmake": ("#",),
    ".sh": ("#",), ".py": ("#", '"""'),
}
TEXT_SUFFIXES = tuple(FIRST_LINE) + (".md", ".txt", ".yml", ".yaml", ".toml", ".ini", ".html", ".js", ".css", ".in", "")
SKIPPED_FOLDERS = re.compile(r"build.*|\..*|__pycache__|models|node_modules")
SKIPPED_FILES = re.compile(r"tests/golden/.*\.(json|txt|jsonl)|LICENSE")
FILE_BYTES_MAX = 1 << 20

ALL_RULES = ({ban.rule for ban in BANS} | {rule for rule, _, _ in WORDS}
             | {"layer", "include_path", "foreign_header", "unknown_header", "generated_header", "pure_dataflow", "link",
                "foreign_link", "float_message", "pragma_once", "header_suffix", "first_line"})
# These hold without exception; any other can be waived on its line by the comment "waiver RULE: WHY".
NEVER_WAIVED = {"layer", "include_path", "foreign_header", "generated_header", "pure_dataflow", "link", "foreign_link",
                "workplace", "fixme", "todo"}

# --- The checks ------------------------------------------------------------------------------------------------------


class Finding(NamedTuple):
    path: str
    line: int
    rule: str
    text: str


class File:
    """One file of the tree, split into lines of code and lines as they stand."""

    def __init__(self, path: str, text: str):
        self.path = path
        self.text = text
        self.lines = text.split("\n")
        self.folder = path.split("/", 1)[0]
        self.suffix = os.path.splitext(path)[1]
        self.is_code = self.suffix in CODE_SUFFIXES + (".h",)
        self.code = blank_comments_and_strings(text).split("\n") if self.is_code else []

    def is_in(self, places: tuple) -> bool:
        return any(self.path == place or (place.endswith("/") and self.path.startswith(place)) or place == ""
                   for place in places)

    def waives(self, number: int, rule: str) -> bool:
        return rule not in NEVER_WAIVED and any(
            re.search(rf"(//|#) waiver {rule}: \w", line) for line in self.lines[max(0, number - 2):number])


LITERALS = re.compile(
    r'//(?:\\\n|[^\n])*|/\*.*?\*/|R"([^()\\\s]{0,16})\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'',
    re.S)


def blank_comments_and_strings(text: str) -> str:
    def blank(match: re.Match) -> str:
        line_start = text.rfind("\n", 0, match.start()) + 1
        if match.group().startswith('"') and re.match(r"\s*#\s*include", text[line_start:match.start()]):
            return match.group()
        return re.sub(r"[^\n]", " ", match.group())
    return LITERALS.sub(blank, text)


def check_includes(file: File) -> Iterator[Finding]:
    for number, line in enumerate(file.code, 1):
        match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if not match:
            continue
        quoted, header = match.group(1) == '"', match.group(2)
        check = check_own_header if quoted else check_foreign_header
        yield from (Finding(file.path, number, rule, text) for rule, text in check(file, header))


def check_own_header(file: File, header: str) -> Iterator[tuple]:
    target = header.split("/", 1)[0]
    if target == "tests" and file.folder == "tests":
        return
    if target not in LAYERS or ".." in header:
        yield "include_path", f'write "{header}" as a path from the root of the tree; foreign headers go in <>'
        return
    if header.endswith(".capnp.h") and file.folder not in ("schemas", "tests"):
        yield "generated_header", "use the plain structs of schemas/; generated headers stay in there"
    if file.folder in LAYERS and file.folder != target and LAYERS[target] >= LAYERS[file.folder]:
        yield "layer", (f"{file.folder}/ (layer {LAYERS[file.folder]}) may not include {target}/ "
                        f"(layer {LAYERS[target]}): pass it in from above, or move the shared part down")


def check_foreign_header(file: File, header: str) -> Iterator[tuple]:
    if header.split("/", 1)[0] in LAYERS and "/" in header:
        yield "include_path", f'headers of this tree go in quotes: "{header}"'
        return
    if file.folder == "dataflow" and (header in IMPURE_HEADERS or not re.fullmatch(r"[a-z0-9_]+", header)):
        yield "pure_dataflow", f"<{header}> has no place in pure decisions: they get values and return values"
        return
    for foreign in FOREIGN:
        if re.match(foreign.headers, header):
            if file.folder in LAYERS and not file.is_in(foreign.places):
                yield "foreign_header", f"<{header}>: {foreign.name} stays in {' '.join(foreign.places) or 'tests/'}"
            return
    if not re.fullmatch(r"[a-z0-9_]+", header):  # a standard header has neither a dot nor a slash
        yield "unknown_header", f"<{header}> is not in the table of tools/layer_check.py: give it one folder there"


def check_bans(file: File) -> Iterator[Finding]:
    for ban in BANS:
        if not file.is_in(ban.only) or file.is_in(ban.allowed):
            continue
        for number, line in enumerate(file.code, 1):
            if not re.search(ban.pattern, re.sub(ban.unless, "", line)):
                continue
            nearby = file.lines[max(0, number - 2):number]
            if ban.rule == "unordered" and any(re.search(r"// order not observed: \w", text) for text in nearby):
                continue
            yield Finding(file.path, number, ban.rule, ban.instead)


def check_words(file: File) -> Iterator[Finding]:
    for rule, pattern, instead in WORDS:
        if rule != "workplace" and file.suffix not in FIRST_LINE:
            continue
        for number, line in enumerate(file.lines, 1):
            if re.search(pattern, line):
                yield Finding(file.path, number, rule, instead)


def check_shape(file: File) -> Iterator[Finding]:
    if file.suffix == ".h":
        yield Finding(file.path, 1, "header_suffix", "headers of this tree end in .hpp, or .cuh for device code")
    if file.suffix in (".hpp", ".cuh") and not any(re.match(r"#pragma once\b", line) for line in file.code):
        yield Finding(file.path, 1, "pragma_once", "put #pragma once after the first comment")
    if file.suffix in FIRST_LINE:
        first = 1 if file.lines[0].startswith("#!") else 0
        opening = file.lines[first] if first < len(file.lines) else ""
        if not opening.startswith(FIRST_LINE[file.suffix]) or len(opening.strip("/#\" ")) < 10:
            yield Finding(file.path, first + 1, "first_line", "start with a comment that says what the file is for")


def check_links(file: File) -> Iterator[Finding]:
    """CMake files of a folder name only lower folders, and only the foreign libraries that live there."""
    if file.folder not in LAYERS or not (file.suffix == ".cmake" or file.path.endswith("CMakeLists.txt")):
        return
    for number, line in enumerate(file.lines, 1):
        line = line.split("#", 1)[0]
        for target in re.findall(r"\btroupe_([a-z]+)(?:_\w+)?\b", line):
            if target in LAYERS and target != file.folder and LAYERS[target] >= LAYERS[file.folder]:
                yield Finding(file.path, number, "link", f"{file.folder}/ may not link {target}/: only lower layers")
        for foreign in FOREIGN:
            folders = {place.split("/", 1)[0] for place in foreign.places}
            if foreign.targets and re.search(rf"(?<![\w/])({foreign.targets})", line) and file.folder not in folders:
                yield Finding(file.path, number, "foreign_link",
                              f"{foreign.name} stays in {' '.join(sorted(folders)) or 'tests'}")


def check_messages(files: list) -> Iterator[Finding]:
    """CAF corrupts floating point numbers when it serialises a message, so no message struct has any."""
    headers = [file for file in files if file.path.startswith("actors/")]
    code = "\n".join("\n".join(file.code) for file in headers)
    name = r"(?:\w+::)*(\w+)"
    messages = set(re.findall(rf"CAF_ADD_TYPE_ID\(\s*\w+\s*,\s*\(\s*{name}\s*\)", code))
    messages |= set(re.findall(rf"\binspect\(\s*\w+&\s*\w*\s*,\s*{name}\s*&", code))
    messages -= set(re.findall(rf"CAF_ALLOW_UNSAFE_MESSAGE_TYPE\(\s*{name}\s*\)", code))  # never serialised
    for file in headers:
        text = "\n".join(file.code)
        for match in re.finditer(r"\bstruct\s+(\w+)[^;{]*\{", text):
            if match.group(1) not in messages:
                continue
            body = text[match.end():end_of_block(text, match.end())]
            first = text.count("\n", 0, match.end()) + 1
            for offset, line in enumerate(body.split("\n")):
                if re.search(r"\b(float|double)\b", line):
                    yield Finding(file.path, first + offset, "float_message",
                                  "no floating point number goes into a message: send its bits or a fixed-point integer")


def end_of_block(text: str, start: int) -> int:
    depth = 1
    for at in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return at
    return len(text)


# --- The walk --------------------------------------------------------------------------------------------------------


def tree_files(root: str) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        at_top = folder == root
        folders[:] = sorted(name for name in folders if not SKIPPED_FOLDERS.fullmatch(name) or (at_top and name == ".ci"))
        for name in sorted(names):
            yield os.path.relpath(os.path.join(folder, name), root)


def read_files(root: str, paths: Iterator[str]) -> Iterator[File]:
    for path in paths:
        full = os.path.join(root, path)
        suffix = os.path.splitext(path)[1]
        if suffix not in TEXT_SUFFIXES + (".h",) or SKIPPED_FILES.fullmatch(path) or not os.path.isfile(full):
            continue
        if os.path.getsize(full) > FILE_BYTES_MAX:
            continue
        with open(full, encoding="utf-8", errors="replace") as stream:
            yield File(path, stream.read())


def findings(files: list) -> Iterator[Finding]:
    for file in files:
        yield from check_words(file)
        yield from check_shape(file)
        yield from check_links(file)
        if file.is_code:
            yield from check_includes(file)
            yield from check_bans(file)
    yield from check_messages([file for file in files if file.is_code])


def main(arguments: list) -> int:
    parser = argparse.ArgumentParser(description="Checks layers, foreign headers and bans over the whole tree.")
    parser.add_argument("--root", default=os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    parser.add_argument("files", nargs="*", help="paths from the root; all by default")
    options = parser.parse_args(arguments)
    files = list(read_files(options.root, iter(options.files) if options.files else tree_files(options.root)))
    by_path = {file.path: file for file in files}
    found = [one for one in findings(files) if not by_path[one.path].waives(one.line, one.rule)]
    for one in sorted(found):
        print(f"{one.path}:{one.line}: {one.rule}: {one.text}")
    if not files:
        print("layer_check: no file to check", file=sys.stderr)
        return 2
    if found:
        print(f"layer_check: {len(found)} findings in {len(files)} files", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
