-- SPDX-License-Identifier: Apache-2.0
--
-- The tables of UserProfileTokenStore database, for Postgres (psql -f sql/tokens.sql), in the
-- place of a Redis. Times are seconds since 1970.

-- Access tokens that are revoked though they have not expired: httpd writes that of a
-- deleted account, a login service those of who signs out.
CREATE TABLE blacklisted_access_tokens (
    jti        text PRIMARY KEY,
    expires_at bigint NOT NULL
);
CREATE INDEX ON blacklisted_access_tokens (expires_at);

-- Refresh tokens: written by the login service; httpd deletes those of a deleted account, and
-- what has expired.
CREATE TABLE refresh_tokens (
    token      text PRIMARY KEY,        -- or better its hash
    subject    text NOT NULL,           -- the sub of the access tokens that it is good for
    expires_at bigint NOT NULL
);
CREATE INDEX ON refresh_tokens (subject);
CREATE INDEX ON refresh_tokens (expires_at);
