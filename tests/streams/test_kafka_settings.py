"""Kafka's settings: what is wrong is named with its file or variable, table and key; secrets are never shown."""

import traceback
from pathlib import Path

import pytest

from consumers.kafka import confluent, kafka_python
from consumers.kafka.client_base import security_options
from consumers.kafka.settings import BadSettings, KafkaSettings, Secret, load

PASSWORD = "hunter2-and-more"


def written(folder: Path, text: str) -> Path:
    path = folder / "points.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_and_an_environment_everything_has_its_default() -> None:
    assert load(environment={}) == KafkaSettings()


def test_a_file_is_read_and_the_environment_stands_above_it(tmp_path: Path) -> None:
    path = written(tmp_path, '[kafka]\nbootstrap_servers = "a:1"\ngroup = "g"\n[kafka.topics]\nfacts = "f"\n')
    given = {
        "POINTS_CONFIG": str(path),
        "POINTS_KAFKA_BOOTSTRAP_SERVERS": "b:2",
        "POINTS_KAFKA_TOPICS_OUTCOMES": "o",
        "POINTS_KAFKA_BUFFER_MEBIBYTES": "32",
        "POINTS_KAFKA_TAKES_BACKLOG": "true",
        "POINTS_KAFKA_GROUP": "",  # as a compose file passes on what is not there
    }
    found = load(environment=given)
    assert (found.bootstrap_servers, found.group, found.topics.facts, found.topics.outcomes) == ("b:2", "g", "f", "o")
    assert (found.buffer_mebibytes, found.takes_backlog) == (32, True)
    assert load(path, {}).bootstrap_servers == "a:1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[kafka", "not TOML"),
        ("[kafak]\n", "unknown field `kafak`"),
        ("[kafka]\ntopic = 1\n", "kafka: Object contains unknown field `topic`"),
        ("[kafka]\nbuffer_mebibytes = 1\n", "kafka.buffer_mebibytes: Expected `int` >= 16"),
        ('[kafka]\nclient = "java"\n', "kafka.client: Invalid enum value 'java'; one of kafka-python, confluent-kafka"),
        ('[kafka.security]\nprotocol = "TLS"\n', "kafka.security.protocol: Invalid enum value 'TLS'; one of PLAINTEXT"),
        ("[kafka.security]\npassword = 12\n", "kafka.security.password: Expected a text that is not empty"),
        ('[kafka.topics]\nfacts = "a b"\n', "kafka.topics.facts: "),
        ('[kafka.security]\nusername = "u"\n', "kafka.security.username: is set, and protocol PLAINTEXT has no use"),
        ('[kafka.security]\nprotocol = "SASL_SSL"\nusername = "u"\n', "kafka.security.password: is missing"),
        ('[kafka.security]\nca_file = "x"\n', "kafka.security.ca_file: is set, and protocol PLAINTEXT has no use"),
        ('[kafka.security]\nprotocol = "SSL"\nca_file = "/nowhere"\n', "kafka.security.ca_file: there is no file"),
        ('[kafka.security]\npassword_file = "/nowhere"\n', "/nowhere: No such file"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(BadSettings) as error:
        load(path, {})
    assert said in str(error.value)
    assert str(path) in str(error.value) or "/nowhere" in said


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("POINTS_KAFKA_BUFFER_MEBIBYTES", "many", "Expected `int`"),
        ("POINTS_KAFKA_SECURITY_PROTOCOL", "TLS", "one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL is wanted"),
        ("POINTS_KAFKA_BOOTSTRAP", "a:1", "there is no such setting; there are POINTS_KAFKA_BOOTSTRAP_SERVERS"),
    ],
)
def test_what_is_wrong_in_the_environment_is_named(variable: str, value: str, said: str) -> None:
    with pytest.raises(BadSettings) as error:
        load(environment={variable: value})
    assert str(error.value).startswith(f"{variable}: ") and said in str(error.value)


SASL = {"POINTS_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "POINTS_KAFKA_SECURITY_USERNAME": "u"}


def test_a_password_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text(PASSWORD + "\n")
    found = load(environment={**SASL, "POINTS_KAFKA_SECURITY_PASSWORD_FILE": str(secret)})
    assert found.security.password == Secret(PASSWORD)
    with pytest.raises(BadSettings, match="is given twice") as error:
        load(
            environment={
                **SASL,
                "POINTS_KAFKA_SECURITY_PASSWORD": PASSWORD,
                "POINTS_KAFKA_SECURITY_PASSWORD_FILE": str(secret),
            }
        )
    assert PASSWORD not in str(error.value)
    secret.write_text("\n")
    with pytest.raises(BadSettings, match="is empty"):
        load(environment={**SASL, "POINTS_KAFKA_SECURITY_PASSWORD_FILE": str(secret)})


def test_a_secret_is_never_shown(tmp_path: Path) -> None:
    found = load(environment={**SASL, "POINTS_KAFKA_SECURITY_PASSWORD": PASSWORD})
    assert PASSWORD not in repr(found) and PASSWORD not in str(found)
    path = written(tmp_path, f'[kafka.security]\npassword = "{PASSWORD}"\nbad = 1\n')
    for mistake in (
        lambda: load(path, {}),
        lambda: load(environment={"POINTS_KAFKA_SECURITY_PASSWORD": PASSWORD}),
        lambda: load(environment={**SASL, "POINTS_KAFKA_SECURITY_PASSWORD": PASSWORD, "POINTS_KAFKA_X": "1"}),
    ):
        with pytest.raises(BadSettings) as error:
            mistake()
        assert PASSWORD not in "".join(traceback.format_exception(error.value))


def test_both_clients_are_given_the_same(tmp_path: Path) -> None:
    for name in ("ca", "certificate", "key"):
        (tmp_path / name).write_text("PEM")
    text = f"""
        [kafka.security]
        protocol = "SASL_SSL"
        ca_file = "{tmp_path / "ca"}"
        certificate_file = "{tmp_path / "certificate"}"
        key_file = "{tmp_path / "key"}"
        key_password = "k"
        check_hostname = false
        mechanism = "SCRAM-SHA-256"
        username = "u"
        password = "{PASSWORD}"
    """
    security = load(written(tmp_path, text), {}).security
    assert security_options(security, kafka_python.SECURITY_NAMES) == {
        "security_protocol": "SASL_SSL",
        "ssl_cafile": str(tmp_path / "ca"),
        "ssl_certfile": str(tmp_path / "certificate"),
        "ssl_keyfile": str(tmp_path / "key"),
        "ssl_password": "k",
        "ssl_check_hostname": False,
        "sasl_mechanism": "SCRAM-SHA-256",
        "sasl_plain_username": "u",
        "sasl_plain_password": PASSWORD,
    }
    assert confluent.security(security) == {
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": str(tmp_path / "ca"),
        "ssl.certificate.location": str(tmp_path / "certificate"),
        "ssl.key.location": str(tmp_path / "key"),
        "ssl.key.password": "k",
        "ssl.endpoint.identification.algorithm": "none",
        "sasl.mechanism": "SCRAM-SHA-256",
        "sasl.username": "u",
        "sasl.password": PASSWORD,
    }
