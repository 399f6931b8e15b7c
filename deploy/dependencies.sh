#!/usr/bin/env bash
# Installs the packages of deploy/packages.txt that are missing: deploy/dependencies.sh [build|runtime|test ...].
# Without arguments: all groups. Needs neither network nor root, and no time, when nothing is missing.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
script="deploy/dependencies.sh"

list="$tree/deploy/packages.txt"
supported="Debian 12, Debian 13 or Ubuntu 24.04"

# Names of the given groups, one a line.
packages_of() {
  awk -v groups=" $* " '
    { sub(/#.*/, ""); gsub(/[ \t]/, "") }
    /^\[.*\]$/ { wanted = index(groups, " " substr($0, 2, length($0) - 2) " "); next }
    wanted && NF { print }' "$list"
}

# Those of the names on standard input that are not installed.
missing_of() {
  local names
  names="$(cat)"
  # shellcheck disable=SC2086 # one argument a name
  comm -23 <(sort <<<"$names") \
    <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $names 2>/dev/null | sed -n 's/^installed //p' | sort)
}

check_distribution() {
  local ID="" VERSION_ID="" PRETTY_NAME="this system"
  # shellcheck disable=SC1091
  [[ ! -r /etc/os-release ]] || source /etc/os-release
  case "$ID" in
    debian) dpkg --compare-versions "${VERSION_ID:-99}" ge 12 && return ;; # testing and sid have no number
    ubuntu) dpkg --compare-versions "${VERSION_ID:-0}" ge 24.04 && return ;;
  esac
  die "$PRETTY_NAME is not supported (use $supported); missing here: $1"
}

# The command in front of apt-get: nothing for root, else sudo, which may ask for a password on a terminal.
find_root() {
  as_root=()
  ((EUID == 0)) && return
  command -v sudo >/dev/null || die "root or sudo is needed to install: $1"
  as_root=(sudo)
  [[ -t 2 ]] || as_root+=(--non-interactive)
}

apt() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -q -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 \
    -o APT::Update::Error-Mode=any "$@" >>"$log" 2>&1 </dev/null
}

# The most telling reason that the log of a failed apt-get knows, in one line.
apt_failure() {
  local name
  name="$(sed -n 's/^E: Unable to locate package //p; s/^E: Package .\(.*\). has no installation candidate/\1/p' "$log" |
    head -n 1)"
  if ((!updated)) && grep -qE 'Temporary failure resolving|Could not resolve|Could not connect' "$log"; then
    echo "the package servers cannot be reached"
  elif grep -qE 'enough free space|No space left' "$log"; then
    echo "the disk is full: $(df --output=avail -h /var | tail -n 1 | tr -d ' ') are free in /var"
  elif [[ -n "$name" ]]; then
    echo "package $name is not in the package sources (on Ubuntu the component 'universe' must be on)"
  elif grep -qE 'a password is required|not in the sudoers|a terminal is required' "$log"; then
    echo "sudo asks for a password and there is no terminal to give it on"
  elif grep -qE 'Could not get lock' "$log"; then
    echo "another package manager holds the lock"
  elif grep -qE 'Temporary failure resolving|Could not resolve|Could not connect|Failed to fetch' "$log"; then
    echo "the package servers cannot be reached"
  else
    grep -m1 '^E: ' "$log" || echo "no reason given"
  fi
}

groups=("$@")
((${#groups[@]})) || groups=(build runtime test)
for group in "${groups[@]}"; do
  grep -qxF "[$group]" "$list" || die "no group '$group' in deploy/packages.txt: build, runtime and test are known"
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  die "this system has no apt; use $supported, or install what deploy/packages.txt lists by other means"
fi
mapfile -t missing < <(packages_of "${groups[@]}" | missing_of)
((${#missing[@]})) || exit 0

check_distribution "${missing[*]}"
find_root "${missing[*]}"
log="$(mktemp "${TMPDIR:-/tmp}/troupe-apt.XXXXXX")" || die "cannot write to ${TMPDIR:-/tmp}: is the disk full?"
say "installing ${#missing[@]} packages: ${missing[*]}"
updated=1
apt update || updated=0 # one broken source among many need not matter: the installation decides
apt install --no-install-recommends "${missing[@]}" || die "apt-get install failed: $(apt_failure) (log: $log)"
rm -f "$log"
