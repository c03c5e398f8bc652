-- The figures of the shop's year a second way: SQL over the facts as they stand in the file, from the contract alone.
-- A fact counts once. No code is shared with the ledger. $file is NDJSON; times are microseconds, `day` and `month` are Shanghai's.

CREATE TABLE facts AS
WITH raw AS (
    SELECT row_number() OVER () AS pos, *
    FROM read_ndjson($file, columns = {
        id: 'VARCHAR', source: 'VARCHAR', type: 'VARCHAR', subject: 'VARCHAR', time: 'TIMESTAMPTZ', data: 'JSON'
    })
)
SELECT pos, replace(type, '.v1', '') AS type, subject AS member, epoch_us(time) AS moment, data,
       make_timestamp(epoch_us(time) + 28800000000) AS shanghai,
       strftime(shanghai, '%Y-%m-%d') AS day, year(shanghai) * 12 + month(shanghai) - 1 AS month
FROM raw
QUALIFY row_number() OVER (PARTITION BY source, id, subject ORDER BY pos) = 1;

-- == orders and what comes back ==

CREATE TABLE lines AS
SELECT pos, member, moment, month, data->>'order' AS order_, unnest(from_json(data->'lines',
           '[{"line": "VARCHAR", "category": "VARCHAR", "quantity": "BIGINT", "paid_fen": "BIGINT", "points": "BIGINT"}]'
       ), max_depth := 2), generate_subscripts(data->'lines'->'$[*]', 1) AS place
FROM facts WHERE type = 'order.completed';

CREATE TABLE back AS
SELECT b.pos, b.member, b.order_, b.line, b.quantity, b.refund_fen, coalesce(b.points, 0) AS points
FROM (
    SELECT pos, member, data->>'order' AS order_, unnest(from_json(data->'lines',
           '[{"line": "VARCHAR", "quantity": "BIGINT", "refund_fen": "BIGINT", "points": "BIGINT"}]'), max_depth := 2)
    FROM facts WHERE type = 'order.returned'
) b SEMI JOIN lines l ON l.member = b.member AND l.order_ = b.order_ AND l.line = b.line AND l.pos < b.pos;

-- == PLUS: the terms after each card event, the cards in stream order ==

CREATE TABLE cards AS
SELECT pos, member, moment, type, data->>'card' AS card, data->>'product' AS product,
       coalesce((data->>'paid_fen')::BIGINT, 0) AS paid_fen, row_number() OVER (PARTITION BY member ORDER BY pos) AS number
FROM facts WHERE type LIKE 'card.%';

CREATE TABLE terms AS
WITH RECURSIVE laid AS (
    SELECT member, 0::BIGINT AS number, 0::BIGINT AS pos,
           []::STRUCT(card VARCHAR, product VARCHAR, since BIGINT, until BIGINT)[] AS terms
    FROM (SELECT DISTINCT member FROM cards)
    UNION ALL
    SELECT c.member, c.number, c.pos,
        CASE
            WHEN c.type = 'card.refunded' THEN list_transform(terms, lambda t: CASE
                WHEN t.card = c.card AND t.until > c.moment
                THEN {card: t.card, product: t.product, since: t.since, until: greatest(t.since, c.moment)} ELSE t END)
            WHEN c.type = 'card.trial-started' AND (
                len(list_filter(terms, lambda t: t.product = 'plus.trial' OR t.until > c.moment)) > 0) THEN terms
            ELSE list_append(
                list_transform(terms, lambda t: CASE  -- a trial ends at payment
                    WHEN t.product = 'plus.trial' AND t.since <= c.moment AND c.moment < t.until
                    THEN {card: t.card, product: t.product, since: t.since, until: c.moment} ELSE t END),
                {card: c.card, product: c.product,
                 since: greatest(c.moment, coalesce(list_max(list_transform(terms, lambda t: CASE
                    WHEN t.product = 'plus.trial' AND t.since <= c.moment AND c.moment < t.until THEN c.moment ELSE t.until END)), 0)),
                 until: greatest(c.moment, coalesce(list_max(list_transform(terms, lambda t: CASE
                    WHEN t.product = 'plus.trial' AND t.since <= c.moment AND c.moment < t.until THEN c.moment ELSE t.until END)), 0))
                    + CASE c.product WHEN 'plus.annual' THEN 365 WHEN 'plus.quarter' THEN 90 ELSE 30 END
                    * 86400 * 1000000::BIGINT})
        END
    FROM laid JOIN cards c ON c.member = laid.member AND c.number = laid.number + 1
)
SELECT * FROM laid;

