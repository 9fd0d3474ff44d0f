"""Which keys look like secrets, and what is masked of a config."""

from typing import Any

import pytest

from hposweep.secret_keys import (
    MASK,
    looks_secret,
    masked_config,
    masked_configuration,
    masked_line,
    masked_override,
    masked_value,
)

SECRET = ["db.password", "password", "db.user_password", "passwd", "HF_TOKEN", "hub.hfToken", "api_key", "wandb.apikey"]
SECRET += [
    "aws.secret_access_key",
    "client_secret",
    "ssh.private_key",
    "auth.header",
    "credentials.user",
    "+db.password",
]
SECRET += ["apiKey", "APIKey", "openai-api-key", "hydra.job.env_set.ANYTHING", "secrets.a.b", "token_2"]
PLAIN = ["tokenizer.name", "max_tokens", "key", "keys", "optimizer.key", "monkey.bar", "author", "x", "passwords_file"]
PLAIN += ["access", "api", "private", "keyboard", "hydra.job.env_copy", "authority", "secretary"]


@pytest.mark.parametrize("key", SECRET)
def test_a_key_with_a_word_for_a_secret_looks_like_one(key: str) -> None:
    assert looks_secret(key)
    assert masked_value(key, "hunter2") == MASK


@pytest.mark.parametrize("key", PLAIN)
def test_a_key_that_only_contains_its_letters_does_not(key: str) -> None:
    assert not looks_secret(key)
    assert masked_value(key, "hunter2") == "hunter2"


@pytest.mark.parametrize("value", [None, True, False, "", "???", "${db.other}", "${oc.env:DB_PASSWORD}"])
def test_what_is_no_value_of_a_secret_is_not_masked(value: object) -> None:
    assert masked_value("db.password", value) == value


@pytest.mark.parametrize(
    ("key", "value", "masked"),
    [
        ("db.password", 1234, MASK),
        ("db.password", "${oc.env:DB_PASSWORD,hunter2}", MASK),
        ("model.token_dim", 64, 64),
        ("model.token_kind", "a", MASK),
        ("credentials", [{"user": "a"}, ["b", None]], [{"user": MASK}, [MASK, None]]),
        ("hydra.job.env_set", {"OMP_NUM_THREADS": 1}, {"OMP_NUM_THREADS": MASK}),
        ("db", {"user": "a", "password": "b"}, {"user": "a", "password": MASK}),
        ("db.url", "mysql://:b@c", MASK),
    ],
)
def test_values_under_such_keys_are_masked(key: str, value: Any, masked: Any) -> None:
    assert masked_value(key, value) == masked


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        ("db.password=hunter2", "db.password=***"),
        ("+db.password='a=b'", "+db.password=***"),
        ("++hydra.job.env_set.A=b", "++hydra.job.env_set.A=***"),
        ("hydra.job.env_set={A: b}", "hydra.job.env_set=***"),
        ("+db={user: a, password: b}", "+db=***"),
        ("+dbs=[{user: a, api_key: b}]", "+dbs=***"),
        ("db.password=1234", "db.password=***"),
        ("+db='{\"password\": 1}'", "+db=***"),
        ("hydra.sweeper.final_overrides=[db.password=a]", "hydra.sweeper.final_overrides=***"),
        ("data.url='https://a.b/c?token=d'", "data.url=***"),
        ("storage=postgres://a:b@c/d", "storage=***"),
        ("storage=postgres://a@c:5432/d", "storage=postgres://a@c:5432/d"),
        ("x=choice(a: b)", "x=choice(a: b)"),
        ("db.password=null", "db.password=null"),
        ("db.password=${oc.env:PW}", "db.password=${oc.env:PW}"),
        ("~db.password", "~db.password"),
        ("auth=github", "auth=github"),
        ("auth@db=github", "auth@db=github"),
        ("+db={user: a, name: b}", "+db={user: a, name: b}"),
        ("lr=0.1,0.2", "lr=0.1,0.2"),
    ],
)
def test_an_override_of_a_secret_is_masked_and_a_config_groups_option_is_none(line: str, masked: str) -> None:
    assert masked_override(line, needed={"auth": "github"}) == masked


def test_a_config_is_masked_with_what_hydra_copies_from_its_overrides() -> None:
    hydra = {
        "overrides": {"task": ["db.password=hunter2", "auth=github"], "hydra": ["hydra.job.env_set.A=b"]},
        "job": {"override_dirname": "db.password=hunter2", "env_copy": ["A"], "env_set": {"A": "b"}},
        "runtime": {"choices": {"auth": "github"}},
        "sweeper": {"final_overrides": ["stage=test", "db.password=hunter2"]},
    }
    masked = masked_config({"db": {"password": "hunter2"}, "x": 1, "hydra": hydra})
    assert masked["db"] == {"password": MASK} and masked["x"] == 1
    assert masked["hydra"]["overrides"] == {
        "task": ["db.password=***", "auth=github"],
        "hydra": ["hydra.job.env_set.A=***"],
    }
    assert masked["hydra"]["job"] == {"override_dirname": MASK, "env_copy": ["A"], "env_set": {"A": MASK}}
    assert masked["hydra"]["sweeper"] == {"final_overrides": ["stage=test", "db.password=***"]}
    assert masked["hydra"]["runtime"]["choices"] == {"auth": "github"}
    assert hydra["overrides"]["task"][0] == "db.password=hunter2"  # type: ignore[index]


def test_numbers_that_are_searched_are_no_secrets() -> None:
    configuration = {"model.token_dim": 64, "+db.password": "hunter2", "x": "a"}
    assert masked_configuration(configuration) == {"model.token_dim": 64, "+db.password": MASK, "x": "a"}


@pytest.mark.parametrize(
    ("line", "masked"),
    [
        ("epoch 3: loss 0.1", "epoch 3: loss 0.1"),
        ("lr=0.1 api_key=abc def", f"lr=0.1 api_key={MASK}"),
        ("Authorization: Bearer abc", f"Authorization: {MASK}"),
        ("{'user': 'me', 'password': 'a b'}", f"{{'user': 'me', 'password': {MASK}"),
        ("token_dim=64 max_tokens=3", "token_dim=64 max_tokens=3"),
        ("connects to postgres://me:abc@host/db", f"connects to postgres://{MASK}@host/db"),
        ("y" * 1_000_000, "y" * 1_000_000),
    ],
)
def test_a_printed_line_is_cut_off_where_it_gives_a_secret(line: str, masked: str) -> None:
    assert masked_line(line) == masked
