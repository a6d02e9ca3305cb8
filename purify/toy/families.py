"""The nine families of tasks: three of arithmetic, one told as a story, three of lists, two of strings.

Strings are codes of digits: a policy this small copies digits long before it copies words.

A family is data: how a task is asked, programs that solve it, and programs that go wrong. `slips` run and print a wrong
answer (for most draws: whoever uses one looks at what it prints), `failures` raise. Programs are templates, filled
with the values of a task; they use no state of an earlier call.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

Values = dict[str, Any]

PRIMES = (23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97)
"""Larger than every base: then one factor more or less always changes the remainder."""
NAMES = ("Ada", "Ben", "Cleo", "Dan", "Eva", "Finn")


class Family(NamedTuple):
    """One kind of task. All texts are `str.format` templates over the drawn values."""

    name: str
    draw: Callable[[Random], Values]
    solve: Callable[[Values], Any]
    """The answer, found without running any of the programs."""
    questions: tuple[str, ...]
    thoughts: tuple[str, ...]
    programs: tuple[str, ...]
    slips: tuple[str, ...]
    failures: tuple[str, ...]


def _power(random: Random) -> Values:
    return {"a": random.randint(2, 19), "b": random.randint(3, 12), "m": random.choice(PRIMES)}


def _multiples(random: Random) -> Values:
    k = random.randint(3, 9)
    a, b = random.randint(1, 30), random.randint(7, 20) * k
    return {"a": a, "b": b, "k": k}


def _product(random: Random) -> Values:
    return {"a": random.randint(12, 99), "b": random.randint(12, 99)}


def _shopping(random: Random) -> Values:
    numbers = {name: random.randint(2, 19) for name in "abpq"}
    return {"who": random.choice(NAMES), **numbers}


def _numbers(random: Random) -> Values:
    return {"xs": random.sample(range(1, 60), random.randint(4, 6))}


def _code(random: Random) -> Values:
    return {"w": "".join(random.choices("0123456789", k=random.choice((5, 7))))}


def _code_and_digit(random: Random) -> Values:
    code = _code(random)
    return {**code, "c": random.choice(code["w"])}


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            "power",
            _power,
            lambda v: pow(v["a"], v["b"], v["m"]),
            ("What is {a} to the power {b} modulo {m}?", "Find the remainder of {a} to the power {b} divided by {m}."),
            ("I take the power and the remainder.", "Python can compute this power."),
            ("print({a} ** {b} % {m})", "x = 1\nfor i in range({b}):\n    x = x * {a} % {m}\nprint(x)"),
            ("print({a} * {b} % {m})", "x = 1\nfor i in range({b} - 1):\n    x = x * {a} % {m}\nprint(x)"),
            ("print(math.pow({a}, {b}) % {m})", "print(pow({a}, '{b}', {m}))"),
        ),
        Family(
            "multiples",
            _multiples,
            lambda v: v["b"] // v["k"] - (v["a"] - 1) // v["k"],
            (
                "How many numbers from {a} to {b} are divisible by {k}?",
                "Count the multiples of {k} from {a} to {b}, both included.",
            ),
            ("I count the multiples in a loop.", "I test every number of the range."),
            (
                "n = 0\nfor x in range({a}, {b} + 1):\n    if x % {k} == 0:\n        n += 1\nprint(n)",
                "print(len([x for x in range({a}, {b} + 1) if x % {k} == 0]))",
            ),
            (
                "n = 0\nfor x in range({a}, {b}):\n    if x % {k} == 0:\n        n += 1\nprint(n)",
                "print(len([x for x in range({a}, {b}) if x % {k} == 0]))",
            ),
            ("for x in range({a}, {b} + 1):\n    if x % {k} == 0:\n        n += 1\nprint(n)",),
        ),
        Family(
            "digits",
            _product,
            lambda v: sum(map(int, str(v["a"] * v["b"]))),
            ("What is the digit sum of {a} * {b}?", "Add the digits of {a} times {b}."),
            ("I multiply, then add the digits.", "I go through the digits of the product."),
            (
                "n = {a} * {b}\nprint(sum(int(d) for d in str(n)))",
                "n = {a} * {b}\ns = 0\nwhile n > 0:\n    s += n % 10\n    n //= 10\nprint(s)",
            ),
            (
                "n = {a} * {b}\nprint(len(str(n)))",
                "n = {a} * {b}\ns = 0\nwhile n > 9:\n    s += n % 10\n    n //= 10\nprint(s)",
            ),
            ("n = {a} * {b}\nprint(sum(d for d in str(n)))", "n = {a} * {b}\nprint(sum(int(d) for d in n))"),
        ),
        Family(
            "shopping",
            _shopping,
            lambda v: v["a"] * v["p"] + v["b"] * v["q"],
            (
                "{who} buys {a} pens at {p} coins and {b} books at {q} coins. How many coins is that?",
                "{who} has {a} bags of {p} nuts and {b} bags of {q} nuts. How many nuts is that?",
            ),
            ("I add the two products.", "Each kind first, then the total."),
            ("print({a} * {p} + {b} * {q})", "x = {a} * {p}\ny = {b} * {q}\nprint(x + y)"),
            ("print({a} + {p} * {b} + {q})", "x = {a} * {p}\ny = {b} + {q}\nprint(x + y)"),
            ("print(x + y)\nx = {a} * {p}\ny = {b} * {q}", "x = {a} * {p}\nprint(x + y)"),
        ),
        Family(
            "squares",
            _numbers,
            lambda v: sum(x * x for x in v["xs"]),
            ("What is the sum of the squares of {xs}?", "Square each number of {xs} and add them up."),
            ("I square each number and add.", "A sum over the list will do."),
            (
                "xs = {xs}\nprint(sum(x ** 2 for x in xs))",
                "xs = {xs}\ns = 0\nfor i in range(len(xs)):\n    s += xs[i] ** 2\nprint(s)",
            ),
            (
                "xs = {xs}\nprint(sum(x * 2 for x in xs))",
                "xs = {xs}\ns = 0\nfor i in range(1, len(xs)):\n    s += xs[i] ** 2\nprint(s)",
            ),
            (
                "xs = {xs}\ns = 0\nfor i in range(len(xs) + 1):\n    s += xs[i] ** 2\nprint(s)",
                "xs = {xs}\nprint(sum(xs ** 2))",
            ),
        ),
        Family(
            "second",
            _numbers,
            lambda v: sorted(v["xs"])[-2],
            ("What is the second largest number in {xs}?", "Which number of {xs} is largest but one?"),
            ("I sort and take the last but one.", "The list has to be in order first."),
            ("xs = {xs}\nxs.sort()\nprint(xs[-2])", "print(sorted({xs})[-2])"),
            ("xs = {xs}\nxs.sort()\nprint(xs[-1])", "print(sorted({xs})[1])"),
            (
                "xs = {xs}\nxs.sort()\nprint(xs[len(xs)])",
                "xs = {xs}\nprint(xs.sort()[-2])",
            ),
        ),
        Family(
            "descending",
            _numbers,
            lambda v: sorted(v["xs"], reverse=True),
            ("Sort {xs} from largest to smallest.", "Put {xs} in descending order."),
            ("I sort the list in reverse.", "Sorting it is one call."),
            ("xs = {xs}\nprint(sorted(xs, reverse=True))", "xs = {xs}\nxs.sort()\nprint(xs[::-1])"),
            ("xs = {xs}\nprint(sorted(xs))", "xs = {xs}\nprint(xs[::-1])"),
            (
                "xs = {xs}\nprint(sort(xs, reverse=True))",
                "xs = {xs}\nfor i in range(len(xs)):\n    if xs[i] < xs[i + 1]:\n        xs.sort()\nprint(xs[len(xs)])",
            ),
        ),
        Family(
            "occurrences",
            _code_and_digit,
            lambda v: sum(c == v["c"] for c in v["w"]),
            ("How often does '{c}' occur in '{w}'?", "Count the sign '{c}' in '{w}'."),
            ("I count the sign.", "I look at every sign of the text."),
            (
                "print('{w}'.count('{c}'))",
                "w = '{w}'\nn = 0\nfor x in w:\n    if x == '{c}':\n        n += 1\nprint(n)",
            ),
            ("print(len('{w}'))", "w = '{w}'\nn = 0\nfor x in w:\n    if x != '{c}':\n        n += 1\nprint(n)"),
            (
                "w = '{w}'\nprint(w.count({c}))",
                "w = '{w}'\nn = 0\nfor i in range(9):\n    if w[i] == '{c}':\n        n += 1\nprint(n)",
            ),
        ),
        Family(
            "backwards",
            _code,
            lambda v: "".join(reversed(v["w"])),
            ("Write '{w}' backwards.", "Reverse the text '{w}'."),
            ("A slice turns it around.", "I go through the text from its end."),
            ("print('{w}'[::-1])", "w = '{w}'\nprint(''.join(reversed(w)))"),
            ("print('{w}'[::1])", "w = '{w}'\nprint(''.join(sorted(w)))"),
            ("w = '{w}'\nprint(reversed(w) + '')", "w = '{w}'\nprint(w[len(w)])"),
        ),
    )
}