-- What stands in the way of the plain reading above: nothing, as long as this stays empty.
CREATE TABLE unexpected AS
SELECT 'a card was refunded that others stand behind' AS what FROM cards r JOIN cards c
    ON c.member = r.member AND r.type = 'card.refunded' AND c.card <> r.card AND c.pos < r.pos
    AND c.number > (SELECT min(number) FROM cards o WHERE o.member = r.member AND o.card = r.card)
UNION ALL SELECT 'an order completed twice' FROM lines GROUP BY member, order_, line HAVING count(*) > 1
UNION ALL SELECT 'a return before its order completed' FROM facts f JOIN lines l ON l.member = f.member
    AND f.type = 'order.returned' AND l.order_ = f.data->>'order' AND l.pos > f.pos
UNION ALL SELECT 'a business id came twice' FROM facts WHERE type NOT LIKE 'order.%' AND type NOT LIKE 'card.%'
    AND type NOT IN ('review.removed', 'hold.captured', 'hold.released', 'redemption.reversed')
    GROUP BY member, type, coalesce(data->>'review', data->>'answer', data->>'share', data->>'grant',
        data->>'redemption', data->>'hold', data->>'claim', data->>'adjustment', data->>'lot', pos::VARCHAR)
    HAVING count(*) > 1
UNION ALL SELECT 'a fact too late for the book' FROM facts WHERE moment < epoch_us('2024-11-20T00:00:00Z'::TIMESTAMPTZ);

-- == what each line earned: PLUS up to the card's cap, else the ordinary rule ==

CREATE TABLE plus_lines AS
SELECT l.member, l.order_, l.line, t.card, l.paid_fen // 100 AS beans, CASE t.product
           WHEN 'plus.annual' THEN 50000 WHEN 'plus.quarter' THEN 12000 ELSE 4000 END AS cap,
       row_number() OVER (PARTITION BY l.member, t.card ORDER BY l.pos, l.place) AS number
FROM (
    SELECT l.*, unnest(list_filter(terms, lambda t: t.since <= l.moment AND l.moment < t.until)) AS t
    FROM lines l ASOF JOIN terms ON terms.member = l.member AND terms.pos < l.pos
) l
WHERE coalesce(l.category, '') NOT IN ('virtual', 'investment-gold', 'car') AND l.paid_fen >= 100;

CREATE TABLE given_by_plus AS
WITH RECURSIVE filled AS (
    SELECT member, card, 0::BIGINT AS number, 0::BIGINT AS used, false AS fits FROM plus_lines GROUP BY ALL
    UNION ALL
    SELECT p.member, p.card, p.number, used + CASE WHEN used + p.beans <= p.cap THEN p.beans ELSE 0 END,
           used + p.beans <= p.cap
    FROM filled JOIN plus_lines p ON p.member = filled.member AND p.card = filled.card AND p.number = filled.number + 1
)
SELECT p.* FROM filled JOIN plus_lines p USING (member, card, number) WHERE fits;

