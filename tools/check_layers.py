#!/usr/bin/env python3
"""Holds the one direction of dependencies: reads every #include of lib, include, cli and hub.

    check_layers.py [ROOT]      prints each breach, exit status 1 when there is one

The rules are those of the architecture: a folder of lib includes itself and the folders above it
in LIB; cli and hub use the public headers and a few folders of lib; inside the hub a handler calls
services, services call the database, and neither the HTTP layer nor the routes know any of them.
A foreign library is included where FOREIGN says and nowhere else; SQL is text of hub/db alone.
"""
import re
import sys
from pathlib import Path

LIB = ["base", "codec", "json", "yaml", "tar", "oci", "kitfile", "format", "http", "blob", "store",
       "meta", "scan", "trust", "model", "remote", "import"]  # fmt: skip
LIB_FOR_PROGRAMS = ["base", "codec", "json", "oci", "blob", "http"]
# What each folder of the hub may include of the hub; "" is hub.h, config.h, main.c and the like.
HUB = {
    "http": ["http"],
    "route": ["", "http", "route"],
    "db": ["db"],
    "service": ["", "service", "db", "job"],
    "job": ["", "job", "service", "db"],
    "handler": ["", "handler", "service", "http", "route"],
    "": ["", "http", "route", "db", "service", "job", "handler"],
}
# The file name of a system header, and the folders whose files may include it.
FOREIGN = {
    r"curl/": ["lib/http"],
    r"yaml\.h": ["lib/yaml"],
    r"yyjson\.h": ["lib/json"],
    r"archive(_entry)?\.h": ["lib/tar", "lib/format", "lib/import"],
    r"zlib\.h|zstd\.h": ["lib/codec"],
    r"sqlite3\.h|libpq-fe\.h": ["hub/db"],
    r"llhttp\.h": ["hub/http"],
    r"sodium\.h|sodium/": ["lib/codec", "lib/trust"],
    r"openssl/": ["lib/codec", "lib/http", "lib/trust", "hub/http"],
}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^">]+)[">]', re.M)
SQL = re.compile(r'"\s*(SELECT\s|INSERT\s+(OR\s+\w+\s+)?INTO\s|UPDATE\s+\w+\s+SET\s|DELETE\s+FROM\s|'
                 r"CREATE\s+(TABLE|INDEX|TRIGGER)\s|PRAGMA\s|BEGIN\s+IMMEDIATE)")  # fmt: skip
GENERATED = {"kv_config.h", "build_info.h"}


class Tree:
    def __init__(self, root):
        self.root = root
        self.breaches = []

    def breach(self, path, line, text):
        self.breaches.append(f"{path.relative_to(self.root)}:{line}: {text}")

    def resolve(self, path, name):
        """The file that #include "name" in path means, as the compiler looks for it."""
        top = path.relative_to(self.root).parts[0]
        places = [path.parent]
        if top in ("cli", "hub"):
            places.append(self.root / top)
        places += [self.root / "include", self.root / "lib", self.root]
        found = []
        for place in places:
            file = (place / name).resolve()
            if file.is_file() and file not in found:
                found.append(file)
        return found

    def check_file(self, path):
        text = path.read_text()
        for m in INCLUDE.finditer(text):
            line = text.count("\n", 0, m.start()) + 1
            if m.group(1) == "<":
                self.check_foreign(path, line, m.group(2))
            elif m.group(2) not in GENERATED and not m.group(2).endswith(".def.h"):
                self.check_own(path, line, m.group(2))
        where = folder(path, self.root)
        if where[0] in ("hub", "cli", "lib") and where != ("hub", "db"):
            for m in SQL.finditer(text):
                self.breach(path, text.count("\n", 0, m.start()) + 1, "SQL outside hub/db")

    def check_foreign(self, path, line, name):
        where = "/".join(folder(path, self.root))
        for pattern, places in FOREIGN.items():
            if re.match(pattern, name) and where not in places:
                self.breach(path, line, f"<{name}> belongs behind {' or '.join(places)}")

    def check_own(self, path, line, name):
        found = self.resolve(path, name)
        if not found:
            self.breach(path, line, f'"{name}" is no file of the tree')
            return
        if len(found) > 1:
            both = " and ".join(str(f.relative_to(self.root)) for f in found)
            self.breach(path, line, f'"{name}" could be {both}')
            return
        why = forbidden(folder(path, self.root), folder(found[0], self.root))
        if why:
            self.breach(path, line, f'"{name}": {why}')


def folder(path, root):
    """("lib", "store"), ("hub", ""), ("include", "kitvault")"""
    parts = path.relative_to(root).parts
    return parts[0], parts[1] if len(parts) > 2 else ""


def forbidden(here, there):
    """None, or why a file of the folder here may not include one of the folder there."""
    if there[0] == "include":
        return None
    if here[0] == "include":
        return "a public header includes public headers alone"
    if here[0] == "lib":
        if there[0] != "lib":
            return f"lib does not know {there[0]}"
        if LIB.index(there[1]) > LIB.index(here[1]):
            return f"{here[1]} stands above {there[1]}"
        return None
    if there[0] == "lib":
        return None if there[1] in LIB_FOR_PROGRAMS else f"{here[0]} uses lib/{there[1]} through include/ alone"
    if here[0] != there[0]:
        return f"{here[0]} does not know {there[0]}"
    if here[0] == "hub" and there[1] not in HUB[here[1]]:
        return f"hub/{here[1] or 'main'} does not know hub/{there[1] or 'main'}"
    return None


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve()
    tree = Tree(root)
    files = sorted(f for top in ("include", "lib", "cli", "hub") for f in (root / top).rglob("*.[ch]"))
    for sub in sorted({folder(f, root)[1] for f in files if folder(f, root)[0] == "lib"} - {""} - set(LIB)):
        tree.breaches.append(f"lib/{sub}: not in the architecture's list of folders")
    for file in files:
        if folder(file, root)[0] != "lib" or folder(file, root)[1] in LIB:
            tree.check_file(file)
    print("\n".join(tree.breaches) if tree.breaches else f"{len(files)} files keep the layers")
    return 1 if tree.breaches else 0


if __name__ == "__main__":
    sys.exit(main())
