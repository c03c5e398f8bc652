-- The outbox of an order system: a row is written in the transaction that changes the order, and Debezium sends it on.
CREATE TABLE outbox (
    id          text PRIMARY KEY,              -- of the fact, unique within its source
    specversion text NOT NULL DEFAULT '1.0',
    source      text NOT NULL DEFAULT '/shop/orders',
    type        text NOT NULL,                 -- such as order.completed.v1
    member      text NOT NULL,                 -- the subject, and the record's key
    occurred    text NOT NULL,                 -- RFC 3339 with an offset, when it happened
    data        jsonb NOT NULL
);

INSERT INTO outbox (id, type, member, occurred, data) VALUES
    ('o-123-done', 'order.completed.v1', 'm-17850', '2025-11-11T00:03:12+08:00',
     '{"order": "O1", "lines": [{"line": "1", "sku": "100012", "category": "phone", "quantity": 2, "paid_fen": 359900}]}'),
    ('v-1-verified', 'identity.verified.v1', 'm-17850', '2025-11-12T10:00:00+08:00', '{}');
