#!/usr/bin/env python3
"""Copies a few of the inputs that a fuzz target has collected to its corpus: fuzz_pick.py CONTROL CORPUS.

CONTROL is the file of libFuzzer's -merge_control_file: the inputs, and the edges of the code that each reaches. The
input with the most new edges is taken, repeatedly, until none has three. libFuzzer's own merge would keep hundreds.
"""
import os
import shutil
import sys

FEWEST = 3


def read(path):
    lines = open(path).read().split("\n")
    count = int(lines[0])
    edges = {}
    for line in lines[2 + count:]:
        words = line.split()
        if words and words[0] == "FT":
            edges[lines[2 + int(words[1])]] = set(words[2:])
    return edges


def main(control, corpus):
    edges = read(control)
    kept = {file for file in edges if os.path.dirname(file) == corpus}
    reached = set().union(*(edges[file] for file in kept))
    new = {file: edges[file] for file in edges.keys() - kept if os.path.exists(file)}
    before, taken = len(reached), 0
    while new:
        best = max(new, key=lambda file: (len(new[file] - reached), -os.path.getsize(file), file))
        if len(new[best] - reached) < FEWEST:
            break
        reached |= new.pop(best)
        shutil.copy(best, os.path.join(corpus, os.path.basename(best)[:12]))
        taken += 1
    print(f"{os.path.basename(corpus)}: {taken} inputs added, edges {before} to {len(reached)}")


main(*sys.argv[1:])
