"""The inside of the sandbox; a script for its own interpreter (`python -I -S`), never imported.

`build_cage` makes namespaces and root and becomes an unprivileged Python that runs RUNNER. In order: unshare, map
the user, fork (so that the new process is number 1 and takes everything down with it when it ends), mount, limit,
chroot, exec. The mapped user is not root, so exec leaves no capability; a chrooted process may not make another
user namespace.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
import sysconfig

RUNNER = r'''
import json, os, resource, select, signal, sys, time

job = json.load(sys.stdin)
limits, deadline = job["limits"], time.monotonic() + job["limits"]["total_seconds"]


def run_one(test, done):
    quiet = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(quiet, fd)
    seconds = int(limits["seconds"]) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    write, token = os.write, (job.pop("token") + "\n").encode()
    program = job["program"]
    namespace = {"__name__": "__main__"}
    exec(compile(program, "program", "exec"), namespace)
    exec(compile(test, "test", "exec"), namespace)
    write(done, token)


for number, test in enumerate(job["tests"]):
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        os.setpgid(0, 0)
        try:
            run_one(test, write_end)
        except BaseException:
            os._exit(1)
        os._exit(0)
    os.close(write_end)
    left = min(limits["seconds"], max(0.0, deadline - time.monotonic()))
    ready, _, _ = select.select([read_end], [], [], left)
    passed = bool(ready) and os.read(read_end, 64).decode(errors="replace").strip() == job["token"]
    os.close(read_end)
    try:  # the runner is process 1: what the test has left behind dies here, and zombies would count as processes
        os.kill(-1, signal.SIGKILL)
        while True:
            os.wait()
    except (ChildProcessError, ProcessLookupError):
        pass
    print(f"{job['token']}:{number}" if passed else "failed", flush=True)
'''

NEW_NAMESPACES = 0x10000000 | 0x00020000 | 0x20000000 | 0x40000000 | 0x08000000  # user, mount, pid, net, ipc
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
PR_SET_NO_NEW_PRIVS, PR_SET_PDEATHSIG = 38, 1
MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE = 442, -100, 0x8000
INSIDE_USER = 1000

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, step: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{step}: {os.strerror(code)}")


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    done = libc.mount(source.encode(), target.encode(), kind.encode(), flags, options.encode())
    check(done, f"mount {kind or 'bind'} {target}")


def make_read_only(folder: str) -> None:
    """Set a whole mount tree read-only and nosuid (Linux 5.12)."""
    attributes = (ctypes.c_uint64 * 4)(1 | 2, 0, 0, 0)  # MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID
    check(libc.syscall(MOUNT_SETATTR, AT_FDCWD, folder.encode(), AT_RECURSIVE, attributes, ctypes.sizeof(attributes)),
          f"mount_setattr {folder}")


def map_user(uid: int, gid: int) -> None:
    for name, text in (("setgroups", "deny"), ("uid_map", f"{INSIDE_USER} {uid} 1"), ("gid_map", f"{INSIDE_USER} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as f:
            f.write(text)


def build_root(python_folders: list[str], file_mib: int) -> str:
    """A root in memory: the system libraries, the Python installation, three devices, and /box to write in."""
    root = "/tmp"
    mount("none", "/", "", MS_REC | MS_PRIVATE)
    # Opened before /tmp is covered: the Python installation may itself live below /tmp.
    sources = {folder: os.open(folder, os.O_PATH) for folder in python_folders}
    mount("tmpfs", root, "tmpfs", MS_NOSUID, "size=16m,mode=755")
    for folder in ("/usr", "/bin", "/lib", "/lib64", "/lib32", "/etc/alternatives"):
        if os.path.islink(folder):
            os.symlink(os.readlink(folder), root + folder)
        elif os.path.isdir(folder):
            bind(folder, root + folder)
    for folder, fd in sources.items():
        if not os.path.isdir(root + folder):
            bind(f"/proc/self/fd/{fd}", root + folder)
        os.close(fd)
    os.mkdir(root + "/dev")
    for device in ("null", "zero", "urandom"):
        open(f"{root}/dev/{device}", "w").close()
        mount(f"/dev/{device}", f"{root}/dev/{device}", "", MS_BIND)
    os.mkdir(root + "/box")
    make_read_only(root)
    mount("tmpfs", root + "/box", "tmpfs", MS_NOSUID | MS_NODEV,
          f"size={2 * file_mib}m,mode=700,uid={INSIDE_USER},gid={INSIDE_USER}")
    return root


def bind(source: str, target: str) -> None:
    os.makedirs(target)
    mount(source, target, "", MS_BIND | MS_REC)


def build_cage(limits: dict[str, float]) -> None:
    """Never returns: the process becomes the caged runner."""
    python = os.path.realpath(sys.executable)
    folders = sorted({os.path.realpath(p) for p in (sys.base_prefix, sysconfig.get_config_var("LIBDIR") or sys.base_prefix)})
    root = build_root([f for f in folders if os.path.isdir(f)], int(limits["file_mib"]))
    mebibyte = 1 << 20
    for kind, value in (
        (resource.RLIMIT_AS, int(limits["memory_mib"]) * mebibyte), (resource.RLIMIT_FSIZE, int(limits["file_mib"]) * mebibyte),
        (resource.RLIMIT_NPROC, int(limits["processes"])), (resource.RLIMIT_NOFILE, 64), (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (value, value))
    os.chroot(root)
    os.chdir("/box")
    check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    os.execve(python, [python, "-I", "-S", "-B", "-c", RUNNER], {"HOME": "/box", "TMPDIR": "/box", "PYTHONHASHSEED": "0"})


def main() -> int:
    body = sys.stdin.buffer.read()
    limits = json.loads(body)["limits"]
    uid, gid = os.geteuid(), os.getegid()
    check(libc.unshare(NEW_NAMESPACES), "unshare")
    map_user(uid, gid)
    read_end, write_end = os.pipe()
    runner = os.fork()
    if runner == 0:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        os.close(write_end)
        os.dup2(read_end, 0)
        os.close(read_end)
        build_cage(limits)
    os.close(read_end)
    with os.fdopen(write_end, "wb") as pipe:
        pipe.write(body)
    return os.waitstatus_to_exitcode(os.waitpid(runner, 0)[1])


if __name__ == "__main__":
    sys.exit(main())
