"""What each service of the stack of one machine is given."""

from contracts.services import CONSOLE, INGRESS, KEY_VAULT, METERING, POLICY, RELAY
from deploy.local.environment import passed_on
from deploy.local.stack import OPTIONAL, SERVICES

OF_THE_SHELL = {
    "SLUICE_LIMITS__BODY_BYTES": "5000",
    "SLUICE_TRUSTED_PROXIES": "1",
    "SLUICE_LOG_LEVEL": "DEBUG",
    "SLUICE_KAFKA_REPLY_PARTITIONS": "4",
    "SLUICE_CONSOLE_OPERATOR_TOKEN": "of the console",
    "SLUICE_VAULT_KEY_ENCRYPTION_KEYS": "of the vault",
    "SLUICE_INGRESS_DRAIN_S": "1",
    "SLUICE_RELAY_DRAIN_S": "1",
    "SLUICE_SINK_BILLING_SECRET": "of the sinks",
    "SLUICE_SINKS__BILLING__URL": "https://example.com",
    "SLUICE_DATABASE_URL": "of one",
    "SLUICE_RECORD_KEY": "of one",
    "SLUICE_ADMIN_PASSWORD": "of nobody",
    "SLUICE_PASSWORD_METERING": "of nobody",
    "SLUICE_KEY": "of the command line",
    "SLUICE_HOME": "of the command line",
    "SLUICE_MY_PROVIDER": "a provider's key",
    "OPENAI_API_KEY": "a provider's key",
}
FOR_ALL = {
    "SLUICE_LIMITS__BODY_BYTES",
    "SLUICE_TRUSTED_PROXIES",
    "SLUICE_LOG_LEVEL",
    "SLUICE_KAFKA_REPLY_PARTITIONS",
    "SLUICE_SINKS__BILLING__URL",
}
OWN = {
    "console": {"SLUICE_CONSOLE_OPERATOR_TOKEN"},
    "key-vault": {"SLUICE_VAULT_KEY_ENCRYPTION_KEYS"},
    "ingress": {"SLUICE_INGRESS_DRAIN_S"},
    "relay": {"SLUICE_RELAY_DRAIN_S"},
    "sinks": {"SLUICE_SINK_BILLING_SECRET"},
}


def test_a_service_is_given_the_configuration_and_no_other_service_s_secret() -> None:
    for service in (*SERVICES, *OPTIONAL):
        given = passed_on(service, OF_THE_SHELL, frozenset({"SLUICE_MY_PROVIDER", "OPENAI_API_KEY"}))
        assert set(given) == FOR_ALL | OWN.get(service, set()), service


def test_who_signs_and_who_is_believed() -> None:
    assert [spec.name for spec in (CONSOLE, INGRESS, KEY_VAULT, METERING, POLICY, RELAY) if spec.signs] == [
        "console",
        "key-vault",
        "relay",
    ]
    assert INGRESS.signers == ["console", "key-vault"]
    assert RELAY.signers == ["console", "key-vault", "relay"]
    assert KEY_VAULT.signers == ["console", "key-vault", "relay"]
