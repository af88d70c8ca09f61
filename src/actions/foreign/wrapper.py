"""Starts the Ansible module that is packed in this archive.

ARCHIVE          runs the module; the arguments are JSON on standard input, or the archive's own
ARCHIVE explode  unpacks the module beside the archive, to be looked at and edited
ARCHIVE execute  runs what was unpacked
"""
import os
import sys

MODULE = @MODULE@
HAS_LOADER = @HAS_LOADER@
OPEN_FILES = @OPEN_FILES@
CORE = @CORE@


def limit_files():
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if wanted != soft:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except ValueError:
            pass


def start(root, params):
    if OPEN_FILES:
        limit_files()
    try:
        if HAS_LOADER:
            from ansible.module_utils._internal._ansiballz import _loader as loader
        from ansible.module_utils import basic
    except SyntaxError as error:
        import json

        text = "Python %d.%d at %s on the host is too old for the modules of ansible-core %s (%s)"
        print(json.dumps({"failed": True, "msg": text % (sys.version_info[:2] + (sys.executable, CORE, error))}))
        sys.exit(1)
    if HAS_LOADER:
        loader.run_module(json_params=params, profile="legacy", module_fqn=MODULE, modlib_path=root, extensions={})
        return
    import runpy

    basic._ANSIBLE_ARGS = params
    names = {"_module_fqn": MODULE, "_modlib_path": root}
    runpy.run_module(mod_name=MODULE, init_globals=names, run_name="__main__", alter_sys=True)
    print('{"failed": true, "msg": "New-style module did not handle its own exit."}')
    sys.exit(1)


def main():
    archive = os.path.dirname(os.path.abspath(__file__))
    unpacked = os.path.join(os.path.dirname(archive), "debug_dir")
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command == "execute":
        sys.path[0] = unpacked
        with open(os.path.join(unpacked, "args"), "rb") as source:
            return start(unpacked, source.read())
    import zipfile

    with zipfile.ZipFile(archive) as files:
        own = files.read("args") if "args" in files.namelist() else None
        if command == "explode":
            files.extractall(unpacked, [name for name in files.namelist() if name != "__main__.py"])
            print("Module expanded into:\n" + unpacked)
            return
    if command:
        sys.exit("unknown command %s; there are explode and execute" % command)
    sys.path[0] = archive
    start(archive, sys.stdin.buffer.read() if own is None else own)


main()
