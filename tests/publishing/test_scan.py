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


OTHER_KEYS = {
    "secret:aws_secret_key": "AWS_SECRET_ACCESS_KEY=" + "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzzzzzKEYX",
    "secret:aws_session_token": "aws_session_token = " + "IQoJb3JpZ2luX2VjEaB3/" * 8,
    "secret:private_key": "-----BEGIN ENCRYPTED " + "PRIVATE KEY-----",
    "secret:sk_key": "sk-" + "ab12" * 8,
    "secret:openrouter": "sk-or-v1-" + "ab12" * 16,
    "secret:groq": "gsk_" + "aB3d" * 13,
    "secret:xai": "xai-" + "aB3d" * 20,
    "secret:nvidia": "nvapi-" + "aB3d" * 16,
    "secret:perplexity": "pplx-" + "ab3D" * 12,
    "secret:tavily": "tvly-dev-" + "aB3d" * 8,
    "secret:replicate": "r8_" + "aB3d" * 9 + "a",
    "secret:wandb": "WANDB_API_KEY=" + "ab12" * 10,
    "secret:google_oauth": "ya29." + "aB3d_" * 20,
    "secret:huggingface": "hf_oauth_" + "eyJhbGciOiJFZERTQSJ9." + "aB3d" * 15,
    "secret:npm_token": "npm_" + "aB3d" * 9,
    "secret:discord_webhook": "https://discord.com/api/webhooks/" + "123456789012345678/" + "aB3d" * 17,
    "secret:azure_sas": "?sv=2020-08-04&ss=b&sig=" + "aB3d%2B" * 8,
    "secret:bearer": 'curl -H "Authorization: Bearer ' + "aB3dE5" * 8 + '"',
    "secret:basic": "authorization: Basic " + "YW5uYTpnZWhlaW03Nw==",
    "secret:docker_auth": '"auth": "' + "YW5uYTpnZWhlaW03Nw==" + '"',
    "secret:netrc": "machine api.bank.de login anna password " + "geheim77xyz",
    "secret:curl_user": "curl -s -u anna:" + "geheim77 https://x",
    "secret:gitlab_token": "glpat-" + "aB3d-" * 4,
}


@pytest.mark.parametrize("kind", OTHER_KEYS)
def test_keys_of_other_services(kind: str) -> None:
    assert kinds(OTHER_KEYS[kind]) == {kind}
    assert kinds(f"Set\n{OTHER_KEYS[kind]}\nand go on") == {kind}


def test_the_whole_token_is_the_finding() -> None:
    one, other = "ghp_" + "aB3" * 12, "gho_" + "cD4" * 12
    assert list(DETECTORS["secret:github_token"](f"{one} and {other}")) == [one, other]
    assert list(DETECTORS["secret:gitlab_token"]("glpat-" + "aB3d-" * 4)) == ["glpat-" + "aB3d-" * 4]


@pytest.mark.parametrize(
    ("address", "password"),
    [
        ("postgres://anna:ge:heim77@db.bank.de/x", "ge:heim77"),
        ("postgres://anna:ge/heim77@db.bank.de/x", "ge/heim77"),
        ("redis://:geheim77@db.bank.de:6379/0", "geheim77"),
        ("POSTGRES://anna:geheim77@db.bank.de/x", "geheim77"),
    ],
)
def test_passwords_in_addresses(address: str, password: str) -> None:
    assert list(DETECTORS["secret:basic_auth"](address)) == [password]


@pytest.mark.parametrize("kind", PLANTED)
@pytest.mark.parametrize("before", ["word", "GET / 200", "200.", "SSN", "a\n"])
def test_each_is_found_at_the_start_of_a_line(kind: str, before: str) -> None:
    assert kind in kinds(f"{before}\n{PLANTED[kind]}")


@pytest.mark.parametrize(
    "text",
    [
        "https://crm.bank.de/u/anna.schmidt@bank.de",
        "GET /users/anna.schmidt@bank.de HTTP/1.1",
        "/home/anna.schmidt@bank.de/x",
        "user#anna.schmidt@bank.de",
        "https://api.bank.de/users?email=anna.schmidt@bank.de&x=1",
    ],
)
def test_an_address_in_a_path_is_found_without_the_path(text: str) -> None:
    assert list(DETECTORS["personal:email"](text)) == ["anna.schmidt@bank.de"]


ESCAPED = {kind: value for kind, value in PLANTED.items() if kind not in ("secret:basic_auth", "personal:iban")}


def found_in(folder: Path, result: str) -> list[tuple[str, str, str]]:
    rows = [trajectory(step(call("a"), result=result))]
    findings = audit(write_dataset(folder, rows), PublishConfig()).findings
    return [(one.field, one.kind, one.masked) for one in findings]


