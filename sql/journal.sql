-- SPDX-License-Identifier: Apache-2.0
--
-- The journal of mod_userprofile: what has been promised and has to happen
-- outside the database. An entry is written in the same statement as the change
-- that it belongs to, before its effect is tried, and removed when that is done.
-- A healthy journal is empty, or nearly so.
--
-- Included by the scripts beside it; run it alone (psql -f sql/journal.sql) to
-- add the journal to a database with a users table of its own.

CREATE TABLE userprofile_journal (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    contract   text NOT NULL,           -- the users' table, as UserProfileTable names it
    effect     text NOT NULL
               CHECK (effect IN ('upload', 'publish', 'destroy', 'revoke_token', 'revoke_sessions')),
    user_key   text,                    -- publish: the key of the user's row
    subject    text,                    -- revoke_sessions: whose refresh tokens
    asset      text,                    -- upload, publish: the public ID
    url        text,                    -- publish: to be set; destroy: of the asset that goes
    jti        text,                    -- revoke_token
    expires    timestamptz,             -- revoke_token: when the token ends by itself
    owner      text NOT NULL,           -- the process that is at it: node, process, start
    lease      timestamptz NOT NULL,    -- until when it alone is
    attempts   integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- A user has one picture to be published at most: a later one takes its place.
CREATE UNIQUE INDEX userprofile_journal_publish ON userprofile_journal (contract, user_key)
    WHERE effect = 'publish';

-- Has this user a picture that is to be published? Volatile, so that it sees what
-- has been committed when it is called, not when the statement around it began.
CREATE FUNCTION userprofile_journal_pending(of_contract text, of_user text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path FROM CURRENT AS $$
BEGIN
    RETURN EXISTS (SELECT 1 FROM userprofile_journal
                    WHERE effect = 'publish' AND asset IS NOT NULL
                      AND contract = of_contract AND user_key = of_user);
END;
$$;

CREATE INDEX userprofile_journal_asset ON userprofile_journal (asset) WHERE asset IS NOT NULL;
CREATE INDEX userprofile_journal_lease ON userprofile_journal (lease);
