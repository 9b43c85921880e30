"""Secrets are known by their names, wherever they stand; addresses lose what nobody should see."""

from collections import UserDict, namedtuple
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from middleware.logs.redaction import REDACTED, redact, redact_text, redact_url

MARK = "hunter2"
secrets = st.text(min_size=1).map(lambda text: f"{MARK}{text}")

SECRET_NAMES = """
    authorization Authorization proxy-authorization cookie Cookie set-cookie SET_COOKIE
    password db_password passwd user.passwd pwd secret client_secret secretKey token
    access_token accessToken X-Auth-Token api_key apikey apiKey x-api-key API_KEYS dsn
    sentry_dsn private_key privateKey session session_id PHPSESSIONID csrf_token
    credentials jwt aws_access_key auth
"""
PLAIN_NAMES = """
    event level logger timestamp author passed tokenizer keyboard_key route method status
    duration_ms inside trace_id span_id request_id client exception product_id
"""


@pytest.mark.parametrize("name", SECRET_NAMES.split())
def test_a_name_like_a_secrets_hides_any_value(name: str) -> None:
    shown = redact({name: MARK, "inner": [{name: {"deep": MARK}}, (name, MARK)], "headers": 1})

    assert shown == {
        name: REDACTED,
        "inner": [{name: REDACTED}, [name, REDACTED]],
        "headers": 1,
    }


@pytest.mark.parametrize("name", PLAIN_NAMES.split())
def test_other_names_hide_nothing(name: str) -> None:
    assert redact({name: "value"}) == {name: "value"}


@dataclass
class Login:
    user: str
    password: str
    unseen: str = field(repr=False, default=MARK)


Pair = namedtuple("Pair", "user password")  # what libraries return


@pytest.mark.parametrize(
    "value",
    [
        Login("ann", MARK),
        Pair("ann", MARK),
        UserDict({"user": "ann", "password": MARK}),
        {b"user": "ann", b"password": MARK},
        [{"user": "ann", "password": MARK}],
    ],
)
def test_secrets_are_found_in_whatever_has_names(value: object) -> None:
    shown = str(redact({"value": value}))

    assert MARK not in shown
    assert "ann" in shown


def test_the_headers_of_a_request_are_redacted_as_asgi_has_them() -> None:
    headers = [(b"host", b"example.org"), (b"cookie", b"id=1"), (b"referer", b"http://a/?q=1")]

    assert redact({"headers": headers})["headers"] == [
        [b"host", b"example.org"],
        ["cookie", REDACTED],
        ["referer", "http://a/?q=[redacted]"],
    ]


nested: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
        | st.tuples(inner, inner)
    ),
    max_leaves=10,
)


@given(secret=secrets, name=st.sampled_from(SECRET_NAMES.split()), around=st.data())
def test_no_secret_is_shown_wherever_it_stands(
    secret: str, name: str, around: st.DataObject
) -> None:
    value: Any = {name: around.draw(st.sampled_from([secret, [secret], {"x": secret}]))}
    for _ in range(around.draw(st.integers(0, 20))):
        beside = around.draw(nested)
        value = around.draw(
            st.sampled_from([{"a": value, "b": beside}, [beside, value], (value,), {1: value}])
        )

    assert MARK not in repr(redact({"value": value}))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("https://u:p@example.org:80/a", "https://[redacted]@example.org:80/a"),
        ("https://u@example.org", "https://[redacted]@example.org"),
        ("redis://:p@example.org/0", "redis://[redacted]@example.org/0"),
        ("https://example.org/@someone", "https://example.org/@someone"),
        ("https://[::1]:80/@someone", "https://[::1]:80/@someone"),
        ("postgres://u:p/w@h/db", "postgres://[redacted]@h/db"),
        ("postgres://u:p?w@h/db?a=1", "postgres://[redacted]@h/db?a=[redacted]"),
        ("/a?b=1&c=2&flag", "/a?b=[redacted]&c=[redacted]&flag"),
        ("/a?b=c=d;e=f", "/a?b=[redacted]"),
        ("/a#access_token=1", "/a#access_token=[redacted]"),
        ("", ""),
        ("not a url", "not a url"),
    ],
)
def test_a_url_keeps_its_place_and_its_names(url: str, shown: str) -> None:
    assert redact_url(url) == shown
    assert redact_url(shown) == shown


@given(user=st.text(), password=secrets, values=st.dictionaries(st.sampled_from("abc"), secrets))
def test_no_part_of_a_url_that_may_be_secret_is_shown(
    user: str, password: str, values: dict[str, str]
) -> None:
    userinfo = f"{quote(user, safe='')}:{quote(password, safe='')}"
    url = f"https://{userinfo}@example.org/path?{urlencode(values)}"

    shown = redact_url(url)

    assert MARK not in shown
    assert shown.startswith(f"https://{REDACTED}@example.org/path?")


class Address:
    """A library's own kind of URL."""

    def __str__(self) -> str:
        return f"https://u:{MARK}@h/?q={MARK}"


@pytest.mark.parametrize("name", ["url", "http.url", "database_url", "target", "Referer", "urls"])
@pytest.mark.parametrize(
    "wrap", [lambda url: url, lambda url: [url], lambda url: str(url).encode()]
)
def test_addresses_are_known_by_their_names(name: str, wrap: Any) -> None:
    url = wrap(Address())

    assert MARK not in repr(redact({name: url}))


def test_a_query_string_keeps_its_names() -> None:
    assert redact({"query_string": b"a=1&b=2"}) == {"query_string": "a=[redacted]&b=[redacted]"}


@pytest.mark.parametrize(
    "text", [f"cannot reach redis://:{MARK}@h:1/0 or http://u:{MARK}@h", f"x://{MARK}@h"]
)
def test_free_text_loses_the_userinfo_of_its_urls(text: str) -> None:
    assert MARK not in redact_text(text)
    assert MARK not in repr(redact({"event": text}))


def test_text_made_to_be_slow_is_not() -> None:
    for text in ("://" * 50_000, "://" + ":" * 100_000, "://" + "a" * 100_000, "=" * 100_000):
        redact_text(text)
        redact_url(text)
        redact({text: text, "url": text})


def test_a_circle_ends() -> None:
    circle: list[object] = []
    circle += [circle, circle, circle]
    names: dict[str, object] = {}
    names["again"] = names

    assert "[left out]" in repr(redact({"circle": circle, "names": names}))


def test_what_multiplies_itself_is_left_out() -> None:
    bomb: object = "x"
    for _ in range(14):
        bomb = [bomb] * 10

    assert len(repr(redact({"bomb": bomb, "after": {str(n): n for n in range(10)}}))) < 1_000_000


class Unreadable(UserDict[str, str]):
    """A container that raises."""

    def __len__(self) -> int:
        raise RuntimeError


def test_a_container_that_raises_costs_only_itself() -> None:
    shown = redact({"broken": Unreadable(), "fine": 1})

    assert shown == {"broken": "<Unreadable that cannot be read>", "fine": 1}


def test_what_is_redacted_is_a_copy() -> None:
    event = {"inner": {"password": MARK}}

    redact(event)

    assert event == {"inner": {"password": MARK}}
