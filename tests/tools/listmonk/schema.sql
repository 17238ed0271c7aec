-- Listmonk's tables, as of version 3; later columns are added by `upgrades.py`. Only what somebody outside can notice.
CREATE TYPE list_type AS ENUM ('public', 'private', 'temporary');
CREATE TYPE list_optin AS ENUM ('single', 'double');
CREATE TYPE subscriber_status AS ENUM ('enabled', 'disabled', 'blocklisted');
CREATE TYPE subscription_status AS ENUM ('unconfirmed', 'confirmed', 'unsubscribed');
CREATE TYPE campaign_status AS ENUM ('draft', 'running', 'scheduled', 'paused', 'cancelled', 'finished');
CREATE TYPE campaign_type AS ENUM ('regular', 'optin');
CREATE TYPE content_type AS ENUM ('richtext', 'html', 'plain', 'markdown');
CREATE TYPE bounce_type AS ENUM ('soft', 'hard', 'complaint');

CREATE TABLE settings (
    key        text NOT NULL UNIQUE,
    value      jsonb NOT NULL DEFAULT '{}',
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE subscribers (
    id         serial PRIMARY KEY,
    uuid       uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    email      text NOT NULL UNIQUE,
    name       text NOT NULL,
    attribs    jsonb NOT NULL DEFAULT '{}',
    status     subscriber_status NOT NULL DEFAULT 'enabled',
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);
CREATE UNIQUE INDEX idx_subs_email ON subscribers (LOWER(email));

CREATE TABLE lists (
    id         serial PRIMARY KEY,
    uuid       uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    name       text NOT NULL,
    type       list_type NOT NULL DEFAULT 'private',
    optin      list_optin NOT NULL DEFAULT 'single',
    tags       varchar(100)[],
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);

CREATE TABLE subscriber_lists (
    subscriber_id integer REFERENCES subscribers (id) ON DELETE CASCADE,
    list_id       integer REFERENCES lists (id) ON DELETE CASCADE,
    meta          jsonb NOT NULL DEFAULT '{}',
    status        subscription_status NOT NULL DEFAULT 'unconfirmed',
    created_at    timestamptz DEFAULT now(),
    updated_at    timestamptz DEFAULT now(),
    PRIMARY KEY (subscriber_id, list_id)
);
CREATE INDEX idx_sub_lists_list_id ON subscriber_lists (list_id);

CREATE TABLE campaigns (
    id                  serial PRIMARY KEY,
    uuid                uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    name                text NOT NULL,
    subject             text NOT NULL,
    from_email          text NOT NULL,
    body                text NOT NULL,
    altbody             text,
    content_type        content_type NOT NULL DEFAULT 'richtext',
    send_at             timestamptz,
    headers             jsonb NOT NULL DEFAULT '[]',
    status              campaign_status NOT NULL DEFAULT 'draft',
    tags                varchar(100)[],
    type                campaign_type DEFAULT 'regular',
    messenger           text NOT NULL,
    template_id         integer,
    to_send             integer NOT NULL DEFAULT 0,
    sent                integer NOT NULL DEFAULT 0,
    max_subscriber_id   integer NOT NULL DEFAULT 0,
    last_subscriber_id  integer NOT NULL DEFAULT 0,
    archive             boolean NOT NULL DEFAULT false,
    archive_slug        text UNIQUE,
    archive_template_id integer,
    archive_meta        jsonb NOT NULL DEFAULT '{}',
    started_at          timestamptz,
    created_at          timestamptz DEFAULT now(),
    updated_at          timestamptz DEFAULT now()
);

CREATE TABLE campaign_lists (
    campaign_id integer NOT NULL REFERENCES campaigns (id) ON DELETE CASCADE,
    list_id     integer REFERENCES lists (id) ON DELETE SET NULL,
    list_name   text NOT NULL DEFAULT '',
    UNIQUE (campaign_id, list_id)
);

CREATE TABLE bounces (
    id            serial PRIMARY KEY,
    subscriber_id integer NOT NULL REFERENCES subscribers (id) ON DELETE CASCADE,
    campaign_id   integer REFERENCES campaigns (id) ON DELETE SET NULL,
    type          bounce_type NOT NULL DEFAULT 'hard',
    source        text NOT NULL DEFAULT '',
    meta          jsonb NOT NULL DEFAULT '{}',
    created_at    timestamptz DEFAULT now()
);
