#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes an assembler file that holds a whole file as bytes at NAME, and their number, 64 bits, at NAME_size.

usage: embed.py INPUT OUTPUT NAME
"""
import os
import sys

source, output, name = sys.argv[1:]
with open(output, "w", encoding="utf-8") as out:
    out.write(
        f"""\
/* SPDX-License-Identifier: MIT */
/* {os.path.basename(source)} as bytes; made by embed.py. */
\t.section .rodata
\t.balign 16
\t.globl {name}, {name}_size
{name}_size:
\t.quad {os.path.getsize(source)}
{name}:
\t.incbin "{os.path.abspath(source)}"
\t.section .note.GNU-stack, "", @progbits
"""
    )
