"""What a process of a unit can do: asked from inside, as whoever took it over would."""

import ctypes
import os
import pathlib
import pwd
import socket


def trying(attempt):
    """"done", or the name of the error."""
    try:
        attempt()
        return "done"
    except OSError as error:
        return type(error).__name__ if error.errno is None else os.strerror(error.errno)


def write(path):
    def attempt():
        pathlib.Path(path, "probe").write_text("x")

    return trying(attempt)


def call(name, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    return "done" if getattr(libc, name)(*arguments) == 0 else os.strerror(ctypes.get_errno())


def owners():
    """Users of all processes that can be seen."""
    found = set()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                found.add(os.stat(entry.path).st_uid)
            except FileNotFoundError:
                pass
    return sorted(found - {os.getuid()})


def report(project, own, names):
    status = dict(line.split(":\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\t" in line)
    suid = pathlib.Path(own, "suid")
    suid.write_text("x")
    return {
        "user": pwd.getpwuid(os.getuid()).pw_name,
        "capabilities": [status["CapEff"], status["CapBnd"], status["CapAmb"]],
        "no_new_privileges": status["NoNewPrivs"],
        "seccomp": status["Seccomp"],
        "umask": status["Umask"],
        "folder": os.getcwd(),
        "own": write(own),
        "writes": {path: write(path) for path in ["/", "/etc", "/usr", "/var/lib", f"/opt/{project}"]},
        "reads": {
            path: trying(lambda path=path: open(path).read(1))
            for path in ["/etc/shadow", f"/etc/{project}/{project}-app.env", "/proc/1/environ"]
        },
        "credentials": trying(lambda: os.listdir(f"/etc/{project}/credentials")),
        "home": trying(lambda: open("/home/somebody/letter").read(1)),
        "kernel": trying(lambda: open("/proc/sys/kernel/core_pattern", "w")),
        "tmp": os.path.exists("/tmp/of-others"),
        "devices": [name for name in ["mem", "kmsg", "fuse"] if os.path.exists(f"/dev/{name}")],
        "others": owners(),
        "suid": trying(lambda: suid.chmod(0o4755)),
        "packets": trying(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
        "netlink": trying(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)),
        "namespace": call("unshare", 0x10000000),
        "mount": call("mount", b"none", b"/tmp", b"tmpfs", 0, None),
        "hostname": call("sethostname", b"x", 1),
        "names": {name: trying_name(name) for name in names},
        "token": open(os.environ["TOKEN_FILE"]).read() if "TOKEN_FILE" in os.environ else None,
        "environment": dict(os.environ),
    }


def trying_name(name):
    try:
        return socket.gethostbyname(name)
    except OSError as error:
        return str(error)
