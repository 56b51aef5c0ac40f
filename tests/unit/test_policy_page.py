"""What the console's page makes of a policy: what it has no field for stays as it was."""

from services.console.core.policy_document import PolicyDocument
from services.console.web.forms import Form
from services.console.web.policy import drafted

HELD = {
    "guardrails": {
        "words_deny": ["bluebird"],
        "conditions": [{"name": "one", "refuse_when": "hour < 6"}],
        "webhook": {"after": True},
        "answers": {"json_schema": {"type": "object"}},
    },
    "mcp": {"member": {"deny": ["db__drop"]}},
    "member_daily_limits_usd": {"acct_a": "1.000000"},
}


def test_what_the_page_does_not_show_is_kept() -> None:
    held = PolicyDocument.model_validate(HELD)
    draft = drafted(Form({"words_deny": ["project x"]}), held)
    assert draft.guardrails and held.guardrails
    assert draft.guardrails.words_deny == ["project x"]
    assert (draft.guardrails.conditions, draft.guardrails.webhook) == (
        held.guardrails.conditions,
        held.guardrails.webhook,
    )
    assert draft.guardrails.answers == held.guardrails.answers
    assert (draft.mcp, draft.member_daily_limits_usd) == (held.mcp, held.member_daily_limits_usd)
    assert drafted(Form({}), PolicyDocument()).guardrails is None
