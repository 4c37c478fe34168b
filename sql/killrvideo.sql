-- SPDX-License-Identifier: Apache-2.0
--
-- Makes an empty database ready for conf/killrvideo.conf:
--
--     createdb killrvideo
--     psql -d killrvideo -f sql/killrvideo.sql

\set ON_ERROR_STOP on
BEGIN;

CREATE TABLE users (
    userid          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    created_date    timestamptz NOT NULL DEFAULT now(),
    email           text UNIQUE,
    firstname       text NOT NULL DEFAULT '',
    lastname        text NOT NULL DEFAULT '',
    account_status  text NOT NULL DEFAULT 'viewer',
    last_login_date timestamptz
);

\ir journal.sql

COMMIT;