def test_what_stands_in_escaped_text_is_found_once_with_its_place(tmp_path: Path) -> None:
    place = "steps[0].observation.messages[0].content"
    lines = "\n".join(["ls", *ESCAPED.values(), "end"])
    expected = {(place, kind, mask(value)) for kind, value in ESCAPED.items() if kind != "secret:private_key"}
    expected.add((place, "secret:private_key", mask("BEGIN RSA " + "PRIVATE KEY")))
    for number, result in enumerate((lines, json.dumps({"out": lines}), repr(lines), json.dumps(json.dumps([lines])))):
        found = found_in(tmp_path / str(number), result)
        assert set(found) == expected and len(found) == len(expected)


def test_a_colour_is_no_letter_of_a_token(tmp_path: Path) -> None:
    for number, colour in enumerate(("\x1b[32m", r"\x1b[32m", r"\u001b[0;32m", r"\033[1m")):
        found = found_in(tmp_path / str(number), f"key {colour}{PLANTED['secret:huggingface']}{colour}")
        assert [kind for _, kind, _ in found] == ["secret:huggingface"]


def test_options_of_a_stage_are_looked_at(tmp_path: Path) -> None:
    options = {"of": {"config": {"system": "Ask anna.schmidt@bank.de"}}, "title": "x"}
    rows = write_dataset(tmp_path / "raw", [trajectory(step(call("a")))])
    (finding,) = audit(rows, PublishConfig(), options=options).findings
    assert (finding.row, finding.trajectory_id, finding.kind) == (None, None, "personal:email")
    assert finding.field == "manifest.json config.of.config.system"


def test_other_ways_to_write_a_number() -> None:
    assert kinds("Tel. 030 901820 or mobile: 0171 2345678") == {"personal:phone"}
    assert kinds("0049 30 901820") == kinds("1-212-456-7890") == {"personal:phone"}
    assert kinds("4111111111111111,4242424242424242\n") == {"personal:card"}
    assert kinds("4111\u00a01111\u00a01111\u00a01111") == kinds("4111.1111.1111.1111") == {"personal:card"}
    assert kinds("de89370400440532013000") == kinds("de89 3704 0044 0532 0130 00") == {"personal:iban"}
    assert kinds("SSN: 536904399") == {"personal:ssn"}
    assert kinds("http://5.9.12.200:8080 and host=5.9.12.200") == {"personal:ip"}
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
        "0.4111111111111111 and 3.4111111111111111 and [4111111111111111, 4242424242424241]",
        "4111111111111112 and 9111111111111111",
        "2147483647 6502530000 2124567890 and [212, 456, 7890] 212 456 7890",
        "(212) 555-0187 or +1 212 555 0100",
        "1e-5 0.1.2 v1.2 3.14159 1.2.3",
        "numpy 1.26.4.1 opencv-python==4.10.0.84 Section 4.3.2.1 version 91.0.44.12 Chrome/91.0.4472.124",
        "git@github.com:a/b.git noreply@bank.de no-reply@mail.bank.de DoNotReply@bank.de",
        "https://registry.npmjs.org:443/@babel/core http://localhost:4873/@x/y https://host.bank.de:8080/@a.b/c",
        "postgres://postgres:postgres@db:5432/x curl -u admin:admin https://db.bank.de curl -u $USER:$PASSWORD",
        "hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "task-0123456789abcdef0123456789abcdef",
        "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "Authorization: Bearer $TOKEN Authorization: Bearer <your_access_token_here> Authorization: Basic realm",
        "Authorization: Basic dXNlcjpwYXNzd29yZA==",  # user:password
        '{"auth": "aGVsbG8gd29ybGQ="} machine learning login x password',
        "phone = 1234567890, Tel. 2024, SSN: 123456789, telephone: 000000000",
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
    ("family", "expected"),
    [
        ("mathcoder", {}),
        ("mint", {}),
        ("tora", {}),
        ("tau-bench", {"personal:email": 1}),
        ("nemo-gym", {}),
        ("sharegpt", {"personal:email": 22, "personal:ip": 3}),
        ("adp", {"personal:email": 15}),
        ("swe-agent", {}),
        ("inspect", {}),
    ],
)
def test_real_rollouts_drown_nobody_in_findings(family: str, expected: dict[str, int], tmp_path: Path) -> None:
    """The one of tau-bench is a real address at a public provider among 1,800 reserved ones.

    ShareGPT's are of real hosts, and of made-up firms at domains that somebody owns; ADP's is an agent's own.
    """
    raw = import_dump(dump(family), tmp_path / "raw").dataset
    assert audit(raw, PublishConfig(near_duplicates=0)).counts() == expected
