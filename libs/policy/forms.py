"""What is found in texts by its form. Pure.

The forms are ours, and each part of them is bounded, so a text takes as long as it is long. Numbers of cards and
accounts are checked by their check digits (Luhn, ISO/IEC 7812; ISO 13616): not every long number is one.
"""

import re
from collections.abc import Callable

from contracts.guardrails import Kind


def _luhn(text: str) -> int:
    digits = [int(one) for one in text if one.isdigit()]
    doubled = [digit * 2 - 9 * (digit > 4) if place % 2 else digit for place, digit in enumerate(reversed(digits))]
    return len(text) if 13 <= len(digits) <= 19 and sum(doubled) % 10 == 0 else 0


def _iban(text: str) -> int:
    """What follows a number may look as if it went on."""
    while text:
        plain = text.replace(" ", "").upper()
        if 15 <= len(plain) <= 34 and int("".join(str(int(one, 36)) for one in plain[4:] + plain[:4])) % 97 == 1:
            return len(text)
        text = text.rpartition(" ")[0]
    return 0


def _phone(text: str) -> int:
    return len(text) if 8 <= sum(one.isdigit() for one in text) <= 15 else 0


def _ip(text: str) -> int:
    return len(text) if all(int(part) < 256 for part in text.split(".")) else 0


Holds = Callable[[str], int]
"""How much of what has the form is one; 0: nothing."""
FORMS: dict[Kind, tuple[re.Pattern[str], Holds]] = {
    Kind.SECRET: (
        re.compile(
            r"\b(?:sk-[A-Za-z0-9_-]{16,200}|gsk_[A-Za-z0-9]{20,200}|xai-[A-Za-z0-9]{20,200}|AIza[A-Za-z0-9_-]{35}"
            r"|AKIA[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{36,200}|xox[abprs]-[A-Za-z0-9-]{10,200}"
            r"|eyJ[A-Za-z0-9_-]{10,2000}\.[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{10,1000})"
            r"|-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----[A-Za-z0-9+/=\s]{0,10000}"
            r"(?:-----END [A-Z ]{0,20}PRIVATE KEY-----)?"
        ),
        len,
    ),
    Kind.EMAIL: (re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}"), len),
    Kind.IBAN: (re.compile(r"\b[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]{4}){2,7}(?: ?[A-Za-z0-9]{1,3})?\b"), _iban),
    Kind.CREDIT_CARD: (re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)"), _luhn),
    Kind.IP: (re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])"), _ip),
    Kind.PHONE: (re.compile(r"(?<![\w.])(?<!\d )(?:\+|00)\d[\d ()/.-]{6,22}\d(?!\w)"), _phone),
}
"""In the order in which they are looked for: a card's number is no phone's."""
