"""Calls that reach past the names of a kernel: files, processes, global settings, code that syntax cannot see through.

Judged by the dotted name of the callee with imports resolved (`np.random.seed` is `numpy.random.seed`), so a write
through a function that is on no list passes. Plain plotting and printing count as nothing.

Try it: `python -c "import ast; from purify.saar.kernel.outside import *; print(reach('os.remove', ast.Call()))"`
"""

from __future__ import annotations

import ast
import re

_WRITES = frozenset(
    ["commit", "dump", "hardlink_to", "mkdir", "rmdir", "save", "save_model", "save_pretrained", "savefig", "savetxt",
     "savez", "savez_compressed", "symlink_to", "to_csv", "to_excel", "to_feather", "to_hdf", "to_parquet", "to_pickle",
     "to_sql", "tofile", "touch", "unlink", "urlretrieve", "write_bytes", "write_text"]
)  # fmt: skip
_WRITES_IF_GIVEN_A_PATH = frozenset(["to_html", "to_json", "to_latex", "to_markdown", "to_string", "to_xml"])
_MODULES = frozenset(
    [
        "atexit",
        "ctypes",
        "multiprocessing",
        "shutil",
        "signal",
        "socket",
        "sqlite3",
        "subprocess",
        "tempfile",
        "threading",
    ]
)
_OS = frozenset(
    ["chdir", "chmod", "fork", "kill", "link", "makedirs", "mkdir", "popen", "putenv", "remove", "removedirs", "rename",
     "renames", "replace", "rmdir", "symlink", "system", "truncate", "umask", "unlink", "unsetenv", "utime", "write"]
)  # fmt: skip
_SETTINGS = frozenset(
    ["basicConfig", "filterwarnings", "init_printing", "init_session", "manual_seed", "reset_option", "resetwarnings",
     "seed", "set_default_dtype", "set_int_max_str_digits", "set_option", "set_printoptions", "set_state", "setcontext",
     "seterr", "setlocale", "setrecursionlimit", "setstate", "simplefilter"]
)  # fmt: skip
SEEDS = frozenset(["seed", "manual_seed"])
_OWN_GENERATOR = frozenset(["Generator", "Random", "RandomState", "SystemRandom", "default_rng"])
_MODE = re.compile("[rwaxbtU+]{1,4}")

OPAQUE = frozenset(
    ["__import__", "compile", "delattr", "eval", "exec", "get_ipython", "globals", "locals", "setattr", "vars"]
)
"""Builtins that bind or read names which the syntax does not show."""


def reach(name: str, call: ast.Call, seeded: bool = False) -> str | None:
    """What a call of the function with this dotted name touches outside the namespace, or None.

    `seeded`: a seed was set before, so that drawing a random number changes what later draws give.
    """
    root, last = name.partition(".")[0], name.rpartition(".")[2]
    if last in _SETTINGS or (root == "matplotlib" and last == "use"):
        return f"changes settings ({name})"
    if last == "open" and _opens_for_writing(name, call):
        return f"writes files ({name})"
    if last in _WRITES or (last in _WRITES_IF_GIVEN_A_PATH and _has_path(call)) or (root == "os" and last in _OS):
        return f"writes files ({name})"
    if root in _MODULES and name != root:
        return f"acts outside the kernel ({name})"
    if seeded and name.startswith(("random.", "numpy.random.")) and last not in _OWN_GENERATOR:
        return f"draws random numbers after a seed ({name})"
    if name == "importlib.import_module" or name == "importlib.reload":
        return f"cannot be analysed ({name})"
    return None


def _opens_for_writing(name: str, call: ast.Call) -> bool:
    """`open(path, mode)`; as a method (`path.open(mode)`, `gzip.open(path, mode)`) the mode is first or second."""
    modes = [word.value for word in call.keywords if word.arg == "mode"] or call.args[1:2]
    if any(not isinstance(mode, ast.Constant) for mode in modes):
        return True
    if name != "open":
        modes = [*modes, *call.args[:1]]
    texts = [mode.value for mode in modes if isinstance(mode, ast.Constant) and isinstance(mode.value, str)]
    return any(_MODE.fullmatch(text) and set(text) & set("wax+") for text in texts)


def _has_path(call: ast.Call) -> bool:
    return bool(call.args) or any(word.arg in ("path_or_buf", "buf", "path_or_buffer") for word in call.keywords)
