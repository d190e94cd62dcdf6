"""What it takes to connect each system: who makes the secret, what the API wants, which events.

The words of each step are in the catalogues (`ats_steps`), under `<provider>_w<n>` for webhooks
and `<provider>_a<n>` for the API; here stands what each of them shows beside its words.
"""

from dataclasses import dataclass
from typing import Literal

Group = Literal["world", "japan", "other"]
Maker = Literal["ours", "theirs", "by_event", "none"]
Beside = Literal["", "url", "secret", "events", "command"]
"""What a step shows: the URL to paste, the secret, the events to choose, a command to run."""


@dataclass(frozen=True)
class Setting:
    """One of the vendor's own settings, as HR fills it in.

    `around` is what it becomes (`https://{}.workable.com` for a subdomain). With `choices` it is
    one of them, called by `labels`; the first is what holds when nothing is said. A `switch` is on
    or off and may need a warning. `for_key`: without it the API cannot be asked.
    """

    name: str
    around: str = "{}"
    choices: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    switch: bool = False
    for_key: bool = False
    warns: bool = False

    @property
    def with_key(self) -> bool:
        """Whether it is asked for together with the credential."""
        return self.for_key or bool(self.choices)

    def stored(self, given: str) -> str | bool | None:
        """What HR filled in, as the adapter reads it; null: nothing."""
        if self.switch:
            return True if given else None
        return self.around.format(given) if given else None

    def shown(self, kept: object) -> str:
        """The other way round."""
        if self.switch:
            return "on" if kept is True else ""
        before, _, after = self.around.partition("{}")
        return str(kept or "").removeprefix(before).removesuffix(after)


@dataclass(frozen=True)
class Setup:
    """How one system is connected. `key_parts` are joined by colons to the API's credential."""

    group: Group
    maker: Maker = "none"
    """Who makes the secret: we, the vendor, the vendor for each event, nobody."""
    webhook: tuple[Beside, ...] = ()
    api: int = 0
    """How many steps lead to the API's credential."""
    events: tuple[str, ...] = ()
    key_parts: tuple[str, ...] = ("api_key",)
    settings: tuple[Setting, ...] = ()
    command: str = ""
    """For whoever can run one; `{url}` and, in capitals, what to fill in."""
    url_safe: bool = False
    """The secret travels in a form: no signs that a form would change."""


