#!/bin/sh
# Installs the peers: the dependency group `bench` with the given Python, and the packages of bench/peers/node with npm.
# Exit 1 when one is missing at the end; the others are there.

set -f  # a requirement has brackets, which name no files here
python=$1
missing=0

say() {
  echo "fidelog: $*" >&2
  missing=1
}

peers=$("$python" -c '
import tomllib
with open("pyproject.toml", "rb") as file:
    print(*tomllib.load(file)["dependency-groups"].get("bench", []), sep="\n")
')
for peer in $peers; do
  "$python" -m pip install --quiet --disable-pip-version-check "$peer" || say "$peer cannot be installed"
done

if [ -f bench/peers/node/package.json ]; then
  if command -v npm >/dev/null; then
    (cd bench/peers/node && npm install --no-package-lock --no-audit --no-fund --loglevel=error) \
      || say "the peers in Node cannot be installed"
  else
    say "npm is missing, so the peers in Node are not measured; install it: apt-get install npm"
  fi
fi

exit $missing
