/* SPDX-License-Identifier: Apache-2.0 */

/**
 * Require userprofile-role NAME…: the verified token has one of these roles in
 * its claim. It combines with <RequireAny>, <RequireAll> and Require not.
 */
#ifndef UP_ROLES_H
#define UP_ROLES_H

#include <httpd.h>
#include <mod_auth.h>

#define UP_ROLES_PROVIDER "userprofile-role"

extern const authz_provider up_roles_provider;

#endif
