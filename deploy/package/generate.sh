#!/usr/bin/env bash
# Writes completion scripts and man pages to dist-package/. goreleaser runs it before it builds.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=dist-package
rm -rf "$out"
mkdir -p "$out/completion" "$out/man"
CGO_ENABLED=0 go build -tags man -o "$out/authgate" ./cmd/authgate
for shell in bash zsh fish; do
  "$out/authgate" completion "$shell" > "$out/completion/authgate.$shell"
done
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) "$out/authgate" man "$out/man"
gzip -9 -n "$out"/man/*
rm "$out/authgate"
