-- SPDX-License-Identifier: Apache-2.0
--
-- A column for each type of field, in a schema that is not in the search path.

CREATE SCHEMA app;
SET search_path = app;
CREATE TABLE people (
    id      uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    handle  varchar(10) NOT NULL UNIQUE,
    age     integer CHECK (age >= 0),
    big     bigint,
    flag    boolean NOT NULL DEFAULT false,
    made    timestamptz,
    naive   timestamp,
    day     date,
    seen    bigint,
    ref     uuid,
    site    text,
    mail    text,
    tongue  text,
    prefs   jsonb,
    doc     json,
    face    text,
    version integer
);
\i sql/journal.sql
