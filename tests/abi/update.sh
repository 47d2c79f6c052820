#!/bin/sh
# Writes the golden files of the C ABI again from the public headers. Read the diff before you
# commit it: from ABI 1 on, lines are only ever added.
set -eu
cd "$(dirname "$0")"
python3 symbols.py > symbols.new && mv symbols.new symbols.txt
python3 layout.py -- cc -m64 > layout.new && mv layout.new layout-64.txt
python3 layout.py -- cc -m32 > layout.new && mv layout.new layout-32.txt