SETUPS: dict[str, Setup] = {
    "greenhouse": Setup(
        group="world",
        maker="ours",
        webhook=("", "events", "url", "secret", ""),
        api=3,
        events=(
            "reject_candidate",
            "unreject_candidate",
            "candidate_stage_change",
            "hire_candidate",
            "unhire_candidate",
            "delete_candidate",
            "merge_candidate",
            "candidate_anonymized",
        ),
        key_parts=("client_id", "client_secret"),
        settings=(Setting("api_user", for_key=True), Setting("time_zone")),
    ),
    "lever": Setup(
        group="world",
        maker="by_event",
        webhook=("", "url", "events", "", ""),
        api=2,
        events=(
            "candidateArchiveChange",
            "candidateHired",
            "candidateDeleted",
            "interviewCreated",
            "interviewUpdated",
            "interviewDeleted",
        ),
        settings=(Setting("include_confidential", switch=True), Setting("perform_as")),
    ),
    "ashby": Setup(
        group="world",
        maker="ours",
        webhook=("", "events", "url", "secret", ""),
        api=2,
        events=(
            "applicationUpdate",
            "candidateStageChange",
            "candidateHire",
            "candidateDelete",
            "candidateMerge",
            "interviewScheduleCreate",
            "interviewScheduleUpdate",
        ),
    ),
    "workable": Setup(
        group="world",
        maker="theirs",
        webhook=("", "command", ""),
        api=2,
        settings=(
            Setting("api_base", around="https://{}.workable.com", for_key=True),
            Setting("member_id"),
        ),
        command=(
            "for event in candidate_moved candidate_deleted; do\n"
            '  curl "https://SUBDOMAIN.workable.com/spi/v3/subscriptions" \\\n'
            '    -H "Authorization: Bearer API_TOKEN" -H "Content-Type: application/json" \\\n'
            '    -d \'{{"target": "{url}", "event": "\'$event\'", "args": {{"account_id": '
            '"SUBDOMAIN", "job_shortcode": "", "stage_slug": ""}}}}\'\n'
            "done"
        ),
    ),
    "smartrecruiters": Setup(
        group="world",
        maker="theirs",
        webhook=("", "command", ""),
        api=2,
        command=(
            "api=https://api.smartrecruiters.com/webhooks-api/v201907/subscriptions\n"
            'curl "$api" -H "X-SmartToken: API_KEY" -H "Content-Type: application/json" \\\n'
            '  -d \'{{"callbackUrl": "{url}", "alertEmailAddress": "YOU@COMPANY", "events": [\n'
            '    {{"name": "application.status.updated", "version": "v201907"}},\n'
            '    {{"name": "interview.created", "version": "v201907"}},\n'
            '    {{"name": "interview.updated", "version": "v201907"}},\n'
            '    {{"name": "interview.canceled", "version": "v201907"}},\n'
            '    {{"name": "candidate.deleted", "version": "v201907"}}]}}\'\n'
            'curl -X POST "$api/ID/secret-key" -H "X-SmartToken: API_KEY"\n'
            'curl -X PUT "$api/ID/activation" -H "X-SmartToken: API_KEY"'
        ),
    ),
    "teamtailor": Setup(
        group="world",
        maker="theirs",
        webhook=("", "url", "events", "", "", ""),
        api=2,
        events=("job_application.update", "candidate.destroy"),
        settings=(
            Setting("api_base", choices=("", "https://api.na.teamtailor.com"), labels=("eu", "us")),
            Setting("note_user_id"),
            Setting("accept_v1", switch=True, warns=True),
        ),
    ),
    "recruitee": Setup(
        group="world",
        maker="theirs",
        webhook=("", "url", "events", "", ""),
        api=2,
        events=("candidate_moved", "candidate_deleted"),
        settings=(Setting("company_id", for_key=True),),
    ),
    "icims": Setup(
        group="world",
        maker="theirs",
        webhook=("url", "", ""),
        api=2,
        events=("WorkFlowStatusChangeEvent",),
        key_parts=("user", "password"),
        settings=(
            Setting("customer_id", for_key=True),
            Setting(
                "api_base",
                choices=("", "https://api-eu.icims.com", "https://api-ca.icims.com"),
                labels=("us", "eu", "ca"),
            ),
        ),
    ),
    "zoho-recruit": Setup(
        group="world",
        maker="ours",
        webhook=("", "", "url", "secret", ""),
        api=2,
        key_parts=("client_id", "client_secret", "refresh_token"),
        settings=(
            Setting(
                "region",
                choices=("com", "eu", "in", "jp", "com.au", "com.cn", "ca", "sa"),
                labels=("us", "eu", "in", "jp", "au", "cn", "ca", "sa"),
            ),
            Setting("channel_id"),
        ),
        url_safe=True,
    ),
    "bullhorn": Setup(
        group="world",
        api=3,
        key_parts=("client_id", "client_secret", "user", "password"),
        settings=(Setting("note_action"),),
    ),
    "merge": Setup(
        group="other",
        maker="theirs",
        webhook=("", "url", "", ""),
        api=2,
        key_parts=("api_key", "account_token"),
        settings=(Setting("linked_account_id"), Setting("remote_user_id")),
    ),
    "herp-hire": Setup(group="japan", api=3),
    "talentio": Setup(group="japan", api=3),
    "standard-webhooks": Setup(group="other", maker="ours", webhook=("url", "secret", "", "")),
    "cloudevents": Setup(
        group="other",
        maker="ours",
        webhook=("url", "secret", "", ""),
        settings=(Setting("type_prefix"), Setting("batched", switch=True)),
    ),
}
