-- The ledger's functions and guards. Statements are separated by lines of dashes.
-- Everything here belongs to relay_ledger, a role nobody signs in with: the application asks
-- ledger_post to write, and nothing else can.

CREATE FUNCTION ledger_canon(p_parts text[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
  -- `length:value,` per part; the length is in bytes, a missing value is `0:,`.
  SELECT string_agg(octet_length(convert_to(coalesce(part, ''), 'UTF8')) || ':' || coalesce(part, '') || ',', '' ORDER BY place)
    FROM unnest(p_parts) WITH ORDINALITY AS listed (part, place)
$$
-------------------------------------------------------------------------------
CREATE FUNCTION ledger_hash(
  p_previous bytea, p_book text, p_seq bigint, p_kind integer, p_effective_on date, p_recorded_at timestamptz,
  p_key text, p_fingerprint bytea, p_actor text, p_reason text, p_moves text[], p_dates text[]
) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, public AS $$
  -- A move is six parts: unit, credit, from, to, quantity, reference value. A date is three: credit, field, new date.
  SELECT sha256(convert_to(public.ledger_canon(
    ARRAY['credit-ledger-v1', encode(p_previous, 'hex'), p_book, p_seq::text, p_kind::text,
          to_char(p_effective_on, 'YYYY-MM-DD'), to_char(p_recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
          p_key, encode(p_fingerprint, 'hex'), p_actor, p_reason, (cardinality(p_moves) / 6)::text]
    || p_moves || (cardinality(p_dates) / 3)::text || p_dates), 'UTF8'))
$$
-------------------------------------------------------------------------------
CREATE FUNCTION ledger_only() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  -- Inside ledger_post the current user is its owner; everybody else, the tables' owner included, is refused.
  IF current_user <> 'relay_ledger' THEN
    RAISE EXCEPTION '% is written by the posting function only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NULL;
END $$
-------------------------------------------------------------------------------
CREATE FUNCTION ledger_zero_sum() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, public AS $$
BEGIN
  IF EXISTS (
    SELECT FROM added GROUP BY company_id, tx_id, unit, credit_id HAVING sum(qty) <> 0 OR sum(reference_value_jpy) <> 0
  ) THEN
    RAISE EXCEPTION 'entries do not sum to zero' USING ERRCODE = 'RL001';
  END IF;
  -- Only a transaction of this very database transaction may receive entries: nothing is added to an old one.
  IF EXISTS (
    SELECT FROM added LEFT JOIN public.ledger_tx t
        ON t.company_id = added.company_id AND t.id = added.tx_id AND t.xid = pg_current_xact_id()
     WHERE t.id IS NULL
  ) THEN
    RAISE EXCEPTION 'entries belong to an old transaction' USING ERRCODE = 'RL002';
  END IF;
  RETURN NULL;
END $$
-------------------------------------------------------------------------------
CREATE FUNCTION ledger_open_book(p_id text, p_company text, p_agency text, p_at timestamptz) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  v_id text;
BEGIN
  IF p_company IS DISTINCT FROM current_setting('relay.company_id', true) THEN
    RAISE EXCEPTION 'a book is opened for the company one works for' USING ERRCODE = 'RL404';
  END IF;
  INSERT INTO book (company_id, id, agency_id, last_seq, head_hash, recorded_at, halted)
  VALUES (p_company, p_id, p_agency, 0, decode(repeat('00', 32), 'hex'), p_at, false)
  ON CONFLICT (company_id, agency_id) DO NOTHING RETURNING id INTO v_id;
  IF v_id IS NULL THEN
    SELECT id INTO STRICT v_id FROM book WHERE company_id = p_company AND agency_id = p_agency;
    RETURN v_id;
  END IF;
  INSERT INTO ledger_balance (company_id, book_id, unit, bucket, agency_id, qty, reference_value_jpy, version)
  SELECT p_company, v_id, unit, bucket, p_agency, 0, 0, 0
    FROM generate_series(1, 2) AS unit, generate_series(0, 8) AS bucket;
  RETURN v_id;
END $$
-------------------------------------------------------------------------------
CREATE FUNCTION ledger_lock(p_company text, p_book text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  -- NO KEY: foreign key checks of others may pass. True when there is such a book for this tenant.
  PERFORM FROM book b
    WHERE b.company_id = p_company AND b.id = p_book
      AND (b.company_id = current_setting('relay.company_id', true) OR b.agency_id = current_setting('relay.agency_id', true))
    FOR NO KEY UPDATE;
  RETURN FOUND;
END $$
-------------------------------------------------------------------------------
CREATE FUNCTION ledger_post(
  p_company text, p_book text, p_kind smallint, p_effective_on date, p_at timestamptz, p_key text, p_fingerprint bytea,
  p_actor text, p_reason text, p_moves jsonb, p_dates jsonb, p_credits jsonb,
  OUT posted_id bigint, OUT posted_seq bigint, OUT was_there boolean
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  v_book book%ROWTYPE;
  v_there ledger_tx%ROWTYPE;
  v_move record;
  v_value bigint;
  v_recorded_at timestamptz;
  v_today date;
  v_hash bytea;
  v_parts text[] := '{}';
  v_dates text[];
  v_date_credits text[];
  v_date_fields text[];
  v_date_days date[];
  v_date_olds date[];
  v_units smallint[] := '{}';
  v_credits text[] := '{}';
  v_buckets smallint[] := '{}';
  v_qtys integer[] := '{}';
  v_values bigint[] := '{}';
BEGIN
  -- 1. One posting at a time per book, and only in a book of the tenant this transaction works for.
  SELECT * INTO v_book FROM book b
   WHERE b.company_id = p_company AND b.id = p_book
     AND (b.company_id = current_setting('relay.company_id', true) OR b.agency_id = current_setting('relay.agency_id', true))
     FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'no such book' USING ERRCODE = 'RL404';
  END IF;

  -- 2. The same event again is the same transaction; the same key for another event is refused.
  SELECT * INTO v_there FROM ledger_tx t
   WHERE t.company_id = p_company AND t.book_id = p_book AND t.business_key = p_key;
  IF FOUND THEN
    IF v_there.fingerprint <> p_fingerprint THEN
      RAISE EXCEPTION 'this key stands for another posting' USING ERRCODE = 'RL409';
    END IF;
    posted_id := v_there.id; posted_seq := v_there.seq; was_there := true;
    RETURN;
  END IF;

  -- 3. May it be posted at all?
  IF v_book.halted THEN
    RAISE EXCEPTION 'the book is halted' USING ERRCODE = 'RL423';
  END IF;
  v_recorded_at := greatest(p_at, v_book.recorded_at);
  v_today := (v_recorded_at AT TIME ZONE 'Asia/Tokyo')::date;
  IF p_effective_on > v_today OR p_effective_on <= v_book.closed_through THEN
    RAISE EXCEPTION 'the day lies ahead or in a closed month' USING ERRCODE = 'RL410';
  END IF;
  IF jsonb_array_length(p_moves) = 0 AND p_kind <> 16 THEN
    RAISE EXCEPTION 'nothing moves' USING ERRCODE = 'RL422';
  END IF;

  -- 4. Dates first, so that the next look is computed from the new ones.
  SELECT coalesce(array_agg(d.value ->> 0 ORDER BY place), '{}'), coalesce(array_agg(d.value ->> 1 ORDER BY place), '{}'),
         coalesce(array_agg((d.value ->> 2)::date ORDER BY place), '{}'),
         coalesce(array_agg(CASE d.value ->> 1 WHEN 'guarantee_end_on' THEN c.guarantee_end_on
                                               WHEN 'available_on' THEN c.available_on ELSE c.expires_on END ORDER BY place), '{}')
    INTO v_date_credits, v_date_fields, v_date_days, v_date_olds
    FROM jsonb_array_elements(p_dates) WITH ORDINALITY AS d (value, place)
    JOIN credit c ON c.company_id = p_company AND c.id = d.value ->> 0 AND c.book_id = p_book;
  IF cardinality(v_date_credits) <> jsonb_array_length(p_dates) THEN
    RAISE EXCEPTION 'a date of a credit that is not in this book' USING ERRCODE = 'RL411';
  END IF;
  IF cardinality(v_date_credits) > 0 THEN
    UPDATE credit c SET guarantee_end_on = coalesce(d.guarantee_end_on, c.guarantee_end_on),
           available_on = coalesce(d.available_on, c.available_on), expires_on = coalesce(d.expires_on, c.expires_on)
      FROM (SELECT id, max(day) FILTER (WHERE field = 'guarantee_end_on') AS guarantee_end_on,
                   max(day) FILTER (WHERE field = 'available_on') AS available_on,
                   max(day) FILTER (WHERE field = 'expires_on') AS expires_on
              FROM unnest(v_date_credits, v_date_fields, v_date_days) AS set_to (id, field, day) GROUP BY id) AS d
     WHERE c.company_id = p_company AND c.id = d.id;
  END IF;

  -- 5. Every move by a rule, every credit from where it stands.
  FOR v_move IN
    SELECT (m.value ->> 0)::smallint AS unit, m.value ->> 1 AS credit_id, (m.value ->> 2)::smallint AS source,
           (m.value ->> 3)::smallint AS target, (m.value ->> 4)::integer AS qty, r.touches_state
      FROM jsonb_array_elements(p_moves) WITH ORDINALITY AS m (value, place)
      LEFT JOIN ledger_rule r
        ON r.kind = p_kind AND r.unit = (m.value ->> 0)::smallint AND r.from_bucket = (m.value ->> 2)::smallint
       AND r.to_bucket = (m.value ->> 3)::smallint AND (r.only_reason IS NULL OR r.only_reason = p_reason)
     ORDER BY m.place
  LOOP
    IF v_move.touches_state IS NULL OR v_move.qty < 1 THEN
      RAISE EXCEPTION 'kind % does not move % of unit % from % to %', p_kind, v_move.qty, v_move.unit, v_move.source, v_move.target
        USING ERRCODE = 'RL422';
    END IF;
    v_value := 0;
    IF v_move.unit = 1 AND v_move.source = 0 THEN
      INSERT INTO credit (company_id, id, agency_id, book_id, grant_key, agreement_id, agreement_version, placement_id, relay_id,
                          terms, bucket, started_on, guarantee_end_on, value_cap_jpy, reference_value_jpy, look_at)
      SELECT p_company, c.id, v_book.agency_id, p_book, p_key, c.agreement_id, c.agreement_version, c.placement_id, c.relay_id,
             c.terms, v_move.target, c.started_on, c.guarantee_end_on, c.value_cap_jpy, c.reference_value_jpy,
             (c.guarantee_end_on + 1)::timestamp AT TIME ZONE 'Asia/Tokyo'
        FROM jsonb_to_recordset(p_credits) AS c (
               id text, agreement_id text, agreement_version integer, placement_id text, relay_id text, terms jsonb,
               started_on date, guarantee_end_on date, value_cap_jpy bigint, reference_value_jpy bigint)
       WHERE c.id = v_move.credit_id
      RETURNING reference_value_jpy INTO v_value;
    ELSIF v_move.unit = 1 AND v_move.touches_state THEN
      UPDATE credit c SET bucket = v_move.target, frozen_from = CASE WHEN v_move.target = 4 THEN v_move.source END,
             look_at = (CASE v_move.target WHEN 1 THEN c.guarantee_end_on WHEN 2 THEN c.expires_on END + 1)::timestamp
                       AT TIME ZONE 'Asia/Tokyo'
       WHERE c.company_id = p_company AND c.id = v_move.credit_id AND c.book_id = p_book AND c.bucket = v_move.source
      RETURNING c.reference_value_jpy INTO v_value;
    ELSIF v_move.unit = 1 THEN
      SELECT c.reference_value_jpy INTO v_value FROM credit c
       WHERE c.company_id = p_company AND c.id = v_move.credit_id AND c.book_id = p_book;
    END IF;
    IF v_value IS NULL THEN
      RAISE EXCEPTION 'the credit is not where it was taken from' USING ERRCODE = 'RL411';
    END IF;
    v_parts := v_parts || ARRAY[v_move.unit::text, v_move.credit_id, v_move.source::text, v_move.target::text,
                                v_move.qty::text, v_value::text];
    v_units := v_units || ARRAY[v_move.unit, v_move.unit];
    v_credits := v_credits || ARRAY[v_move.credit_id, v_move.credit_id];
    v_buckets := v_buckets || ARRAY[v_move.source, v_move.target];
    v_qtys := v_qtys || ARRAY[-v_move.qty, v_move.qty];
    v_values := v_values || ARRAY[-v_value, v_value];
  END LOOP;

  -- 6. Balances; their CHECK refuses a wrong sign.
  UPDATE ledger_balance b SET qty = b.qty + d.qty, reference_value_jpy = b.reference_value_jpy + d.value, version = b.version + 1
    FROM (SELECT unit, bucket, sum(qty)::integer AS qty, sum(value)::bigint AS value
            FROM unnest(v_units, v_buckets, v_qtys, v_values) AS moved (unit, bucket, qty, value) GROUP BY unit, bucket) AS d
   WHERE b.company_id = p_company AND b.book_id = p_book AND b.unit = d.unit AND b.bucket = d.bucket;

  -- 7. The transaction, chained; all its entries in one statement; the new head.
  SELECT coalesce(array_agg(part ORDER BY place, n), '{}') INTO v_dates
    FROM unnest(v_date_credits, v_date_fields, v_date_days) WITH ORDINALITY AS set_to (id, field, day, place),
         unnest(ARRAY[id, field, to_char(day, 'YYYY-MM-DD')]) WITH ORDINALITY AS parts (part, n);
  posted_seq := v_book.last_seq + 1;
  v_hash := ledger_hash(v_book.head_hash, p_book, posted_seq, p_kind, p_effective_on, v_recorded_at, p_key, p_fingerprint,
                        p_actor, p_reason, v_parts, v_dates);
  INSERT INTO ledger_tx (company_id, agency_id, book_id, seq, kind, effective_on, recorded_at, business_key, fingerprint,
                         actor, reason_code, hash, xid)
  VALUES (p_company, v_book.agency_id, p_book, posted_seq, p_kind, p_effective_on, v_recorded_at, p_key, p_fingerprint,
          p_actor, p_reason, v_hash, pg_current_xact_id())
  RETURNING id INTO posted_id;
  INSERT INTO ledger_entry (company_id, tx_id, ord, agency_id, book_id, unit, bucket, credit_id, qty, reference_value_jpy, balance_after)
  SELECT p_company, posted_id, e.ord, v_book.agency_id, p_book, e.unit, e.bucket, e.credit_id, e.qty, e.value,
         b.qty - sum(e.qty) OVER (PARTITION BY e.unit, e.bucket)
               + sum(e.qty) OVER (PARTITION BY e.unit, e.bucket ORDER BY e.ord)
    FROM unnest(v_units, v_buckets, v_credits, v_qtys, v_values) WITH ORDINALITY AS e (unit, bucket, credit_id, qty, value, ord)
    JOIN ledger_balance b ON b.company_id = p_company AND b.book_id = p_book AND b.unit = e.unit AND b.bucket = e.bucket;
  INSERT INTO credit_date_change (company_id, tx_id, ord, agency_id, book_id, credit_id, field, old_date, new_date)
  SELECT p_company, posted_id, d.ord, v_book.agency_id, p_book, d.id, d.field, d.old, d.day
    FROM unnest(v_date_credits, v_date_fields, v_date_olds, v_date_days) WITH ORDINALITY AS d (id, field, old, day, ord);
  UPDATE book b SET last_seq = posted_seq, head_hash = v_hash, recorded_at = v_recorded_at
   WHERE b.company_id = p_company AND b.id = p_book;
  was_there := false;
END $$
-------------------------------------------------------------------------------
CREATE FUNCTION ledger_halt(p_company text, p_book text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  -- A check failed: the book is read and not written until an operator has looked (ledger_resume).
  UPDATE book b SET halted = true
   WHERE b.company_id = p_company AND b.id = p_book AND b.company_id = current_setting('relay.company_id', true);
END $$
-------------------------------------------------------------------------------
CREATE FUNCTION ledger_resume(p_company text, p_book text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  -- For the operator, who signs in as the migrations' owner; the application may not.
  UPDATE book b SET halted = false
   WHERE b.company_id = p_company AND b.id = p_book AND b.company_id = current_setting('relay.company_id', true);
END $$
