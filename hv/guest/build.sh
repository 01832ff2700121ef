#!/bin/sh
# Builds tiny.img (or the file named) from tiny.S. Needs GNU binutils.
set -eu
here=$(dirname "$0")
out=${1:-$here/tiny.img}
object=$(mktemp)
trap 'rm -f "$object"' EXIT
as --32 -o "$object" "$here/tiny.S"
ld -m elf_i386 -Ttext 0x7c00 -e _start --oformat binary -o "$out" "$object"
chmod 644 "$out"
