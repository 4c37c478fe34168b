-- SPDX-License-Identifier: Apache-2.0
--
-- Makes a new SQLite database ready for conf/embedded.conf, in a folder that httpd's
-- user can write, as that user:
--
--     sqlite3 userprofile.db < sql/embedded.sql
--
-- It needs SQLite 3.39 or later. Times are text, RFC 3339 in UTC ('2026-03-14T12:00:00Z', with a
-- fraction or without); booleans are 1 and 0. What httpd keeps for itself, from the
-- journal on, has times as whole seconds since 1970.

-- Readers and the one writer do not wait for one another; it stays with the database.
PRAGMA journal_mode = WAL;
PRAGMA foreign_keys = ON;

BEGIN;

CREATE TABLE users (
    id                 integer PRIMARY KEY AUTOINCREMENT, -- no number is given twice
    email              text NOT NULL UNIQUE,
    hashed_password    text,
    full_name          text,
    avatar_url         text,
    speaking_language  text NOT NULL DEFAULT 'en',
    listening_language text NOT NULL DEFAULT 'en',
    is_active          boolean NOT NULL DEFAULT 1,
    is_verified        boolean NOT NULL DEFAULT 0,
    created_at         text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    updated_at         text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    deleted_at         text
);

-- Numbers are counted up from the highest that ever was. One that was chosen by hand, at
-- the end of what there is, would be the last; when its row goes, the count is as before.
CREATE TRIGGER users_count AFTER DELETE ON users WHEN OLD.id >= 4611686018427387904
BEGIN
    UPDATE sqlite_sequence SET seq = (SELECT COALESCE(max(id), 0) FROM users
                                       WHERE id < 4611686018427387904)
     WHERE name = 'users' AND NOT EXISTS (SELECT 1 FROM users WHERE id >= 4611686018427387904);
END;

-- For UserProfileGracePeriod, which looks for those who were deleted long ago.
CREATE INDEX users_deleted ON users (deleted_at) WHERE deleted_at IS NOT NULL;

-- What goes with a user who is erased (DELETE …/me?hard=true).
CREATE TABLE verification_tokens (
    id         integer PRIMARY KEY AUTOINCREMENT,
    user_id    integer NOT NULL REFERENCES users (id),
    token      text NOT NULL UNIQUE DEFAULT (lower(hex(randomblob(16)))),
    expires_at text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+24 hours')),
    created_at text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);
CREATE INDEX verification_tokens_user ON verification_tokens (user_id);

CREATE TABLE password_reset_tokens (
    id         integer PRIMARY KEY AUTOINCREMENT,
    user_id    integer NOT NULL REFERENCES users (id),
    token      text NOT NULL UNIQUE DEFAULT (lower(hex(randomblob(16)))),
    expires_at text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+1 hour')),
    created_at text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);
CREATE INDEX password_reset_tokens_user ON password_reset_tokens (user_id);

CREATE TABLE participants (
    id        integer PRIMARY KEY AUTOINCREMENT,
    user_id   integer NOT NULL REFERENCES users (id),
    room_id   integer,
    joined_at text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    left_at   text
);
CREATE INDEX participants_user ON participants (user_id);

-- The journal: what has been promised and has to happen outside of the database. An entry is
-- written in the same transaction as the change that it belongs to, before its effect is
-- tried, and removed when that is done. A healthy journal is empty, or nearly so.
CREATE TABLE userprofile_journal (
    id         integer PRIMARY KEY AUTOINCREMENT,
    contract   text NOT NULL,           -- the users' table, as UserProfileTable names it
    effect     text NOT NULL
               CHECK (effect IN ('upload', 'publish', 'destroy', 'revoke_token', 'revoke_sessions')),
    user_key   text,                    -- publish: the key of the user's row
    subject    text,                    -- revoke_sessions: whose refresh tokens
    asset      text,                    -- upload, publish: the picture's name
    url        text,                    -- publish: to be set; destroy: of the picture that goes
    jti        text,                    -- revoke_token
    expires    integer,                 -- revoke_token: when the token ends by itself
    owner      text NOT NULL,           -- the process that is at it: node, process, start
    lease      integer NOT NULL,        -- until when it alone is
    attempts   integer NOT NULL DEFAULT 0,
    created_at integer NOT NULL DEFAULT (unixepoch())
);

-- A user has one picture to be published at most: a later one takes its place.
CREATE UNIQUE INDEX userprofile_journal_publish ON userprofile_journal (contract, user_key)
    WHERE effect = 'publish';
CREATE INDEX userprofile_journal_asset ON userprofile_journal (asset) WHERE asset IS NOT NULL;
CREATE INDEX userprofile_journal_lease ON userprofile_journal (lease);

-- The token store. Access tokens that are revoked though they have not expired: httpd
-- writes that of a deleted account, a login service those of who signs out.
CREATE TABLE blacklisted_access_tokens (
    jti        text PRIMARY KEY,
    expires_at integer NOT NULL
) WITHOUT ROWID;
CREATE INDEX blacklisted_access_tokens_expiry ON blacklisted_access_tokens (expires_at);

-- Refresh tokens: written by the login service; httpd deletes those of a deleted account, and
-- what has expired.
CREATE TABLE refresh_tokens (
    token      text PRIMARY KEY,        -- or better its hash
    subject    text NOT NULL,           -- the sub of the access tokens that it is good for
    expires_at integer NOT NULL
) WITHOUT ROWID;
CREATE INDEX refresh_tokens_subject ON refresh_tokens (subject);
CREATE INDEX refresh_tokens_expiry ON refresh_tokens (expires_at);

COMMIT;

-- A soft deletion, which the API never undoes, is undone by
--
--     UPDATE users SET deleted_at = NULL, is_active = 1 WHERE email = 'user@example.com';
