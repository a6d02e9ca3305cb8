"""What the detectors find, and what they leave alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from purify.importing import import_dump
from purify.publishing.audit import audit
from purify.publishing.config import KINDS, PublishConfig
from purify.publishing.personal import personal_detectors, reserved_host
from purify.publishing.scan import mask
from purify.publishing.secrets import may_hold_secrets, secret_detectors
from purify_schemas import Call, Message
from tests.publishing.support import purified, row
from tests.support import call, dump, step, trajectory, write_dataset

# Put together here, so that no scanner takes this file for a leak.
PLANTED = {
    "secret:aws": "AKIA" + "QWERTYUIOP123456",
    "secret:github_token": "ghp_" + "aB3" * 12,
    "secret:github_fine_grained": "github_pat_" + "a1" * 41,
    "secret:huggingface": "hf_" + "aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeFgH",
    "secret:anthropic": "sk-ant-" + "api03-" + "aB3-" * 24,
    "secret:openai": "sk-" + "aB3cD4eF5gH6iJ7kL8mN" + "T3Blbk" + "FJ" + "aB3cD4eF5gH6iJ7kL8mN",
    "secret:openai_project": "sk-proj-" + "aB3cD_4eF-" * 7 + "T3Blbk" + "FJ" + "-aB3cD4eF_" * 7,
    "secret:google_api_key": "AIza" + "aB3-_" * 7,
    "secret:private_key": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "secret:slack": "xoxb-" + "123456789012-123456789012-aBcDeFgHiJkLmNoPqRsTuVwX",
    "secret:basic_auth": "https://anna:" + "geheim77@db.bank.de/x",
    "personal:email": "anna.schmidt@bank.de",
    "personal:phone": "(212) 456-7890",
    "personal:card": "4111 1111 1111 1111",
    "personal:iban": "DE89 3704 0044 0532 0130 00",
    "personal:ssn": "536-90-4399",
    "personal:ip": "81.2.69.142",
}
DETECTORS = secret_detectors() | personal_detectors()


def kinds(text: str) -> set[str]:
    return {
        kind
        for kind, detect in DETECTORS.items()
        if (kind.startswith("personal") or may_hold_secrets(text)) and list(detect(text))
    }


@pytest.mark.parametrize("kind", PLANTED)
def test_each_is_found_alone_and_in_a_sentence(kind: str) -> None:
    # What stands before the host of an address looks like an e-mail address as well.
    expected = {kind, "personal:email"} if kind == "secret:basic_auth" else {kind}
    assert kinds(PLANTED[kind]) == expected
    assert kinds(f"I will use {PLANTED[kind]} here.") == expected
    assert kinds(f'x = "{PLANTED[kind]}"\n') == expected
    assert kinds(f"Anna,{PLANTED[kind]},2025") == expected


def test_other_ways_to_write_a_number() -> None:
    assert kinds("call +44 20 7946 0958 now") == {"personal:phone"}
    assert kinds("or 212-456-7890") == {"personal:phone"}
    assert kinds("pay with 4111111111111111") == {"personal:card"}
    assert kinds("2a00:1450:4001:81b::200e") == {"personal:ip"}


@pytest.mark.parametrize(
    "text",
    [
        "write to anna@example.com, root@localhost, a@mail.example.org or x@site.test",
        "http://127.0.0.1:8080/ 10.0.0.1 192.168.1.7 172.16.0.3 ::1 fe80::1 203.0.113.9",
        "route 8.8.8.0/24 and 31.13.24.0/21",
        "https://user:secret@example.com/ postgres://me:pw@localhost:5432/db",
        "https://${USER}:${PASSWORD}@db.bank.de/",
        "0.4111111111111111 and 3.4111111111111111 and [4111111111111111, 4242424242424242]",
        "4111111111111112 and 9111111111111111",
        "2147483647 6502530000 2124567890 and [212, 456, 7890] 212 456 7890",
        "(212) 555-0187 or +1 212 555 0100",
        "1e-5 0.1.2 v1.2 3.14159 1.2.3",
        "536904399 and 2536-90-43990",
        "d41d8cd98f00b204e9800998ecf8427e da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "U29tZSBiYXNlNjQgdGV4dCB0aGF0IGlzIG5vIHNlY3JldCBhdCBhbGw=",
        "password = 'hello' ; api_key = os.environ['KEY']; def __init__(self): pass @property",
        "APCalculus123 and x[12:34:56] at 12:34:56 std::vector a::b 2024-01-02T03:04:05",
        "550e8400-e29b-41d4-a716-446655440000",
        "sympy.core.numbers:Float:precision=53 https://docs.python.org/3/library/re.html#re.sub",
    ],
)
def test_what_only_looks_like_one_is_left_alone(text: str) -> None:
    assert kinds(text) == set()


def test_hosts_that_belong_to_nobody() -> None:
    assert all(map(reserved_host, ["example.com", "a.example.net.", "LOCALHOST", "x.test", "10.1.2.3", "::1"]))
    assert not any(map(reserved_host, ["myexample.com", "example.company", "8.8.8.8", "bank.de"]))


def test_a_mask_shows_no_secret() -> None:
    assert mask("AKIAQWERTY") == "AK… (10 characters)"
    assert mask("abcdef") == "… (6 characters)"


def test_every_field_is_looked_at_and_places_are_exact(tmp_path: Path) -> None:
    mail = "anna.schmidt@bank.de"
    clean_row = trajectory(step(call("a")), id="clean")
    planted = trajectory(
        step(
            Call(name="send", arguments=json.dumps({"to": f"\n{mail}", "list": [mail]}), status="error"),
            think=f"think {mail}",
            result=f"sent to {mail}",
        ),
        step(Call(name="send", arguments="{}", status="ok"), raw=f"<call>{mail}", human=f"I am {mail}"),
        id="planted",
        states={"send": "stateless"},
    ).model_copy(
        update={
            "messages": [Message(role="system", content=f"Ask {mail}", extra=json.dumps({"by": mail}))],
            "tools": json.dumps([{"function": {"name": "send", "description": f"As {mail}"}}]),
            "answer": mail,
            "extra": json.dumps({"user": {mail: 1, "mail": mail}}),
        }
    )
    found = audit(write_dataset(tmp_path / "raw", [clean_row, planted]), PublishConfig())
    assert {(one.row, one.trajectory_id, one.kind) for one in found.findings} == {(1, "planted", "personal:email")}
    assert [one.field for one in found.findings] == [
        "messages[0].content",
        "messages[0].extra.by",
        "tools[0].function.description",
        "steps[0].reasoning.text",
        "steps[0].calls[0].arguments.to",
        "steps[0].calls[0].arguments.list[0]",
        "steps[0].observation.messages[0].content",
        "steps[1].action.text",
        "steps[1].observation.messages[1].content",
        "answer",
        "extra.user.#0 (the key)",
        "extra.user.mail",
    ]
    assert mail not in found.model_dump_json() and found.counts() == {"personal:email": 12}


def test_json_of_any_depth_is_read(tmp_path: Path) -> None:
    deep = "[" * 900 + '"anna.schmidt@bank.de"' + "]" * 900
    rows = [trajectory(step(call("a"))).model_copy(update={"extra": deep})]
    (finding,) = audit(write_dataset(tmp_path / "raw", rows), PublishConfig()).findings
    assert (finding.field, finding.kind) == ("extra", "personal:email")


def test_what_an_edit_took_out_is_looked_at(tmp_path: Path) -> None:
    leaky = row(0).model_copy(
        update={"steps": [step(call(f"prin('{PLANTED['secret:aws']}')", "error")), step(call("print('x')"))]}
    )
    found = audit(purified(tmp_path, [leaky]), PublishConfig())
    assert [(one.field, one.kind) for one in found.findings] == [
        ("provenance.edits[0].removed[0].calls[0].arguments.code", "secret:aws")
    ]


def test_kinds_are_what_the_detectors_are_called() -> None:
    assert tuple(DETECTORS) == KINDS


@pytest.mark.parametrize(
    ("family", "expected"), [("mathcoder", {}), ("mint", {}), ("tau-bench", {"personal:email": 1})]
)
def test_real_rollouts_drown_nobody_in_findings(family: str, expected: dict[str, int], tmp_path: Path) -> None:
    """The one of tau-bench is a real address at a public provider among 1,800 reserved ones."""
    raw = import_dump(dump(family), tmp_path / "raw").dataset
    assert audit(raw, PublishConfig(near_duplicates=0)).counts() == expected
