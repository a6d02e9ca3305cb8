"""States of tools that are known by name, where neither the importer nor the user says more.

Only names that mean one thing wherever they occur. `python` is not among them: some harnesses run it in a fresh
process, some in a kernel.
"""

from __future__ import annotations

from collections.abc import Mapping

from purify_schemas.names import ToolStateName

KNOWN_STATES: Mapping[str, ToolStateName] = {
    # NeMo-Gym resources_servers/ns_tools: "a stateful Jupyter notebook environment"; math_with_code and
    # python_math_exec: one process a session, "keeping globals between calls"; OpenHands' IPython tool.
    **dict.fromkeys(("stateful_python_code_exec", "execute_python", "execute_ipython_cell"), "python_kernel"),
    # Shells: OpenHands, SWE-agent, inspect, Hermes, Terminus 2.
    **dict.fromkeys(
        ("bash", "bash_command", "execute_bash", "shell", "terminal", "process", "run_command"), "external"
    ),
    # Files: OpenHands, SWE-agent, Hermes.
    **dict.fromkeys(("str_replace_editor", "str_replace_based_edit_tool", "edit_file", "create_file"), "external"),
    **dict.fromkeys(("read_file", "write_file", "patch", "apply_patch", "search_files"), "external"),
    # Hermes: scripts that can call the shell and files, and a store of skills.
    **dict.fromkeys(("execute_code", "skill_manage"), "external"),
}
