"""From a setting to the key-encryption keys that it names."""

import os

from libs.sealing.envelope import KeyRing, LocalKeys

KMS_PREFIX = "aws-kms:"
KMS_ENDPOINT_VARIABLE = "SLUICE_KMS_ENDPOINT"


def key_ring(setting: str) -> KeyRing:
    """The ring of ``version:base64[,...]``, or of ``aws-kms:KEY[,aws-kms:KEY...]``; the first wraps.

    Raises:
        ValueError: the setting is neither.
    """
    if not setting.startswith(KMS_PREFIX):
        return KeyRing(LocalKeys.parse(setting))
    from libs.sealing.aws_kms import AwsKms  # only who uses it pays for loading the AWS SDK

    names = [part.strip() for part in setting.split(",") if part.strip()]
    if not all(name.startswith(KMS_PREFIX) for name in names):
        raise ValueError("key-encryption keys are all local or all in KMS")
    key_ids = [name.removeprefix(KMS_PREFIX) for name in names]
    return KeyRing(AwsKms(key_ids, endpoint_url=os.environ.get(KMS_ENDPOINT_VARIABLE)))
