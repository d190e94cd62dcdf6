"""What the rows themselves say about consents, asked past the product: as the owner, in plain SQL.

Every query finds what must never be; none of it calls the code under test.
"""

from typing import Any

NEVER = {
    "a hand-over its evidence does not cover": """
SELECT p.id FROM provision p
LEFT JOIN consent_event e ON e.company_id = p.company_id AND e.id = p.consent_event_id
LEFT JOIN consent_text t ON t.company_id = e.company_id AND t.id = e.text_id
WHERE (e.kind IN ('given', 'renewed', 'items_changed')
       AND e.candidate_id = p.candidate_id AND e.agency_id = p.agency_id
       AND p.items <@ e.items AND t.sha256 = p.consent_text_sha256
       AND e.at <= p.provided_at AND p.last_provided_at < e.expires_at
       AND p.provided_at <= p.last_provided_at) IS NOT TRUE""",
    "a hand-over after something newer was said": """
SELECT p.id FROM provision p
JOIN consent_event e ON e.company_id = p.company_id AND e.id = p.consent_event_id
JOIN consent_event n ON n.company_id = e.company_id AND n.candidate_id = e.candidate_id
     AND n.agency_id = e.agency_id AND n.seq > e.seq AND n.at <= p.last_provided_at""",
    "a hand-over inside the grace": """
WITH said AS (
  SELECT *, lag(items) OVER chain AS before, lag(kind) OVER chain AS kind_before
  FROM consent_event WHERE agency_id IS NOT NULL
  WINDOW chain AS (PARTITION BY candidate_id, agency_id ORDER BY seq))
SELECT p.id FROM provision p
JOIN said e ON e.company_id = p.company_id AND e.id = p.consent_event_id
JOIN said g ON g.candidate_id = e.candidate_id AND g.agency_id = e.agency_id AND g.seq <= e.seq
WHERE (g.kind = 'given' OR g.kind = 'items_changed' AND NOT g.items <@ g.before)
  AND g.at <= p.provided_at AND p.provided_at < g.at + interval '30 minutes'""",
    "a hand-over to another agency, of another person or consent than its relay's": """
SELECT p.id FROM provision p
LEFT JOIN relay r ON r.company_id = p.company_id AND r.id = p.relay_id
LEFT JOIN consent c ON c.company_id = r.company_id AND c.id = r.consent_id
WHERE (p.agency_id = r.agency_id AND p.candidate_id = r.candidate_id AND p.consent_id = c.id
       AND c.agency_id = r.agency_id AND c.candidate_id = r.candidate_id
       AND p.provided_at >= r.forwarded_at) IS NOT TRUE""",
    "a lease beyond the consent or beyond 35 days": """
SELECT p.id FROM provision p
JOIN consent_event e ON e.company_id = p.company_id AND e.id = p.consent_event_id
WHERE p.use_until > e.expires_at OR p.use_until > p.last_provided_at + interval '35 days'""",
    "data that an agency was not told to stop using": """
SELECT p.id FROM provision p
JOIN consent_event e ON e.company_id = p.company_id AND e.id = p.consent_event_id
WHERE EXISTS (
  SELECT FROM consent_event w
  WHERE w.company_id = e.company_id AND w.candidate_id = e.candidate_id
    AND w.agency_id = e.agency_id AND w.kind IN ('withdrawn', 'invalidated') AND w.seq > e.seq)
  AND NOT EXISTS (
    SELECT FROM stop_notice s
    WHERE s.company_id = p.company_id AND s.relay_id = p.relay_id AND s.agency_id = p.agency_id
      AND s.kind IN ('withdrawn', 'erased') AND s.created_at >= p.last_provided_at)""",
    "a stop nobody asked for": """
SELECT s.id FROM stop_notice s
WHERE s.kind <> 'corrected' AND NOT EXISTS (
  SELECT FROM consent_event w
  WHERE w.company_id = s.company_id AND w.candidate_id = s.candidate_id
    AND w.agency_id = s.agency_id AND w.kind IN ('withdrawn', 'invalidated'))""",
    "a line of the feed that shows what has ended": """
SELECT f.relay_id FROM feed_item f
JOIN relay r ON r.company_id = f.company_id AND r.id = f.relay_id
WHERE f.op = 'upsert' AND (r.state IN ('withdrawn', 'expired') OR EXISTS (
  SELECT FROM stop_notice s WHERE s.relay_id = r.id AND s.kind IN ('withdrawn', 'erased')))""",
    "a link missing in a chain": """
SELECT id FROM (
  SELECT id, seq, prev_hash, lag(hash, 1, repeat('0', 64)) OVER chain AS hash_before,
         row_number() OVER chain AS place
  FROM consent_event WINDOW chain AS (PARTITION BY company_id, candidate_id ORDER BY seq)
) linked WHERE seq <> place OR prev_hash <> hash_before""",
    "a person whose chain ends elsewhere": """
SELECT c.id FROM candidate c
LEFT JOIN LATERAL (
  SELECT seq, hash FROM consent_event e
  WHERE e.company_id = c.company_id AND e.candidate_id = c.id ORDER BY seq DESC LIMIT 1) e ON true
WHERE (c.consent_seq, c.consent_head) <> (coalesce(e.seq, 0), coalesce(e.hash, repeat('0', 64)))""",
    "a present state the events do not tell": """
WITH last AS (
  SELECT DISTINCT ON (candidate_id, agency_id) candidate_id, agency_id, at,
         CASE kind WHEN 'renewed' THEN 'given' WHEN 'items_changed' THEN 'given'
                   WHEN 'invalidated' THEN 'withdrawn' ELSE kind END AS state
  FROM consent_event WHERE agency_id IS NOT NULL ORDER BY candidate_id, agency_id, seq DESC),
yes AS (
  SELECT DISTINCT ON (candidate_id, agency_id) * FROM consent_event
  WHERE agency_id IS NOT NULL AND kind IN ('given', 'renewed', 'items_changed')
  ORDER BY candidate_id, agency_id, seq DESC)
SELECT coalesce(c.id, last.candidate_id) FROM consent c
FULL JOIN last ON last.candidate_id = c.candidate_id AND last.agency_id = c.agency_id
LEFT JOIN yes ON yes.candidate_id = c.candidate_id AND yes.agency_id = c.agency_id
WHERE (c.state = last.state AND c.event_id = yes.id AND c.items = yes.items
       AND c.text_id = yes.text_id AND c.given_at = yes.at AND c.expires_at = yes.expires_at
       AND c.withdrawn_at IS NOT DISTINCT FROM
           CASE WHEN last.state = 'withdrawn' THEN last.at END) IS NOT TRUE""",
    "something of an erased person that can be read": """
SELECT c.id FROM candidate c
WHERE c.erased_at IS NOT NULL AND (
  num_nonnulls(c.profile, c.email_hmac, c.phone_hmac, c.kana_birth_hmac) > 0
  OR EXISTS (SELECT FROM subject_key k WHERE k.candidate_id = c.id AND k.kind = 'profile'
             AND (k.wrapped IS NOT NULL OR k.destroyed_at IS NULL))
  OR EXISTS (SELECT FROM candidate_file f LEFT JOIN candidate_file_body b ON b.file_id = f.id
             WHERE f.candidate_id = c.id
               AND (f.name IS NOT NULL OR f.removed_at IS NULL OR b.sealed IS NOT NULL))
  OR EXISTS (SELECT FROM mail m WHERE m.candidate_id = c.id AND m.sealed IS NOT NULL)
  OR EXISTS (SELECT FROM candidate_link l WHERE l.candidate_id = c.id AND l.revoked_at IS NULL)
  OR EXISTS (SELECT FROM notice n WHERE n.candidate_id = c.id AND n.feedback IS NOT NULL))""",
    "an erasure without its certificate, or against a hold": """
SELECT c.id FROM candidate c
WHERE c.erased_at IS NOT NULL AND (
  NOT EXISTS (SELECT FROM erasure e WHERE e.candidate_id = c.id AND e.key_kind = 'profile'
              AND e.at = c.erased_at)
  OR EXISTS (SELECT FROM legal_hold h WHERE h.candidate_id = c.id AND h.set_at <= c.erased_at
             AND (h.released_at IS NULL OR h.released_at > c.erased_at)))""",
    "a record of a hand-over nobody could read before its day": """
SELECT p.id FROM provision p
JOIN subject_key k ON k.candidate_id = p.candidate_id AND k.kind = 'record'
WHERE k.wrapped IS NULL OR k.destroy_on <= p.retention_until""",
    "a document an agency read without a record": """
SELECT f.id FROM file_access f
LEFT JOIN provision p ON p.company_id = f.company_id AND p.id = f.provision_id
LEFT JOIN candidate_file d ON d.company_id = f.company_id AND d.id = f.file_id
WHERE (p.relay_id = f.relay_id AND p.agency_id = f.agency_id AND p.file_sha256 ? d.sha256
       AND p.items ? d.kind AND f.at <= p.last_provided_at) IS NOT TRUE""",
}


async def what_must_never_be(owner: Any) -> dict[str, list[str]]:
    """What was found, by what it is; nothing, if all is well."""
    found = {what: await owner.fetch(query) for what, query in NEVER.items()}
    return {what: [row[0] for row in rows] for what, rows in found.items() if rows}
