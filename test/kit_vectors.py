#!/usr/bin/env python3
"""Check (or record) golden ModelKit vectors against any kit-like binary.

    kit_vectors.py --bin BINARY --dir DIR [--only NAME,...] [--skip FIELD,...] [--slow] [-v]
    kit_vectors.py --bin BINARY --dir DIR --write        record the outputs

DIR holds make_trees.py (input trees) and vectors.json. Each case runs in a new
storage directory (KITOPS_HOME) with the cases named in `prereq` packed first.
DIR/deviations.json, where present, lists the cases in which KitVault on purpose
does not do what kit does (fields not compared, only the first line compared, or
the whole case left out), each with its reason; --strict leaves it aside. Layers
compressed with gzip are compared by their content (diffId, tarSize, entries):
the compressed bytes depend on the encoder. In recorded texts the tree is {TREE}, the storage {HOME}, the unpack target
{OUT}. Prints failures and 'N passed, N failed'; exit status 1 on any failure.
cli-version in the recorded manifests is the text "unknown" (a build of kit
without a version); KITVAULT_CLI_VERSION and SOURCE_DATE_EPOCH are passed on.
"""
import argparse
import gzip
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

MAX_ENTRIES = 40


def load_trees(d):
    spec = importlib.util.spec_from_file_location("make_trees", os.path.join(d, "make_trees.py"))
    m = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode = True
    spec.loader.exec_module(m)
    return m


def run(binary, argv, home, cwd, stdin=None, timeout=600):
    env = {"PATH": os.environ["PATH"], "HOME": os.path.dirname(home), "KITOPS_HOME": home,
           "DOCKER_CONFIG": os.path.join(os.path.dirname(home), "no-docker"), "LANG": "C.UTF-8", "TZ": "UTC"}
    for k in ("KITVAULT_CLI_VERSION", "SOURCE_DATE_EPOCH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"):
        if k in os.environ:
            env[k] = os.environ[k]
    p = subprocess.run([binary] + argv, cwd=cwd, env=env, input=stdin if stdin is not None else b"",
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout)
    return p.returncode, p.stdout.decode("utf-8", "backslashreplace"), p.stderr.decode("utf-8", "backslashreplace")


def listing(root):
    res = []
    rootb = os.fsencode(root)
    for dp, dns, fns in os.walk(rootb):
        for n in dns + fns:
            p = os.path.join(dp, n)
            st = os.lstat(p)
            rel = os.path.relpath(p, rootb).decode("utf-8", "backslashreplace")
            if os.path.islink(p):
                res.append([rel, "link", 0, os.readlink(p).decode("utf-8", "backslashreplace")])
            elif os.path.isdir(p):
                res.append([rel, "dir", "%04o" % (st.st_mode & 0o7777), ""])
            else:
                with open(p, "rb") as f:
                    res.append([rel, "file", "%04o" % (st.st_mode & 0o7777), hashlib.sha256(f.read()).hexdigest()])
    return sorted(res)


def storage(home):
    res = []
    base = os.path.join(home, "storage")
    for dp, dns, fns in os.walk(base):
        for n in dns:
            res.append(os.path.relpath(os.path.join(dp, n), base) + "/")
        for n in fns:
            p = os.path.join(dp, n)
            res.append("%s %04o" % (os.path.relpath(p, base), os.lstat(p).st_mode & 0o777))
    return sorted(res)


def diff_id(path, media):
    """(sha256 of the plain tar, its size, its first 8192 bytes)"""
    h, n, head = hashlib.sha256(), 0, b""
    op = gzip.open if media.endswith("+gzip") else open
    with op(path, "rb") as f:
        while True:
            c = f.read(1 << 20)
            if not c:
                break
            if len(head) < 8192:
                head += c[:8192 - len(head)]
            h.update(c)
            n += len(c)
    return "sha256:" + h.hexdigest(), n, head


def entries(path, media, limit):
    mode = "r:gz" if media.endswith("+gzip") else "r:"
    res = []
    with tarfile.open(path, mode, errors="backslashreplace", encoding="utf-8") as t:
        for m in t:
            res.append("%s %04o %d %s" % ("d" if m.isdir() else "f" if m.isreg() else m.type.decode(), m.mode, m.size, m.name))
            if len(res) > limit:
                return res[:limit] + ["..."]
    return res


def run_case(binary, trees, case, by_name, tmp):
    home, work = os.path.join(tmp, "home"), os.path.join(tmp, "work")
    os.makedirs(home)
    for pre in case.get("prereq", []):
        pack(binary, trees, by_name[pre], home, os.path.join(work, "pre-" + pre))
    tree = os.path.join(work, "tree")
    rc, out, err = pack(binary, trees, case, home, tree)
    outdir = os.path.join(work, "out")

    def norm(s):
        s = s.replace(os.path.realpath(tree), "{TREE}").replace(tree, "{TREE}").replace(outdir, "{OUT}").replace(home, "{HOME}")
        return s

    exp = {"exit": rc, "stdout": norm(out), "stderr": norm(err)}
    m = re.search(r"Model saved: (sha256:[0-9a-f]{64})", out)
    if rc == 0 and m:
        blob = lambda d: os.path.join(home, "storage", "blobs", "sha256", d.split(":")[1])
        mb = open(blob(m.group(1)), "rb").read()
        man = json.loads(mb)
        cb = open(blob(man["config"]["digest"]), "rb").read()
        exp["manifest_digest"], exp["manifest"] = m.group(1), mb.decode("utf-8")
        exp["config_digest"], exp["config"] = man["config"]["digest"], cb.decode("utf-8")
        exp["layers"] = []
        for l in man["layers"] or []:
            did, tsize, head = diff_id(blob(l["digest"]), l["mediaType"])
            d = {"mediaType": l["mediaType"], "size": l["size"], "digest": l["digest"], "diffId": did, "tarSize": tsize}
            if case.get("head_hex"):
                d["tar_head_hex"] = head.hex()
            d["entries"] = entries(blob(l["digest"]), l["mediaType"], MAX_ENTRIES)
            exp["layers"].append(d)
        ref = case["tag"].split(",")[0] if case.get("tag") else m.group(1)
        exp["inspect"] = run(binary, ["inspect", ref], home, tmp)[1]
        exp["info"] = run(binary, ["info", ref], home, tmp)[1]
        exp["list"] = run(binary, ["list"], home, tmp)[1]
        exp["storage"] = storage(home)
    after = []
    for argv in case.get("after", []):
        sub = [a.replace("{OUT}", outdir).replace("{TREE}", tree).replace("{DIGEST}", m.group(1) if m else "") for a in argv]
        rc, out, err = run(binary, sub, home, tmp)
        after.append({"argv": argv, "exit": rc, "stdout": norm(out), "stderr": norm(err)})
    if after:
        exp["after"] = after
    if os.path.isdir(outdir):
        exp["out"] = listing(outdir)
    return exp


