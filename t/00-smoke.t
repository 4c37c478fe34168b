#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# The surroundings are there, and the module answers.
use strict;
use warnings;
use Test::More;
use UserProfile::Test;

is(redis('PING'), 'PONG', 'Redis answers');
is(storage('assets')->{count}, 0, "the storage's stand-in answers");

my $user = user_new(full_name => 'Ada Lovelace', speaking_language => 'en', listening_language => 'fr');
my $token = token(sub => $user->{email});

is(user_row($user->{id})->{email}, $user->{email}, 'Postgres answers');
is(request('GET', '/index.html')->code, 200, 'httpd serves a document');
is_profile(
    me('GET', token => $token),
    {id => $user->{id}, full_name => 'Ada Lovelace', listening_language => 'fr'},
    'the profile'
);
is_error(me('GET'), 401, 'MISSING_TOKEN', 'no profile without a token');
is_error(request('GET', '/guarded/'), 401, 'MISSING_TOKEN', 'a guarded place, without a token');
is(request('GET', '/guarded/', token => $token)->code, 200, 'and with one');

done_testing();
