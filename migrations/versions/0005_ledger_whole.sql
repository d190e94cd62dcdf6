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
  v_agency text;
  v_seq bigint;
  v_head bytea;
  v_recorded_at timestamptz;
  v_halted boolean;
  v_closed_through date;
  v_key text;
  v_fingerprint bytea;
  v_hash bytea;
  v_moves integer := cardinality(p_units);
  v_dates integer := cardinality(p_date_credits);
  v_unit smallint;
  v_credit text;
  v_source smallint;
  v_target smallint;
  v_qty integer;
  v_value bigint;
  v_values bigint[];
  v_touches boolean;
  v_touching boolean[];
  v_moved text[] := '{}';
  v_olds date[];
  v_guarantee_end_on date;
  v_available_on date;
  v_expires_on date;
  v_move_parts text[] := '{}';
  v_date_parts text[] := '{}';
BEGIN
  -- 1. One posting at a time per book, and only in a book of the tenant this transaction works for.
  SELECT b.agency_id, b.last_seq, b.head_hash, greatest(p_at, b.recorded_at), b.halted, b.closed_through
    INTO v_agency, v_seq, v_head, v_recorded_at, v_halted, v_closed_through
    FROM book b
   WHERE b.company_id = p_company AND b.id = p_book
     AND (b.company_id = current_setting('relay.company_id', true) OR b.agency_id = current_setting('relay.agency_id', true))
     FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'no such book' USING ERRCODE = 'RL404';
  END IF;

  -- 2. The same event again is the same transaction; the same key for another event is refused. Asked for as the first key
  -- from here on: asked for as equal, the planner may take the index of numbers instead and read the whole book.
  SELECT t.id, t.seq, t.fingerprint, t.business_key INTO posted_id, posted_seq, v_fingerprint, v_key FROM ledger_tx t
   WHERE t.company_id = p_company AND t.book_id = p_book AND t.business_key >= p_key
   ORDER BY t.business_key LIMIT 1;
  IF v_key = p_key THEN
    IF v_fingerprint <> p_fingerprint THEN
      RAISE EXCEPTION 'this key stands for another posting' USING ERRCODE = 'RL409';
    END IF;
    was_there := true;
    RETURN;
  END IF;

  -- 3. May it be posted at all?
  IF v_halted THEN
    RAISE EXCEPTION 'the book is halted' USING ERRCODE = 'RL423';
  END IF;
  IF p_effective_on > (v_recorded_at AT TIME ZONE 'Asia/Tokyo')::date OR p_effective_on <= v_closed_through THEN
    RAISE EXCEPTION 'the day lies ahead or in a closed month' USING ERRCODE = 'RL410';
  END IF;
  IF v_moves = 0 AND p_kind <> 16 THEN
    RAISE EXCEPTION 'nothing moves' USING ERRCODE = 'RL422';
  END IF;
  IF p_kind = 13 OR p_key LIKE 'adjust:%' THEN
    PERFORM ledger_assent(p_company, p_book, p_kind, p_key, p_credits, p_sources, p_date_credits, p_date_days);
  ELSIF (p_kind = 16 AND p_key NOT LIKE 'tail:%') OR (p_kind = 12 AND v_moves <> 2)
        OR (v_dates > 0 AND p_kind NOT IN (1, 2, 6, 9, 16)) THEN
    RAISE EXCEPTION 'a last day or a debt is changed by a correction only' USING ERRCODE = 'RL424';
  END IF;

  -- 4. Every move by a rule; what comes out of `issued` brings its credit.
  FOR n IN 1 .. v_moves LOOP
    v_unit := p_units[n]; v_credit := p_credits[n]; v_source := p_sources[n]; v_target := p_targets[n];
    SELECT r.touches_state INTO v_touches FROM ledger_rule r
     WHERE r.kind = p_kind AND r.unit = v_unit AND r.from_bucket = v_source AND r.to_bucket = v_target
       AND (r.only_reason IS NULL OR r.only_reason = p_reason);
    IF NOT FOUND OR p_qtys[n] < 1 THEN
      RAISE EXCEPTION 'kind % does not move so', p_kind USING ERRCODE = 'RL422';
    END IF;
    v_touching[n] := v_touches AND v_source <> 0;
    IF p_kind = 12 AND v_target = 8 AND NOT EXISTS (
         SELECT FROM ledger_entry e WHERE e.company_id = p_company AND e.book_id = p_book AND e.credit_id = v_credit
            AND e.bucket = 8 AND e.unit = 1 HAVING sum(e.qty) < 0) THEN
      RAISE EXCEPTION 'nothing is owed for this credit' USING ERRCODE = 'RL411';
    END IF;
    IF v_unit = 1 AND v_source = 0 THEN
      INSERT INTO credit (company_id, id, agency_id, book_id, grant_key, agreement_id, agreement_version, placement_id, relay_id,
                          terms, bucket, started_on, guarantee_end_on, value_cap_jpy, reference_value_jpy, look_at)
      SELECT p_company, c.id, v_agency, p_book, p_key, c.agreement_id, c.agreement_version, c.placement_id, c.relay_id,
             c.terms, v_target, c.started_on, c.guarantee_end_on, c.value_cap_jpy, c.reference_value_jpy,
             CASE v_target WHEN 1 THEN (c.guarantee_end_on + 1)::timestamp AT TIME ZONE 'Asia/Tokyo' END
        FROM jsonb_to_recordset(p_new) AS c (
               id text, agreement_id text, agreement_version integer, placement_id text, relay_id text, terms jsonb,
               started_on date, guarantee_end_on date, value_cap_jpy bigint, reference_value_jpy bigint)
       WHERE c.id = v_credit
      RETURNING reference_value_jpy INTO v_value;
      IF NOT FOUND THEN
        RAISE EXCEPTION 'a credit that nobody brought' USING ERRCODE = 'RL411';
      END IF;
      v_values[n] := v_value;
    END IF;
  END LOOP;

  -- 5. What the dates were before.
  IF v_dates > 0 THEN
    SELECT array_agg(CASE d.field WHEN 'guarantee_end_on' THEN c.guarantee_end_on
                                  WHEN 'available_on' THEN c.available_on ELSE c.expires_on END ORDER BY d.place)
      INTO v_olds
      FROM unnest(p_date_credits, p_date_fields) WITH ORDINALITY AS d (id, field, place)
      JOIN credit c ON c.company_id = p_company AND c.id = d.id AND c.book_id = p_book;
    IF coalesce(cardinality(v_olds), 0) <> v_dates THEN
      RAISE EXCEPTION 'a date of a credit that is not in this book' USING ERRCODE = 'RL411';
    END IF;
  END IF;

  -- 6. Each credit moves with its new dates, and says what it carries; the next look is computed from the new dates.
  FOR n IN 1 .. v_moves LOOP
    v_unit := p_units[n]; v_credit := p_credits[n]; v_source := p_sources[n]; v_target := p_targets[n]; v_qty := p_qtys[n];
    IF v_unit <> 1 THEN
      v_value := 0;
    ELSIF v_source = 0 THEN
      v_value := v_values[n];
    ELSIF v_touching[n] THEN
      IF v_dates > 0 THEN
        SELECT max(d.day) FILTER (WHERE d.field = 'guarantee_end_on'), max(d.day) FILTER (WHERE d.field = 'available_on'),
               max(d.day) FILTER (WHERE d.field = 'expires_on')
          INTO v_guarantee_end_on, v_available_on, v_expires_on
          FROM unnest(p_date_credits, p_date_fields, p_date_days) AS d (id, field, day) WHERE d.id = v_credit;
        v_moved := v_moved || v_credit;
      END IF;
      UPDATE credit c
         SET bucket = v_target, frozen_from = CASE WHEN v_target = 4 THEN v_source END,
             guarantee_end_on = coalesce(v_guarantee_end_on, c.guarantee_end_on),
             available_on = coalesce(v_available_on, c.available_on), expires_on = coalesce(v_expires_on, c.expires_on),
             look_at = (CASE v_target WHEN 1 THEN coalesce(v_guarantee_end_on, c.guarantee_end_on)
                                      WHEN 2 THEN coalesce(v_expires_on, c.expires_on) END + 1)::timestamp
                       AT TIME ZONE 'Asia/Tokyo'
       WHERE c.company_id = p_company AND c.id = v_credit AND c.book_id = p_book
         AND c.bucket = v_source AND (p_kind <> 9 OR c.frozen_from = v_target)
      RETURNING c.reference_value_jpy INTO v_value;
    ELSE
      SELECT c.reference_value_jpy INTO v_value FROM credit c
       WHERE c.company_id = p_company AND c.id = v_credit AND c.book_id = p_book;
    END IF;
    IF v_value IS NULL THEN
      RAISE EXCEPTION 'a credit is not where it was taken from' USING ERRCODE = 'RL411';
    END IF;
    v_values[n] := v_value;
    v_move_parts := v_move_parts
      || ARRAY[v_unit::text, v_credit, v_source::text, v_target::text, v_qty::text, v_value::text];
  END LOOP;
  FOR n IN 1 .. v_dates LOOP
    v_date_parts := v_date_parts || ARRAY[p_date_credits[n], p_date_fields[n], to_char(p_date_days[n], 'YYYY-MM-DD')];
  END LOOP;
  IF NOT p_date_credits <@ v_moved THEN
    UPDATE credit c SET guarantee_end_on = coalesce(d.guarantee_end_on, c.guarantee_end_on),
           available_on = coalesce(d.available_on, c.available_on), expires_on = coalesce(d.expires_on, c.expires_on),
           look_at = (CASE c.bucket WHEN 1 THEN coalesce(d.guarantee_end_on, c.guarantee_end_on)
                                    WHEN 2 THEN coalesce(d.expires_on, c.expires_on) END + 1)::timestamp AT TIME ZONE 'Asia/Tokyo'
      FROM (SELECT id, max(day) FILTER (WHERE field = 'guarantee_end_on') AS guarantee_end_on,
                   max(day) FILTER (WHERE field = 'available_on') AS available_on,
                   max(day) FILTER (WHERE field = 'expires_on') AS expires_on
              FROM unnest(p_date_credits, p_date_fields, p_date_days) AS set_to (id, field, day)
             WHERE id <> ALL (v_moved) GROUP BY id) AS d
     WHERE c.company_id = p_company AND c.id = d.id AND c.book_id = p_book;
  END IF;

  -- 7. The transaction, chained; balances (their CHECK refuses a wrong sign); all entries in one statement; the new head.
  posted_seq := v_seq + 1;
  v_hash := ledger_hash(v_head, p_book, posted_seq, p_kind, p_effective_on, v_recorded_at, p_key, p_fingerprint,
                        p_actor, p_reason, v_move_parts, v_date_parts);
  INSERT INTO ledger_tx (company_id, agency_id, book_id, seq, kind, effective_on, recorded_at, business_key, fingerprint,
                         actor, reason_code, request, hash, xid)
  VALUES (p_company, v_agency, p_book, posted_seq, p_kind, p_effective_on, v_recorded_at, p_key, p_fingerprint,
          p_actor, p_reason, p_request, v_hash, pg_current_xact_id())
  RETURNING id INTO posted_id;
  IF v_moves = 1 THEN  -- as nearly always: nothing to add up first
    WITH changed AS (
      UPDATE ledger_balance b
         SET qty = b.qty + CASE b.bucket WHEN v_target THEN v_qty ELSE -v_qty END,
             reference_value_jpy = b.reference_value_jpy + CASE b.bucket WHEN v_target THEN v_value ELSE -v_value END,
             version = b.version + 1
       WHERE b.company_id = p_company AND b.book_id = p_book AND b.unit = v_unit AND b.bucket IN (v_source, v_target)
      RETURNING b.bucket, b.qty
    )
    INSERT INTO ledger_entry (company_id, tx_id, ord, agency_id, book_id, unit, bucket, credit_id, qty, reference_value_jpy,
                              balance_after)
    SELECT p_company, posted_id, CASE c.bucket WHEN v_target THEN 2 ELSE 1 END, v_agency, p_book, v_unit, c.bucket, v_credit,
           CASE c.bucket WHEN v_target THEN v_qty ELSE -v_qty END, CASE c.bucket WHEN v_target THEN v_value ELSE -v_value END,
           c.qty
      FROM changed c;
  ELSIF v_moves > 1 THEN
    WITH side AS (
      SELECT 2 * m.place - 1 AS ord, m.unit, m.source AS bucket, m.credit_id, -m.qty AS qty, -m.value AS value
        FROM unnest(p_units, p_credits, p_sources, p_qtys, v_values) WITH ORDINALITY
               AS m (unit, credit_id, source, qty, value, place)
      UNION ALL
      SELECT 2 * m.place, m.unit, m.target, m.credit_id, m.qty, m.value
        FROM unnest(p_units, p_credits, p_targets, p_qtys, v_values) WITH ORDINALITY
               AS m (unit, credit_id, target, qty, value, place)
    ), changed AS (
      UPDATE ledger_balance b
         SET qty = b.qty + d.qty, reference_value_jpy = b.reference_value_jpy + d.value, version = b.version + 1
        FROM (SELECT unit, bucket, sum(qty)::integer AS qty, sum(value)::bigint AS value FROM side GROUP BY unit, bucket) AS d
       WHERE b.company_id = p_company AND b.book_id = p_book AND b.unit = d.unit AND b.bucket = d.bucket
      RETURNING b.unit, b.bucket, b.qty
    )
    INSERT INTO ledger_entry (company_id, tx_id, ord, agency_id, book_id, unit, bucket, credit_id, qty, reference_value_jpy,
                              balance_after)
    SELECT p_company, posted_id, e.ord, v_agency, p_book, e.unit, e.bucket, e.credit_id, e.qty, e.value,
           c.qty - sum(e.qty) OVER (PARTITION BY e.unit, e.bucket)
                 + sum(e.qty) OVER (PARTITION BY e.unit, e.bucket ORDER BY e.ord)
      FROM side e JOIN changed c ON c.unit = e.unit AND c.bucket = e.bucket;
  END IF;
  IF v_dates > 0 THEN
    INSERT INTO credit_date_change (company_id, tx_id, ord, agency_id, book_id, credit_id, field, old_date, new_date)
    SELECT p_company, posted_id, d.ord, v_agency, p_book, d.id, d.field, d.old, d.day
      FROM unnest(p_date_credits, p_date_fields, v_olds, p_date_days) WITH ORDINALITY AS d (id, field, old, day, ord);
  END IF;
  UPDATE book b SET last_seq = posted_seq, head_hash = v_hash, recorded_at = v_recorded_at
   WHERE b.company_id = p_company AND b.id = p_book;
  was_there := false;
