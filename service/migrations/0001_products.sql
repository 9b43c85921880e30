-- The catalogue: its rows decide which products exist.
CREATE TABLE products (
    id             bigint        PRIMARY KEY CHECK (id > 0),
    sku            text          NOT NULL UNIQUE,
    name           text          NOT NULL,
    description    text          NOT NULL,
    category       text          NOT NULL,
    brand          text          NOT NULL,
    price_amount   numeric(12,2) NOT NULL CHECK (price_amount >= 0),
    price_currency char(3)       NOT NULL CHECK (price_currency ~ '^[A-Z]{3}$'),
    rating         numeric(2,1)  NOT NULL CHECK (rating BETWEEN 0 AND 5),
    attributes     jsonb         NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(attributes) = 'object'),
    created_at     timestamptz   NOT NULL DEFAULT now(),
    updated_at     timestamptz   NOT NULL DEFAULT now()
);

CREATE INDEX products_by_category ON products (category, id);