CREATE TABLE earned AS
SELECT l.*, p.card IS NOT NULL AS by_plus, CASE
           WHEN l.paid_fen < 5000 OR l.category IN ('virtual', 'investment-gold', 'car') THEN 0
           ELSE least(l.paid_fen // 1000, 1000) END AS ordinary,
       coalesce(p.beans, ordinary) AS beans,
       l.paid_fen // 100 AS score
FROM lines l LEFT JOIN given_by_plus p USING (member, order_, line);

-- A card that had a price and came back whole: what its rate gave counts from then on as what the ordinary rule gives.
CREATE TABLE came_back AS
SELECT r.pos, e.member, e.order_, e.line, e.ordinary
FROM facts r
JOIN cards c ON c.member = r.member AND c.type = 'card.purchased' AND c.card = r.data->>'card' AND c.pos < r.pos
JOIN given_by_plus p ON p.member = r.member AND p.card = c.card
JOIN earned e ON e.member = p.member AND e.order_ = p.order_ AND e.line = p.line AND e.pos < r.pos
WHERE r.type = 'card.refunded' AND c.paid_fen > 0 AND (r.data->>'refund_fen')::BIGINT >= c.paid_fen;

-- K = 0 once every piece is back, otherwise A * (P - F) / P rounded down: after each return, and at the end.
CREATE TABLE kept AS
WITH events AS (
    SELECT pos, member, order_, line, quantity, refund_fen FROM back
    UNION ALL SELECT pos, member, order_, line, 0, 0 FROM came_back
), so_far AS (
    SELECT b.pos, e.member, e.order_, e.line, e.paid_fen, e.quantity, e.beans AS given, e.score,
           CASE WHEN b.pos >= c.pos THEN c.ordinary ELSE e.beans END AS beans,
           sum(b.quantity) OVER w AS returned, sum(b.refund_fen) OVER w AS refunded,
           row_number() OVER (PARTITION BY e.member, e.order_, e.line ORDER BY b.pos DESC) = 1 AS is_last
    FROM events b JOIN earned e USING (member, order_, line) LEFT JOIN came_back c USING (member, order_, line)
    WINDOW w AS (PARTITION BY e.member, e.order_, e.line ORDER BY b.pos)
), left_of_it AS (
    SELECT *, CASE WHEN returned >= quantity THEN 0 WHEN paid_fen = 0 THEN 1 ELSE paid_fen - least(refunded, paid_fen) END
                  AS of_paid,
           beans * of_paid // greatest(paid_fen, 1) AS beans_left, score * of_paid // greatest(paid_fen, 1) AS score_left
    FROM so_far
)
SELECT pos, member, order_, line, returned, is_last, beans, beans_left, score_left,
       coalesce(lag(beans_left) OVER (PARTITION BY member, order_, line ORDER BY pos), given) - beans_left AS claim
FROM left_of_it;

CREATE TABLE line_figures AS
SELECT e.member, e.order_ AS "order", e.line, e.month, e.by_plus, coalesce(k.beans, e.beans) AS beans,
       coalesce(k.beans_left, e.beans) AS beans_kept, e.score, coalesce(k.score_left, e.score) AS score_kept
FROM earned e LEFT JOIN kept k ON k.is_last AND k.member = e.member AND k.order_ = e.order_ AND k.line = e.line;

-- == reviews ==

CREATE TABLE reviews AS
SELECT f.pos, f.member, f.month, f.data->>'review' AS review, coalesce((f.data->>'images')::INT, 0) > 0 AS has_photo,
       CASE WHEN coalesce((f.data->>'characters')::INT, 0) < 10 OR f.moment - l.moment > 60 * 86400 * 1000000::BIGINT
                 OR coalesce((SELECT max(k.returned) FROM kept k WHERE k.member = l.member AND k.order_ = l.order_
                              AND k.line = l.line AND k.pos < f.pos), 0) >= l.quantity THEN 0
            WHEN l.paid_fen >= 10000 THEN 20 WHEN l.paid_fen >= 2000 THEN 10 ELSE 0 END AS beans,
       (SELECT min(g.pos) FROM facts g WHERE g.type = 'review.removed' AND g.member = f.member
        AND g.data->>'review' = f.data->>'review' AND g.pos > f.pos) AS removed_at
FROM facts f JOIN lines l ON f.type = 'review.posted' AND l.member = f.member AND l.order_ = f.data->>'order'
    AND l.line = f.data->>'line' AND l.pos < f.pos
QUALIFY row_number() OVER (PARTITION BY l.member, l.order_, l.line ORDER BY f.pos) = 1;

-- == 京享值: every member, every part, by month of occurrence ==

CREATE TABLE scored AS
SELECT member, month, 'purchase' AS part, score_kept AS points FROM line_figures
UNION ALL
SELECT member, month, 'purchase', 10 FROM lines WHERE coalesce(category, '') <> ''
    QUALIFY row_number() OVER (PARTITION BY member, category ORDER BY pos, place) = 1
UNION ALL
SELECT member, month, 'purchase', 30 FROM facts WHERE type = 'order.completed'
    GROUP BY member, month HAVING count(DISTINCT day) >= 3
UNION ALL
SELECT member, month, 'activity', points FROM (
    SELECT *, row_number() OVER (PARTITION BY member, month, item ORDER BY pos) * points <= most AS fits FROM (
        SELECT pos, member, month, removed_at IS NOT NULL AS gone, 'photo' AS item, 5 AS points, 150 AS most
            FROM reviews WHERE has_photo
        UNION ALL SELECT pos, member, month, removed_at IS NOT NULL, 'review', 2, 60 FROM reviews WHERE NOT has_photo
        UNION ALL SELECT pos, member, month, false, 'answer', 2, 50 FROM facts WHERE type = 'question.answered'
        UNION ALL SELECT pos, member, month, false, 'share', 2, 10 FROM facts WHERE type = 'item.shared'
        UNION ALL SELECT pos, member, month, false, 'pay', 2, 60 FROM facts
            WHERE type = 'order.completed' AND data->>'pay' = 'jd-pay'
    )
) WHERE fits AND NOT gone
UNION ALL
SELECT DISTINCT member, NULL, 'account', CASE type WHEN 'identity.verified' THEN 100 ELSE 20 END
    * count(DISTINCT type) OVER (PARTITION BY member, type)
FROM facts WHERE type = 'identity.verified'
UNION ALL
SELECT member, NULL, 'account', 20 * count(DISTINCT type) FROM facts
    WHERE type IN ('wechat.bound', 'qq.bound') GROUP BY member;

CREATE TABLE stars AS
SELECT member, last((data->>'stars')::INT ORDER BY pos) AS stars FROM facts WHERE type = 'reputation.rated' GROUP BY member;

CREATE MACRO score_of(the_month) AS TABLE
SELECT m.member, coalesce(purchase, 0) AS purchase, coalesce(activity, 0) AS activity, coalesce(account, 0) AS account,
       least(coalesce(purchase, 0) + coalesce(activity, 0) + coalesce(account, 0),
             CASE WHEN stars = 1 THEN 200 ELSE 1000000000000000 END) AS value
FROM (SELECT DISTINCT member FROM facts) m LEFT JOIN stars USING (member) LEFT JOIN (
    SELECT member, sum(points) FILTER (part = 'purchase') AS purchase, sum(points) FILTER (part = 'activity') AS activity,
           sum(points) FILTER (part = 'account') AS account
    FROM scored WHERE month IS NULL OR month BETWEEN the_month - 12 AND the_month - 1 GROUP BY member
) USING (member);

-- == beans: one running balance a member, where no lot can expire or be frozen before the year is over ==

CREATE TABLE covered AS
SELECT DISTINCT member FROM facts WHERE member NOT IN (
    SELECT member FROM facts WHERE type LIKE 'hold.%' OR type = 'card.trial-started'
        OR (type = 'campaign.granted' AND data->>'expires' IS NOT NULL));

CREATE TABLE penalties AS
SELECT r.pos, r.member, CASE WHEN in_month < 2 AND in_year < 4 OR (in_plus AND plus_in_month <= 5) THEN 0 ELSE 500 END AS fine
FROM (
    SELECT *, row_number() OVER (PARTITION BY member, month ORDER BY pos) AS in_month,
           row_number() OVER (PARTITION BY member, month // 12 ORDER BY pos) AS in_year,
           row_number() OVER (PARTITION BY member, month, in_plus ORDER BY pos) AS plus_in_month
    FROM (
        SELECT f.*, len(list_filter(coalesce(t.terms, []), lambda t: t.since <= f.moment AND f.moment < t.until)) > 0 AS in_plus
        FROM (SELECT * FROM facts WHERE type = 'order.rejected') f
        ASOF LEFT JOIN terms t ON t.member = f.member AND t.pos < f.pos
    )
) r;

CREATE TABLE moves AS
WITH found AS (
    SELECT pos, member, 'in' AS what, sum(beans) AS points, NULL AS key, 0 AS fen FROM earned GROUP BY pos, member
    UNION ALL SELECT pos, member, 'in', 1, NULL, 0 FROM facts WHERE type = 'member.signed-in'
        QUALIFY row_number() OVER (PARTITION BY member, coalesce(data->>'day', day) ORDER BY pos) = 1
    UNION ALL SELECT pos, member, 'in', 1, NULL, 0 FROM (
        SELECT * FROM facts WHERE type = 'shop.visited'
        QUALIFY row_number() OVER (PARTITION BY member, day, data->>'shop' ORDER BY pos) = 1
    ) QUALIFY row_number() OVER (PARTITION BY member, day ORDER BY pos) <= 5
    UNION ALL SELECT pos, member, 'in', beans, NULL, 0 FROM reviews
    UNION ALL SELECT pos, member, 'in', (data->>'points')::BIGINT, NULL, 0 FROM facts
        WHERE type IN ('campaign.granted', 'lot.opened') OR (type = 'points.adjusted' AND (data->>'points')::BIGINT > 0)
    UNION ALL SELECT pos, member, 'out', -(data->>'points')::BIGINT, NULL, 0 FROM facts
        WHERE type = 'points.adjusted' AND (data->>'points')::BIGINT < 0
    UNION ALL SELECT removed_at, member, 'out', beans, NULL, 0 FROM reviews WHERE removed_at IS NOT NULL
    UNION ALL SELECT pos, member, 'restore', 1000000000000000, 'o/' || (data->>'order'), 0 FROM facts
        WHERE type IN ('order.cancelled', 'order.rejected')
    UNION ALL SELECT pos, member, 'out', fine, NULL, 0 FROM penalties
    UNION ALL SELECT pos, member, 'restore', sum(points), 'o/' || order_, 0 FROM back GROUP BY pos, member, order_
    UNION ALL SELECT k.pos, k.member, 'out', sum(k.claim), NULL,
        coalesce((f.data->>'refund_fen')::BIGINT,
            (SELECT sum(fen) FROM (SELECT unnest(from_json(f.data->'lines', '[{"refund_fen": "BIGINT"}]')).refund_fen AS fen)))
        FROM kept k JOIN facts f USING (pos, member) GROUP BY k.pos, k.member, f.data
    UNION ALL SELECT pos, member, 'restore', coalesce((data->>'points')::BIGINT, 1000000000000000), 'r/' || (data->>'redemption'), 0
        FROM facts WHERE type = 'redemption.reversed'
    UNION ALL SELECT pos, member, data->>'use', (data->>'points')::BIGINT,
        CASE WHEN data->>'order' IS NOT NULL THEN 'o/' || (data->>'order') ELSE 'r/' || (data->>'redemption') END,
        coalesce((data->>'settlement_fen')::BIGINT, 0) FROM facts WHERE type = 'redemption.requested'
    UNION ALL SELECT pos, member, type, 0, NULL, 0 FROM facts WHERE type IN ('account.frozen', 'account.unfrozen')
)
SELECT *, row_number() OVER (PARTITION BY member ORDER BY pos, what = 'out') AS number
FROM found SEMI JOIN covered USING (member) WHERE points > 0 OR what LIKE 'account.%';

CREATE TABLE balances AS
WITH RECURSIVE walk AS (
    SELECT member, 0::BIGINT AS number, 0::HUGEINT AS balance, 0::HUGEINT AS debt, 0::HUGEINT AS cash, 0::HUGEINT AS redeemed,
           false AS frozen, 0 AS refused, MAP {}::MAP(VARCHAR, HUGEINT) AS asked, MAP {}::MAP(VARCHAR, HUGEINT) AS open
    FROM covered
    UNION ALL
    SELECT member, number, balance_then + came - repaid - taken - spent, debt_then - repaid + short - paid, cash_then + paid,
           redeemed_then + spent - given_back, frozen_now, refused + refused_now,
           CASE WHEN spent > 0 THEN map_concat(asked, MAP {key: coalesce(asked[key], 0) + spent}) ELSE asked END,
           CASE WHEN spent > 0 THEN map_concat(open, MAP {key: coalesce(open[key], 0) + spent})
                WHEN given_back > 0 THEN map_concat(open, MAP {key: open[key] - given_back}) ELSE open END
    FROM (
        SELECT m.member, m.number, m.key, w.balance AS balance_then, w.debt AS debt_then, w.cash AS cash_then,
               w.redeemed AS redeemed_then, w.asked, w.open, w.refused,
               CASE m.what WHEN 'account.frozen' THEN true WHEN 'account.unfrozen' THEN false ELSE w.frozen END AS frozen_now,
               CASE WHEN m.what = 'restore' THEN least(m.points, coalesce(w.open[m.key], 0)) ELSE 0 END AS given_back,
               CASE WHEN m.what = 'in' THEN m.points ELSE given_back END AS came,
               least(came, w.debt) AS repaid,
               CASE WHEN m.what = 'out' THEN least(m.points, w.balance) ELSE 0 END AS taken,
               CASE WHEN m.what = 'out' THEN m.points - taken ELSE 0 END AS short,
               least(short, m.fen) AS paid,
               m.what IN ('offset', 'top-up', 'draw', 'coupon', 'data', 'service') AS is_asked,
               coalesce(w.asked[m.key], 0) + m.points AS for_order,
               NOT w.frozen AND m.points <= w.balance AND CASE m.what
                   WHEN 'offset' THEN m.points % 1000 = 0 AND 2 * for_order <= m.fen AND w.balance >= 500
                   WHEN 'top-up' THEN m.fen >= 5000 AND 5 * for_order <= m.fen
                   WHEN 'draw' THEN m.points = 20 ELSE true END AS is_granted,
               CASE WHEN is_asked AND is_granted THEN m.points ELSE 0 END AS spent,
               CASE WHEN is_asked AND NOT is_granted THEN 1 ELSE 0 END AS refused_now
        FROM walk w JOIN moves m ON m.member = w.member AND m.number = w.number + 1
    )
)
SELECT member, balance::BIGINT AS spendable, debt::BIGINT AS debt, cash::BIGINT AS cash, redeemed::BIGINT AS redeemed, refused
FROM walk QUALIFY row_number() OVER (PARTITION BY member ORDER BY number DESC) = 1;