END $$
-------------------------------------------------------------------------------
CREATE FUNCTION ledger_assent(p_company text, p_book text, p_kind smallint, p_key text, p_credits text[], p_sources smallint[], p_dated text[], p_days date[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  v_asked adjustment%ROWTYPE;
BEGIN
  -- A correction is posted for a row that two people asked for and whom it burdens agreed to (CHECKs of `adjustment`).
  SELECT * INTO v_asked FROM adjustment a
   WHERE a.company_id = p_company AND a.book_id = p_book AND 'adjust:' || a.id = p_key AND a.state = 'assented';
  IF NOT FOUND
     OR p_kind <> (CASE v_asked.kind WHEN 'extend' THEN 16 WHEN 'settle' THEN 12 ELSE 13 END)
     OR (v_asked.agreed_by IS NULL AND v_asked.dispute_id IS NOT NULL AND NOT EXISTS (
           SELECT FROM dispute d WHERE d.company_id = p_company AND d.id = v_asked.dispute_id
              AND d.agency_id = v_asked.agency_id AND d.state = 'final' AND d.outcome = 'for_' || v_asked.party))
     OR (v_asked.kind = 'issue' AND (cardinality(p_credits) <> v_asked.count OR NOT p_sources <@ ARRAY[0::smallint]))
     OR (v_asked.kind IN ('take', 'settle') AND NOT to_jsonb(p_credits) <@ v_asked.credit_ids)
     OR (v_asked.kind = 'extend' AND NOT (to_jsonb(p_dated) <@ v_asked.credit_ids AND v_asked.expires_on = ALL (p_days))) THEN
    RAISE EXCEPTION 'nobody assented to this correction' USING ERRCODE = 'RL424';
  END IF;
END $$
