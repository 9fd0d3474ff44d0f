"""Who gets an answer of the dashboard, and what every answer tells a browser to heed."""

import pytest

from hposweep.results.dashboard.listening import is_loopback
from results.dashboard.conftest import Dashboard, Serve

PATHS = ("/", "/api/sweeps", "/assets/list.js", "/sweep?id=x", "/nosuch")
NAVIGATION = {"Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}


@pytest.fixture(scope="module")
def open_one(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Dashboard:
    return serve(tmp_path_factory.mktemp("outputs"))


@pytest.fixture(scope="module")
def with_token(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Dashboard:
    return serve(tmp_path_factory.mktemp("outputs"), token="the-token")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "localhost:1", "127.1.2.3", "[::1]:8470"])
def test_names_of_this_machine_are_answered(open_one: Dashboard, host: str) -> None:
    assert open_one.ask("/", Host=host).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.com",
        "evil.com:80",
        "127.0.0.1.evil.com",
        "localhost.evil.com",
        "10.0.0.1",
        "0.0.0.0",
        "",
        "[",
        "a@localhost@evil.com",
        "localhost, evil.com",
    ],
)
def test_a_name_that_others_may_have_led_here_is_refused(open_one: Dashboard, host: str) -> None:
    assert {open_one.ask(path, Host=host).status for path in PATHS} <= {400, 403}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get"])
def test_nothing_but_reading_is_answered(open_one: Dashboard, method: str) -> None:
    assert open_one.ask("/api/sweeps", method).status in (400, 405)


def test_a_head_has_no_body(open_one: Dashboard) -> None:
    answer = open_one.ask("/", "HEAD")
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("mode, destination", [("no-cors", "script"), ("cors", "empty"), ("navigate", "object")])
def test_other_sites_may_not_ask(open_one: Dashboard, site: str, mode: str, destination: str) -> None:
    headers = {"Sec_Fetch_Site": site, "Sec_Fetch_Mode": mode, "Sec_Fetch_Dest": destination}
    assert {open_one.ask(path, **headers).status for path in PATHS} == {403}


@pytest.mark.parametrize("destination", ["document", "iframe"])
def test_a_link_of_another_site_may_be_followed(open_one: Dashboard, destination: str) -> None:
    headers = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": destination}
    assert open_one.ask("/", **headers).status == 200


@pytest.mark.parametrize("origin", ["http://evil.com", "null", "https://localhost", "http://localhost:1", "x"])
def test_a_page_of_another_origin_is_refused(open_one: Dashboard, origin: str) -> None:
    assert {open_one.ask(path, Origin=origin).status for path in PATHS} == {403}


def test_a_page_of_the_same_origin_is_answered(open_one: Dashboard) -> None:
    assert open_one.ask("/api/sweeps", Origin=open_one.url).status == 200


def test_every_answer_tells_browsers_what_to_refuse(open_one: Dashboard) -> None:
    answers = [*map(open_one.ask, PATHS), open_one.ask("/", "POST"), open_one.ask("/", Host="evil.com")]
    for answer in answers:
        policy = answer.headers["Content-Security-Policy"].split("; ")
        assert "default-src 'none'" in policy and "connect-src 'self'" in policy
        assert next(each for each in policy if each.startswith("script-src")) == "script-src 'self' 'unsafe-eval'"
        assert any(each.startswith("frame-ancestors 'self' http://localhost:*") for each in policy)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]
        assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "query", ["", "token=", "token=the-toke", "token=the-token2", "token=%C3%A9", "Token=the-token"]
)
@pytest.mark.parametrize("cookie", ["", "hposweep-1=the-token", "hposweep-{port}=wrong", "hposweep-{port}=", "=;;,"])
def test_without_the_token_nothing_is_answered(with_token: Dashboard, query: str, cookie: str) -> None:
    for path in PATHS:
        joined = f"{path}{'&' if '?' in path else '?'}{query}"
        answer = with_token.ask(joined, Cookie=cookie.format(port=with_token.port))
        assert (answer.status, answer.headers["Set-Cookie"]) == (403, None)


def test_the_link_sets_a_cookie_that_stands_for_the_token(with_token: Dashboard) -> None:
    answer = with_token.ask("/?token=the-token", Host="node3.cluster:8470")
    assert answer.status == 200
    cookie, *attributes = answer.headers["Set-Cookie"].split("; ")
    assert {*attributes} == {"Path=/", "HttpOnly", "SameSite=Strict"}
    assert with_token.ask("/api/sweeps", Cookie=cookie, Host="node3.cluster:8470").status == 200


def test_the_token_does_not_open_it_to_other_sites(with_token: Dashboard) -> None:
    headers = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "cors", "Sec_Fetch_Dest": "empty"}
    assert with_token.ask("/api/sweeps?token=the-token", **headers).status == 403
    assert with_token.ask("/api/sweeps?token=the-token", Origin="http://evil.com").status == 403


@pytest.mark.parametrize("host, expected", [("localhost", True), ("::1", True), ("0.0.0.0", False), ("node3", False)])
def test_only_addresses_of_the_machine_for_itself_are_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
