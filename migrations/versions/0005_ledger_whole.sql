-- The posting function in its second form: it keeps the request, moves a posting's credits in one
-- statement, looks for the assent behind a correction, and a month can be closed.

CREATE FUNCTION ledger_close_at(p_day date) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
  -- The month of a day is closed on the fifth of the next one, ten past midnight in Japan.
  SELECT (date_trunc('month', p_day::timestamp) + interval '1 month 4 days 10 minutes') AT TIME ZONE 'Asia/Tokyo'
$$
-------------------------------------------------------------------------------
DROP FUNCTION ledger_open_book(text, text, text, timestamptz)
-------------------------------------------------------------------------------
CREATE FUNCTION ledger_open_book(p_id text, p_company text, p_agency text, p_at timestamptz) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  v_id text;
BEGIN
  IF p_company IS DISTINCT FROM current_setting('relay.company_id', true) THEN
    RAISE EXCEPTION 'a book is opened for the company one works for' USING ERRCODE = 'RL404';
  END IF;
  INSERT INTO book (company_id, id, agency_id, last_seq, head_hash, recorded_at, halted, close_at)
  VALUES (p_company, p_id, p_agency, 0, decode(repeat('00', 32), 'hex'), p_at, false,
          ledger_close_at((p_at AT TIME ZONE 'Asia/Tokyo')::date))
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
CREATE FUNCTION ledger_close(p_company text, p_book text, p_through date, p_at timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  -- Months are closed one after the other, when they are over; never opened again.
  IF p_through <> (date_trunc('month', p_through) + interval '1 month - 1 day')::date
     OR p_through >= (p_at AT TIME ZONE 'Asia/Tokyo')::date THEN
    RAISE EXCEPTION 'only a month that is over is closed' USING ERRCODE = 'RL410';
  END IF;
  UPDATE book b SET closed_through = p_through, close_at = ledger_close_at(p_through + 1)
   WHERE b.company_id = p_company AND b.id = p_book AND b.company_id = current_setting('relay.company_id', true)
     AND (b.closed_through IS NULL OR b.closed_through < p_through);
  RETURN FOUND;
END $$
-------------------------------------------------------------------------------
DROP FUNCTION ledger_post(text, text, smallint, date, timestamptz, text, bytea, text, text, jsonb, jsonb, jsonb)
-------------------------------------------------------------------------------
CREATE FUNCTION ledger_post(
  p_company text, p_book text, p_kind smallint, p_effective_on date, p_at timestamptz, p_key text, p_fingerprint bytea,
  p_actor text, p_reason text, p_units smallint[], p_credits text[], p_sources smallint[], p_targets smallint[], p_qtys integer[],
  p_date_credits text[], p_date_fields text[], p_date_days date[], p_new jsonb, p_request jsonb,
  OUT posted_id bigint, OUT posted_seq bigint, OUT was_there boolean
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  v_book book%ROWTYPE;
  v_there ledger_tx%ROWTYPE;
  v_recorded_at timestamptz;
  v_hash bytea;
  v_wrong integer;
  v_moving integer;
  v_moved integer;
  v_parts text[];
  v_values bigint[];
  v_dates text[] := '{}';
  v_olds date[] := '{}';
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
  IF p_effective_on > (v_recorded_at AT TIME ZONE 'Asia/Tokyo')::date OR p_effective_on <= v_book.closed_through THEN
    RAISE EXCEPTION 'the day lies ahead or in a closed month' USING ERRCODE = 'RL410';
  END IF;
  IF cardinality(p_units) = 0 AND p_kind <> 16 THEN
    RAISE EXCEPTION 'nothing moves' USING ERRCODE = 'RL422';
  END IF;
  IF p_kind = 13 OR p_key LIKE 'adjust:%' THEN
    PERFORM ledger_assent(p_company, p_book, p_kind, p_key, p_credits, p_date_credits);
  END IF;

  -- 4. Every move by a rule.
  SELECT count(*) FILTER (WHERE r.kind IS NULL OR m.qty < 1),
         count(*) FILTER (WHERE m.unit = 1 AND m.source <> 0 AND r.touches_state)
    INTO v_wrong, v_moving
    FROM unnest(p_units, p_sources, p_targets, p_qtys) AS m (unit, source, target, qty)
    LEFT JOIN ledger_rule r
      ON r.kind = p_kind AND r.unit = m.unit AND r.from_bucket = m.source AND r.to_bucket = m.target
     AND (r.only_reason IS NULL OR r.only_reason = p_reason);
  IF v_wrong > 0 THEN
    RAISE EXCEPTION 'kind % does not move so', p_kind USING ERRCODE = 'RL422';
  END IF;

  -- 5. New credits first, then dates, so that the next look is computed from the new ones; then the moves.
  IF jsonb_array_length(p_new) > 0 THEN
    INSERT INTO credit (company_id, id, agency_id, book_id, grant_key, agreement_id, agreement_version, placement_id, relay_id,
                        terms, bucket, started_on, guarantee_end_on, value_cap_jpy, reference_value_jpy, look_at)
    SELECT p_company, c.id, v_book.agency_id, p_book, p_key, c.agreement_id, c.agreement_version, c.placement_id, c.relay_id,
           c.terms, m.target, c.started_on, c.guarantee_end_on, c.value_cap_jpy, c.reference_value_jpy,
           CASE m.target WHEN 1 THEN (c.guarantee_end_on + 1)::timestamp AT TIME ZONE 'Asia/Tokyo' END
      FROM jsonb_to_recordset(p_new) AS c (
             id text, agreement_id text, agreement_version integer, placement_id text, relay_id text, terms jsonb,
             started_on date, guarantee_end_on date, value_cap_jpy bigint, reference_value_jpy bigint)
      JOIN unnest(p_units, p_credits, p_sources, p_targets) AS m (unit, credit_id, source, target)
        ON m.credit_id = c.id AND m.unit = 1 AND m.source = 0;
  END IF;
  IF cardinality(p_date_credits) > 0 THEN
    SELECT array_agg(CASE d.field WHEN 'guarantee_end_on' THEN c.guarantee_end_on
                                  WHEN 'available_on' THEN c.available_on ELSE c.expires_on END ORDER BY d.place)
      INTO v_olds
      FROM unnest(p_date_credits, p_date_fields) WITH ORDINALITY AS d (id, field, place)
      JOIN credit c ON c.company_id = p_company AND c.id = d.id AND c.book_id = p_book;
    IF coalesce(cardinality(v_olds), 0) <> cardinality(p_date_credits) THEN
      RAISE EXCEPTION 'a date of a credit that is not in this book' USING ERRCODE = 'RL411';
    END IF;
    UPDATE credit c SET guarantee_end_on = coalesce(d.guarantee_end_on, c.guarantee_end_on),
           available_on = coalesce(d.available_on, c.available_on), expires_on = coalesce(d.expires_on, c.expires_on),
           look_at = (CASE c.bucket WHEN 1 THEN coalesce(d.guarantee_end_on, c.guarantee_end_on)
                                    WHEN 2 THEN coalesce(d.expires_on, c.expires_on) END + 1)::timestamp AT TIME ZONE 'Asia/Tokyo'
      FROM (SELECT id, max(day) FILTER (WHERE field = 'guarantee_end_on') AS guarantee_end_on,
                   max(day) FILTER (WHERE field = 'available_on') AS available_on,
                   max(day) FILTER (WHERE field = 'expires_on') AS expires_on
              FROM unnest(p_date_credits, p_date_fields, p_date_days) AS set_to (id, field, day) GROUP BY id) AS d
     WHERE c.company_id = p_company AND c.id = d.id;
    SELECT array_agg(part ORDER BY place, n) INTO v_dates
      FROM unnest(p_date_credits, p_date_fields, p_date_days) WITH ORDINALITY AS set_to (id, field, day, place),
           unnest(ARRAY[id, field, to_char(day, 'YYYY-MM-DD')]) WITH ORDINALITY AS parts (part, n);
  END IF;
  IF v_moving > 0 THEN
    UPDATE credit c SET bucket = m.target, frozen_from = CASE WHEN m.target = 4 THEN m.source END,
           look_at = (CASE m.target WHEN 1 THEN c.guarantee_end_on WHEN 2 THEN c.expires_on END + 1)::timestamp
                     AT TIME ZONE 'Asia/Tokyo'
      FROM unnest(p_units, p_credits, p_sources, p_targets) AS m (unit, credit_id, source, target)
      JOIN ledger_rule r
        ON r.kind = p_kind AND r.unit = m.unit AND r.from_bucket = m.source AND r.to_bucket = m.target AND r.touches_state
     WHERE m.unit = 1 AND m.source <> 0 AND c.company_id = p_company AND c.id = m.credit_id AND c.book_id = p_book
       AND c.bucket = m.source AND (p_kind <> 9 OR c.frozen_from = m.target);
    GET DIAGNOSTICS v_moved = ROW_COUNT;
    IF v_moved <> v_moving THEN
      RAISE EXCEPTION 'a credit is not where it was taken from' USING ERRCODE = 'RL411';
    END IF;
  END IF;

  -- 6. What each move carries; a move of a credit that is not in this book carries nothing, and is refused.
  SELECT coalesce(array_agg(CASE m.unit WHEN 1 THEN c.reference_value_jpy ELSE 0 END ORDER BY m.place), '{}') INTO v_values
    FROM unnest(p_units, p_credits) WITH ORDINALITY AS m (unit, credit_id, place)
    LEFT JOIN credit c ON c.company_id = p_company AND c.id = m.credit_id AND c.book_id = p_book;
  IF array_position(v_values, NULL) IS NOT NULL THEN
    RAISE EXCEPTION 'a credit is not in this book' USING ERRCODE = 'RL411';
  END IF;
  SELECT coalesce(array_agg(p.part ORDER BY m.place, p.n), '{}') INTO v_parts
    FROM unnest(p_units, p_credits, p_sources, p_targets, p_qtys, v_values) WITH ORDINALITY
           AS m (unit, credit_id, source, target, qty, value, place),
         unnest(ARRAY[m.unit::text, m.credit_id, m.source::text, m.target::text, m.qty::text, m.value::text])
           WITH ORDINALITY AS p (part, n);

  -- 7. The transaction, chained; balances (their CHECK refuses a wrong sign); all entries in one statement; the new head.
  posted_seq := v_book.last_seq + 1;
  v_hash := ledger_hash(v_book.head_hash, p_book, posted_seq, p_kind, p_effective_on, v_recorded_at, p_key, p_fingerprint,
                        p_actor, p_reason, v_parts, v_dates);
  INSERT INTO ledger_tx (company_id, agency_id, book_id, seq, kind, effective_on, recorded_at, business_key, fingerprint,
                         actor, reason_code, request, hash, xid)
  VALUES (p_company, v_book.agency_id, p_book, posted_seq, p_kind, p_effective_on, v_recorded_at, p_key, p_fingerprint,
          p_actor, p_reason, p_request, v_hash, pg_current_xact_id())
  RETURNING id INTO posted_id;
  WITH side AS (
    SELECT 2 * m.place - 1 AS ord, m.unit, m.source AS bucket, m.credit_id, -m.qty AS qty, -m.value AS value
      FROM unnest(p_units, p_credits, p_sources, p_qtys, v_values) WITH ORDINALITY AS m (unit, credit_id, source, qty, value, place)
    UNION ALL
    SELECT 2 * m.place, m.unit, m.target, m.credit_id, m.qty, m.value
      FROM unnest(p_units, p_credits, p_targets, p_qtys, v_values) WITH ORDINALITY AS m (unit, credit_id, target, qty, value, place)
  ), changed AS (
    UPDATE ledger_balance b SET qty = b.qty + d.qty, reference_value_jpy = b.reference_value_jpy + d.value, version = b.version + 1
      FROM (SELECT unit, bucket, sum(qty)::integer AS qty, sum(value)::bigint AS value FROM side GROUP BY unit, bucket) AS d
     WHERE b.company_id = p_company AND b.book_id = p_book AND b.unit = d.unit AND b.bucket = d.bucket
    RETURNING b.unit, b.bucket, b.qty
  )
  INSERT INTO ledger_entry (company_id, tx_id, ord, agency_id, book_id, unit, bucket, credit_id, qty, reference_value_jpy, balance_after)
  SELECT p_company, posted_id, e.ord, v_book.agency_id, p_book, e.unit, e.bucket, e.credit_id, e.qty, e.value,
         c.qty - sum(e.qty) OVER (PARTITION BY e.unit, e.bucket)
               + sum(e.qty) OVER (PARTITION BY e.unit, e.bucket ORDER BY e.ord)
    FROM side e JOIN changed c ON c.unit = e.unit AND c.bucket = e.bucket;
  IF cardinality(p_date_credits) > 0 THEN
    INSERT INTO credit_date_change (company_id, tx_id, ord, agency_id, book_id, credit_id, field, old_date, new_date)
    SELECT p_company, posted_id, d.ord, v_book.agency_id, p_book, d.id, d.field, d.old, d.day
      FROM unnest(p_date_credits, p_date_fields, v_olds, p_date_days) WITH ORDINALITY AS d (id, field, old, day, ord);
  END IF;
  UPDATE book b SET last_seq = posted_seq, head_hash = v_hash, recorded_at = v_recorded_at
   WHERE b.company_id = p_company AND b.id = p_book;
  was_there := false;
END $$
-------------------------------------------------------------------------------
CREATE FUNCTION ledger_assent(p_company text, p_book text, p_kind smallint, p_key text, p_credits text[], p_dated text[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  v_asked adjustment%ROWTYPE;
BEGIN
  -- A correction is posted for a row that two people asked for and whom it burdens agreed to (CHECKs of `adjustment`).
  SELECT * INTO v_asked FROM adjustment a
   WHERE a.company_id = p_company AND a.book_id = p_book AND 'adjust:' || a.id = p_key AND a.state = 'assented';
  IF NOT FOUND
     OR p_kind <> (CASE v_asked.kind WHEN 'extend' THEN 16 WHEN 'settle' THEN 12 ELSE 13 END)
     OR (v_asked.kind = 'issue' AND cardinality(p_credits) <> v_asked.count)
     OR (v_asked.kind IN ('take', 'settle') AND NOT to_jsonb(p_credits) <@ v_asked.credit_ids)
     OR (v_asked.kind = 'extend' AND NOT to_jsonb(p_dated) <@ v_asked.credit_ids) THEN
    RAISE EXCEPTION 'nobody assented to this correction' USING ERRCODE = 'RL424';
  END IF;
END $$
