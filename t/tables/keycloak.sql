-- SPDX-License-Identifier: Apache-2.0
--
-- Keycloak's users, in a schema of its own that is not in the search path.

CREATE SCHEMA keycloak;
CREATE TABLE keycloak.user_entity (
    id                          varchar(36) PRIMARY KEY,
    email                       varchar(255),
    email_constraint            varchar(255),
    email_verified              boolean NOT NULL DEFAULT false,
    enabled                     boolean NOT NULL DEFAULT false,
    federation_link             varchar(255),
    first_name                  varchar(255),
    last_name                   varchar(255),
    realm_id                    varchar(255),
    username                    varchar(255),
    created_timestamp           bigint,
    service_account_client_link varchar(255),
    not_before                  integer NOT NULL DEFAULT 0,
    UNIQUE (realm_id, username)
);
CREATE TABLE keycloak.user_attribute (
    id      varchar(36) PRIMARY KEY,
    name    varchar(255) NOT NULL,
    value   varchar(255),
    user_id varchar(36) NOT NULL REFERENCES keycloak.user_entity (id)
);
SET search_path = keycloak;
\i sql/journal.sql
