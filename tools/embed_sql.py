#!/usr/bin/env python3
"""Writes the migrations (NNNN_name[.engine].sql) as one C table.

Usage: embed_sql.py OUTPUT FILE...
"""
import os
import re
import sys

NAME = re.compile(r"(\d{4})_([a-z0-9_]+)(?:\.(sqlite|postgres))?\.sql")


def main(out_path, paths):
    rows = []
    for path in paths:
        m = NAME.fullmatch(os.path.basename(path))
        if not m:
            sys.exit(f"{path}: not named NNNN_name[.engine].sql")
        with open(path, "rb") as f:
            rows.append((int(m[1]), m[3] or "", m[2], f.read()))
    rows.sort()  # a number's common file before those of one engine
    numbers = sorted({r[0] for r in rows})
    if numbers != list(range(1, len(numbers) + 1)):
        sys.exit(f"migrations are not numbered 1..n: {numbers}")
    with open(out_path, "w", encoding="ascii") as out:
        out.write('#include "hub/db/db.h"\n\n')
        for i, (_, _, _, sql) in enumerate(rows):
            # Not a string literal: the longest one ISO C promises is shorter.
            out.write(f"static const char SQL_{i}[] = {{")
            out.write(",".join(str(b if b < 128 else b - 256) for b in sql + b"\0"))
            out.write("};\n")
        out.write("const kv_migration KV_MIGRATIONS[] = {\n")
        for i, (number, engine, name, _) in enumerate(rows):
            c_engine = f'"{engine}"' if engine else "NULL"
            out.write(f'    {{{number}, {c_engine}, "{name}", SQL_{i}}},\n')
        out.write("};\nconst size_t KV_N_MIGRATIONS = sizeof KV_MIGRATIONS / sizeof KV_MIGRATIONS[0];\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