def pack(binary, trees, case, home, tree):
    trees.build(trees.TREES[case["tree"]], tree)
    argv = ["pack", tree]
    stdin = None
    if case.get("kitfile") is not None:
        if case.get("stdin"):
            stdin = case["kitfile"].encode()
        else:
            p = os.path.join(tree, case.get("kitfile_name", "Kitfile"))
            with open(p, "wb") as f:
                f.write(case["kitfile"].encode())
            os.chmod(p, 0o644)
    for name, content in case.get("extra_files", {}).items():
        with open(os.path.join(tree, name), "w") as f:
            f.write(content)
    if case.get("tag"):
        argv += ["-t", case["tag"]]
    argv += [a.replace("{TREE}", tree) for a in case.get("args", [])]
    return run(binary, argv, home, os.path.dirname(tree), stdin, 1200)


GZIP_BOUND = {"stdout", "config_digest", "config", "manifest_digest", "manifest", "inspect", "list", "storage"}


def differing(case, got, skip, dev):
    """Names of the fields of the case in which got is not what is expected."""
    want, got = dict(case["expect"]), dict(got)
    skip = skip | set(case.get("ignore", ())) | set(dev.get("ignore", ()))
    if any("+gzip" in l["mediaType"] for l in want.get("layers", ())):
        skip |= GZIP_BOUND
        for e in (want, got):
            e["layers"] = [{k: v for k, v in l.items() if k not in ("size", "digest")} for l in e.get("layers", ())]
    for f in dev.get("first_line", ()):
        want[f], got[f] = want[f].split("\n")[0], got.get(f, "").split("\n")[0]
    for i in dev.get("ignore_after", ()):
        for e in (want, got):
            if len(e.get("after", ())) > i:
                e["after"] = e["after"][:i] + [None] + e["after"][i + 1:]
    return [k for k in want if k not in skip and got.get(k) != want[k]]


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--bin", required=True)
    ap.add_argument("--dir", required=True)
    ap.add_argument("--file", default="vectors.json", help="file of expectations in DIR")
    ap.add_argument("--only", default="")
    ap.add_argument("--skip", default="", help="fields not compared, e.g. stdout,stderr,list")
    ap.add_argument("--slow", action="store_true", help="also run cases marked slow (sparse 9 GiB)")
    ap.add_argument("--strict", action="store_true", help="compare with kit alone, without deviations.json")
    ap.add_argument("--write", action="store_true")
    ap.add_argument("--tmp")
    ap.add_argument("-v", action="store_true")
    a = ap.parse_args()
    os.umask(0o022)
    binary = os.path.abspath(a.bin)
    path = os.path.join(a.dir, a.file)
    doc = json.load(open(path))
    trees = load_trees(a.dir)
    by_name = {c["name"]: c for c in doc["cases"]}
    skip = set(filter(None, a.skip.split(",")))
    only = set(filter(None, a.only.split(",")))
    devs = os.path.join(a.dir, "deviations.json")
    dev = json.load(open(devs)) if os.path.exists(devs) and not (a.strict or a.write) else {}
    ok, bad = 0, []
    for c in doc["cases"]:
        if dev.get(c["name"], {}).get("skip"):
            continue
        if only and c["name"] not in only:
            continue
        if c.get("slow") and not a.slow:
            continue
        tmp = tempfile.mkdtemp(prefix="kv-", dir=a.tmp)
        try:
            got = run_case(binary, trees, c, by_name, tmp)
        except Exception as e:  # a crash of the binary or a broken store is a failure of that case
            got = {"exception": "%s: %s" % (type(e).__name__, e)}
        finally:
            subprocess.run(["chmod", "-R", "u+rwx", tmp])
            shutil.rmtree(tmp, ignore_errors=True)
        if a.write:
            c["expect"] = got
            if "exception" in got:
                print("ERR", c["name"], got["exception"])
            ok += 1
            continue
        fields = ["exception"] if "exception" in got else differing(c, got, skip, dev.get(c["name"], {}))
        if fields:
            bad.append(c["name"])
            print("FAIL %s: %s" % (c["name"], ", ".join(fields) + (" " + got["exception"] if "exception" in got else "")))
            if a.v:
                for k in fields:
                    print("  %s\n    want %r\n    got  %r" % (k, c["expect"].get(k), got.get(k)))
        else:
            ok += 1
    if a.write:
        with open(path, "w") as f:
            json.dump(doc, f, indent=1, ensure_ascii=True, sort_keys=False)
            f.write("\n")
        print("%d recorded" % ok)
        return 0
    print("%d passed, %d failed" % (ok, len(bad)))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
