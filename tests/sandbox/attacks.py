"""Programs that try to break out, to break the host, or to lie about how they ended.

`{…}` in the code is filled in by the test: paths and addresses of the host that must stay out of reach. Those that
probe print one line for whatever they could do, so that the expected output of a contained one is `contained`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

PROBE = """
import ctypes, errno, os, sys
def probe(what, action):
    try:
        result = action()
    except BaseException as error:
        return
    if result not in (None, -1):
        print("BREACH", what, result)
def syscall(number, *arguments):
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    refused = result == -1 and ctypes.get_errno() in (errno.EPERM, errno.ENOSYS)
    return None if refused else f"call {{number}} got through"
libc = ctypes.CDLL(None, use_errno=True)
arm = os.uname().machine == "aarch64"
"""
CONTAINED = "contained\n"


@dataclass(frozen=True)
class Attack:
    """`ends` is (status, error_type); `prints` the exact standard output, None if it does not matter."""

    code: str
    ends: tuple[str, str | None]
    prints: str | None = None
    wall_s: float = 10.0


def probing(code: str) -> Attack:
    return Attack(f"{PROBE}\n{code}\nprint('contained')", ("ok", None), CONTAINED)


def forging(code: str, error_type: str = "early_exit") -> Attack:
    return Attack(code, ("error", error_type))


NULL_IN_CODE = "SyntaxError" if sys.version_info >= (3, 11, 4) else "ValueError"
TIME = ("timeout", "TimeLimit")

ATTACKS: dict[str, Attack] = {
    # Time
    "infinite_loop": Attack("while True: pass", TIME, wall_s=0.5),
    "sleep": Attack("import time\nprint('before')\ntime.sleep(60)", TIME, "before\n", wall_s=0.5),
    "processor_time_of_children": Attack("import os\nos.fork(); os.fork()\nwhile True: pass", ("timeout", "CpuLimit")),
    "huge_power": Attack("print(len(str(7 ** (10 ** 8))))", TIME, "", wall_s=0.5),
    "catching_everything": Attack(
        "import time\nwhile True:\n    try: time.sleep(9)\n    except BaseException: pass", TIME, wall_s=0.5
    ),
    "ignoring_signals": Attack(
        "import signal\nfor s in set(signal.Signals) - {9, 19}: signal.signal(s, signal.SIG_IGN)\nwhile True: pass",
        TIME,
        wall_s=0.5,
    ),
    "handler_that_goes_on": Attack(
        "import signal, time\nsignal.signal(signal.SIGALRM, lambda *_: None)\nsignal.setitimer(0, 0.05, 0.05)\n"
        "while True: time.sleep(9)",
        TIME,
        wall_s=0.5,
    ),
    "stopping_itself": Attack("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", TIME, wall_s=0.5),
    "thread_that_outlives": Attack(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\nprint('end')",
        TIME,
        "end\n",
        wall_s=0.5,
    ),
    "exit_handler_that_never_ends": Attack("import atexit, time\natexit.register(time.sleep, 60)", TIME, wall_s=0.5),
    # Memory, files, processes
    "memory_bomb": Attack("x = []\nwhile True: x.append(bytearray(10 ** 7))", ("error", "MemoryError")),
    "memory_by_many": Attack(
        "import os, time\nfor _ in range(6):\n    if os.fork() == 0:\n        x = bytearray(10 ** 8); time.sleep(30)\n"
        "time.sleep(30)",
        ("error", "MemoryLimit"),
    ),
    "shared_memory": probing(
        "probe('memfd', lambda: os.memfd_create('x'))\n"
        "probe('shmget', lambda: libc.shmget(0, 1 << 30, 0o1600))\n"
        "probe('shmget number', lambda: syscall(194 if arm else 29, 0, 1 << 30, 0o1600))"
    ),
    "endless_output": Attack("while True: print('x' * 1000)", ("error", "OutputLimit")),
    "endless_errors": Attack(
        "import sys\nwhile True: print('x' * 1000, file=sys.stderr)", ("error", "OutputLimit"), ""
    ),
    "endless_raw_output": Attack(
        "import os\nblock = b'\\xff' * 2 ** 20\nwhile True: os.write(1, block)", ("error", "OutputLimit")
    ),
    "file_descriptors": Attack("import os\nwhile True: os.dup(0)", ("error", "OSError")),
    "full_disk": Attack(
        "n = 0\nwhile True:\n    n += 1\n    open(f'f{n}', 'wb').write(bytes(10 ** 7))", ("error", "OSError")
    ),
    "all_inodes": Attack("n = 0\nwhile True:\n    n += 1\n    open(f'f{n}', 'wb').close()", ("error", "OSError")),
    "one_huge_file": Attack("f = open('f', 'wb')\nwhile True: f.write(bytes(10 ** 7))", ("error", "OSError")),
    "fork_bomb": Attack(
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass", ("error", "ProcessLimit")
    ),
    "thread_bomb": Attack(
        "import threading, time\nwhile True:\n    try: threading.Thread(target=time.sleep, args=(60,)).start()\n"
        "    except BaseException: pass",
        ("error", "ProcessLimit"),
    ),
    "raising_its_limits": probing(
        "import resource\n"
        "for name in ('AS', 'NPROC', 'NOFILE', 'FSIZE', 'CORE'):\n"
        "    number = getattr(resource, f'RLIMIT_{{name}}')\n"
        "    hard = resource.getrlimit(number)[1]\n"
        "    assert hard >= 0, name\n"
        "    probe(name, lambda: resource.setrlimit(number, (hard + 1, hard + 1)) or name)"
    ),
    # Reading what is not its own
    "secrets_in_files": probing(
        "for path in ({secret!r}, '/etc/shadow', '/etc/passwd', '/etc/hostname', '/proc/1/root', '/sys', '/run',\n"
        "    '/var', '/home', '/root/.ssh', '/dev/mem', '/dev/kmsg', '/dev/vda', '/dev/tty', '/dev/kvm'):\n"
        "    probe(path, lambda: os.listdir(path) if os.path.isdir(path) else open(path, 'rb').read(9))"
    ),
    "environment": probing(
        "probe('environment', lambda: [k for k, v in os.environ.items() if {secret_text!r} in v] or None)\n"
        "probe('number', lambda: None if len(os.environ) < 13 else dict(os.environ))"
    ),
    "proc_of_parents": probing(
        "probe('proc', lambda: os.listdir('/proc') or None)\n"
        "probe('environ', lambda: open('/proc/self/environ').read())\n"
        "probe('mem', lambda: open('/proc/1/mem', 'rb'))\n"
        "probe('uncover', lambda: syscall(39 if arm else 166, b'/proc', 2))"
    ),
    "symlinks_out": probing(
        "os.symlink({secret!r}, 'link')\n"
        "os.symlink('/proc/1/root', 'root')\n"
        "probe('read', lambda: open('link').read())\n"
        "probe('write', lambda: open('link', 'w').write('gone'))\n"
        "probe('list', lambda: os.listdir('root'))"
    ),
    "tracing": probing(
        "parent = os.getppid()\n"
        "probe('ptrace', lambda: syscall(117 if arm else 101, 16, 1, 0, 0))\n"
        "probe('process_vm_readv', lambda: syscall(270 if arm else 310, 1, 0, 0, 0, 0, 0))\n"
        "probe('pidfd_getfd', lambda: syscall(438, os.pidfd_open(1), 0, 0))\n"
        "probe('kcmp', lambda: syscall(272 if arm else 312, 1, 1, 0, 0, 0))"
    ),
    # Changing what is not its own
    "writing_outside": probing(
        "for folder in ('/', '/usr', '/usr/bin', '/dev', '/keeper', '/keeper/purify/sandbox/inside', '/etc', '/root',\n"
        "    '/proc', os.path.dirname(os.__file__), os.path.dirname(__import__('numpy').__file__)):\n"
        "    probe(folder, lambda: open(folder + '/planted', 'w'))\n"
        "    probe(folder, lambda: os.mkdir(folder + '/planted') or folder)\n"
        "    probe(folder, lambda: os.chmod(folder, 0o777) or folder)\n"
        "probe('module', lambda: open(os.__file__, 'a'))\n"
        "probe('runner', lambda: open('/keeper/purify/sandbox/inside/runner.py', 'a'))"
    ),
    "mounting": probing(
        "number = 40 if arm else 165\n"
        "probe('tmpfs', lambda: syscall(number, b'x', b'/tmp', b'tmpfs', 0, 0))\n"
        "probe('writable', lambda: syscall(number, 0, b'/usr', 0, 32, 0))\n"
        "probe('unmount', lambda: syscall(39 if arm else 166, b'/tmp', 2))\n"
        "probe('pivot_root', lambda: syscall(41 if arm else 155, b'/tmp', b'/tmp'))\n"
        "probe('open_tree', lambda: syscall(428, -100, b'/', 1))\n"
        "probe('fsopen', lambda: syscall(430, b'tmpfs', 0))\n"
        "probe('chroot', lambda: os.chroot('/tmp') or 1)\n"
        "probe('mknod', lambda: os.mknod('disk', 0o60666, os.makedev(8, 0)) or 1)"
    ),
    "new_namespaces": probing(
        "for flag in (0x20000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):\n"
        "    probe(hex(flag), lambda: syscall(97 if arm else 272, flag))\n"
        "    probe(hex(flag), lambda: syscall(220 if arm else 56, flag | 17, 0, 0, 0, 0))\n"
        "probe('clone3', lambda: syscall(435, bytes(88), 88))\n"
        "probe('setns', lambda: syscall(268 if arm else 308, 0, 0))"
    ),
    "becoming_root": probing(
        "probe('setuid', lambda: os.setuid(0) or 1)\n"
        "probe('setgid', lambda: os.setgid(0) or 1)\n"
        "probe('setgroups', lambda: os.setgroups([0]) or 1)\n"
        "import subprocess\n"
        "probe('su', lambda: subprocess.run(['su', '-c', 'id'], capture_output=True).returncode == 0 or None)"
    ),
    "kernel_interfaces": probing(
        "for name, x86, generic in (('bpf', 321, 280), ('perf_event_open', 298, 241), ('keyctl', 250, 219),\n"
        "    ('add_key', 248, 217), ('userfaultfd', 323, 282), ('io_uring_setup', 425, 425), ('io_setup', 206, 0),\n"
        "    ('kexec_load', 246, 104), ('init_module', 175, 105), ('memfd_secret', 447, 447), ('quotactl', 179, 60),\n"
        "    ('name_to_handle_at', 303, 264), ('open_by_handle_at', 304, 265), ('personality', 135, 92),\n"
        "    ('seccomp', 317, 277), ('landlock', 444, 444), ('syslog', 103, 116), ('reboot', 169, 142),\n"
        "    ('settimeofday', 164, 170), ('sethostname', 170, 161), ('swapon', 167, 224), ('future', 600, 600)):\n"
        "    probe(name, lambda: syscall(generic if arm else x86, 0, 0, 0, 0, 0))"
    ),
    "typing_into_a_terminal": probing(
        "import fcntl, pty\n"
        "probe('pty', pty.openpty)\n"
        "for fd in (0, 1, 2):\n"
        "    for number in (0x5412, 0x541c):\n"
        "        probe(number, lambda: fcntl.ioctl(fd, number, b'x'))"
    ),
    # Reaching others
    "loopback_tcp": probing(
        "import socket\n"
        "probe('connect', lambda: socket.create_connection(('127.0.0.1', {port}), 1))\n"
        "probe('listen', lambda: socket.create_server(('127.0.0.1', 0)))"
    ),
    "loopback_udp": probing(
        "import socket\n"
        "probe('udp', lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {port})))\n"
        "probe('udp6', lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b'x', ('::1', {port})))\n"
        "probe('netlink', lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))\n"
        "probe('resolve', lambda: socket.gethostbyname('example.org'))"
    ),
    "abstract_sockets": probing(
        "import socket\n"
        "probe('connect', lambda: socket.socket(socket.AF_UNIX).connect('\\0{abstract}') or 1)\n"
        "probe('bind', lambda: socket.socket(socket.AF_UNIX).bind('\\0mine') or 1)"
    ),
    "killing_others": Attack(
        "import os, signal\nfor pid in (1, -1, *range(3, 300)):\n"
        "    try: os.kill(pid, signal.SIGKILL)\n    except OSError: pass\nprint('contained')",
        ("ok", None),
        CONTAINED,
    ),
    "killing_its_process_group": Attack("import os\nos.kill(0, 9)", ("error", "signal_SIGKILL"), ""),
    "message_queues": probing(
        "probe('semget', lambda: syscall(190 if arm else 64, 5, 1, 0o1600))\n"
        "probe('msgget', lambda: syscall(186 if arm else 68, 5, 0o1600))\n"
        "probe('mq_open', lambda: syscall(180 if arm else 240, b'x', 66, 384, 0))"
    ),
    "preloaded_library": probing(
        "import subprocess\n"
        "open('evil.so', 'wb').write(b'\\x7fELF')\n"
        "os.environ['LD_PRELOAD'] = '/tmp/evil.so'\n"
        "done = subprocess.run([sys.executable, '-c', 'import os; print(os.getuid(), os.listdir(\"/proc\"))'],\n"
        "    capture_output=True, text=True)\n"
        "assert done.stdout == '1000 []\\n', done"
    ),
    # Outliving the call
    "daemon_holding_the_pipe": Attack(
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(60)\n"
        "    os._exit(0)\nos.wait()\nprint('end')",
        ("ok", None),
        "end\n",
    ),
    "daemon_thread": Attack(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\nprint('end')",
        ("ok", None),
        "end\n",
    ),
    "poisoning_modules": Attack(
        "import builtins, math, os, sympy, sys\nbuiltins.len = lambda x: 42\nmath.sqrt = sympy.factorint = print\n"
        "sys.modules['os'].listdir = lambda path: ['poisoned']\nos.environ['POISON'] = '1'\nsys.path[:] = []\n"
        "import ctypes\nctypes.memset(id(7) + 24, 9, 1)",
        ("ok", None),
        "",
    ),
    "leaving_files": Attack(
        "import os\nfor folder in ('/tmp', '/dev/shm'):\n    open(folder + '/left', 'w').write('x')\n"
        "open('sympy.py', 'w').write('print(1/0)')",
        ("ok", None),
        "",
    ),
    # Crashing
    "segfault": Attack("import ctypes\nctypes.string_at(0)", ("error", "signal_SIGSEGV")),
    "abort": Attack("import os\nos.abort()", ("error", "signal_SIGABRT")),
    "killing_itself": Attack("import os\nos.kill(os.getpid(), 9)", ("error", "signal_SIGKILL")),
    "deep_recursion": Attack("def f(): f()\nf()", ("error", "RecursionError")),
    "deeper_recursion": Attack(
        "import sys\nsys.setrecursionlimit(10 ** 9)\ndef f(x): return sorted([x], key=f)\nf(1)",
        ("error", "signal_SIGSEGV"),
    ),
    "huge_integer_text": Attack("print(10 ** 10 ** 5)", ("error", "ValueError"), ""),
    "bad_utf8": Attack("import os\nos.write(1, b'a\\xff\\xfeb')", ("ok", None), "a\ufffd\ufffdb"),
    "null_in_output": Attack("print('a\\0b')", ("ok", None), "a\0b\n"),
    "null_in_code": Attack("print(1)\0", ("error", NULL_IN_CODE), ""),
    "surrogate_in_code": Attack("print('\ud800')", ("error", "SyntaxError"), ""),
    "surrogate_in_output": Attack("print(chr(0xd800))", ("error", "UnicodeEncodeError")),
    # Lying about the end
    "leaving_early": forging("import os\nprint('fine')\nos._exit(0)\nassert False"),
    "leaving_after_a_failure": forging("import os\ntry: 1 / 0\nfinally: os._exit(0)"),
    "leaving_at_exit": forging("import atexit, os\natexit.register(os._exit, 0)\n1 / 0"),
    "leaving_by_another_program": forging("import os\nos.execv('/usr/bin/true', ['true'])"),
    "leaving_through_libc": forging("import ctypes\nctypes.CDLL(None).exit(0)"),
    "leaving_by_a_thread": forging(
        "import os, threading, time\nthreading.Thread(target=os._exit, args=(0,)).start()\ntime.sleep(5)"
    ),
    "writing_to_every_descriptor": forging(
        "import os\nfor fd in range(3, 200):\n    try: os.write(fd, b'+0 \\n')\n    except OSError: pass\nos._exit(0)"
    ),
    "writing_then_ending": forging("import os\nos.write(3, b'0 \\n')"),
    "closing_every_descriptor": forging("import os\nos.closerange(0, 200)"),
    "replacing_what_the_runner_calls": forging(
        "import atexit, builtins, json, os, sys, threading, traceback\n"
        "end = os._exit\nos._exit = lambda code: end(0)\nos.write = sys.excepthook = print = lambda *a, **k: None\n"
        "sys._getframe = json.dumps = builtins.isinstance = builtins.type = builtins.str = lambda *a: None\n"
        "sys.exit = quit = lambda *a: end(0)\nsys.stdout = sys.stderr = None\nraise ValueError",
    ),
    "an_exception_with_a_false_name": forging(
        "class Meta(type):\n    __name__ = property(lambda self: '')\n"
        "class Wrong(Exception, metaclass=Meta): pass\nraise Wrong",
        "Wrong",
    ),
    "calling_what_the_frames_hold": forging(
        "import os, sys\n"
        "class Ended:\n    exit_code, error_type = 0, None\n"
        "frame = sys._getframe()\n"
        "while frame:\n"
        "    for value in [*frame.f_locals.values(), *frame.f_globals.values()]:\n"
        "        for name in ('open', 'close', '_flush', 'run'):\n"
        "            for arguments in ((), (Ended,), (0,)):\n"
        "                if type(value).__module__.startswith('purify'):\n"
        "                    try: getattr(value, name)(*arguments)\n"
        "                    except BaseException: pass\n"
        "    frame = frame.f_back\n"
        "os._exit(0)"
    ),
    "searching_all_objects_for_the_token": forging(
        "import gc, os, sys\n"
        "gc.unfreeze()\n"
        "def found(top):\n"
        "    seen, left = set(), list(top)\n"
        "    while left:\n"
        "        value = left.pop()\n"
        "        if id(value) in seen: continue\n"
        "        seen.add(id(value))\n"
        "        if type(value) is bytes and len(value) == 16: yield value\n"
        "        if type(value) is str and len(value) == 32:\n"
        "            try: yield bytes.fromhex(value)\n"
        "            except ValueError: pass\n"
        "        if len(seen) < 300000: left.extend(gc.get_referents(value))\n"
        "frames = []\n"
        "frame = sys._getframe()\n"
        "while frame: frames.append(frame); frame = frame.f_back\n"
        "for token in list(found(frames + gc.get_objects())): os.write(3, token + b'0 \\n')\n"
        "os._exit(0)"
    ),
    "running_the_exit_handlers": forging("import atexit, os\natexit._run_exitfuncs()\nos._exit(0)"),
    "going_on_in_a_child": forging("import os, time\nif os.fork():\n    time.sleep(0.2)\n    os._exit(0)"),
}
