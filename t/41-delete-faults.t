#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# An account is deleted while Redis or the storage fails: the answer is 200 once the database has
# committed, what could not be done is in the journal with all that is needed to do it, and no more is
# asked of Redis than must be.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time);
use UserProfile::Avatar;
use UserProfile::Test;

my $shipped = 'Include "' . scratch() . qq(/top/conf/fluentmeet.conf"\n);

redis('FLUSHALL');
storage('reset');
journal_clear();

# A Redis account of its own for a node, whose rights are taken away.
redis('ACL', 'SETUSER', 'up41', 'reset', 'on', '>secret41', '~*', '+@all');
my $node = node(conf => $shipped . "UserProfileTimeout tokens=400ms connect=300ms storage=700ms\n",
    defines => {USERPROFILE_TOKENS => 'redis+unix://up41:secret41@' . servers->{redis_socket}})->start;
my $at = {port => $node->{port}};

sub resident {
    my $person = person(full_name => 'Ada');

    $person->{jti} = "jti-$person->{id}";
    $person->{exp} = int(time) + 600;
    $person->{token} = token(sub => $person->{email}, jti => $person->{jti}, exp => $person->{exp});
    redis('SET', "refresh_token:$person->{email}:$_", 1) for 1 .. 3;
    return $person;
}

sub sessions {
    my ($person) = @_;
    return redis('EXISTS', map { "refresh_token:$person->{email}:$_" } 1 .. 3);
}

sub is_blacklisted {
    my ($person) = @_;
    return redis('EXISTS', "blacklisted_access_token:$person->{jti}");
}

sub delete_me {
    my ($person, $query, %option) = @_;
    return request('DELETE', $ME . ($query // ''), token => $person->{token}, %$at, %option);
}

sub is_deleted {
    my ($res, $name) = @_;

    return is($res->code . ' ' . $res->content . ' ' . ($res->header('Set-Cookie') // ''),
        '200 {"status":"ok","message":"Account has been successfully deleted."} refresh_token=; Max-Age=0; '
        . 'Path=/api/v1/auth; HttpOnly; Secure; SameSite=Strict', $name);
}

# What Redis fails to do, and what is then left in the journal.
my %failure = (
    'UNLINK refused' => [['-unlink'], ['sessions']],
    'SCAN refused' => [['-scan'], ['sessions']],
    'SET refused' => [['-set'], ['token']],
    'all writing refused' => [['-@write'], ['token', 'sessions']],
    'other keys only' => [['resetkeys', '~blacklisted_access_token:*', '-set'], ['token', 'sessions']],
);

subtest 'Redis fails after authentication' => sub {
    for my $kind (sort keys %failure) {
        my ($rights, $left) = @{$failure{$kind}};
        my %left = map { $_ => 1 } @$left;

        for my $query ('', '?hard=true') {
            my $name = "$kind, DELETE $query";
            my $person = resident();
            my $mark = log_mark($node->{error_log});

            redis('ACL', 'SETUSER', 'up41', @$rights);
            is_deleted(delete_me($person, $query), $name);
            redis('ACL', 'SETUSER', 'up41', 'resetkeys', '~*', '+@all');
            my @expected = (
                $left{token} ? "revoke_token $person->{jti}" : (),
                $left{sessions} ? "revoke_sessions $person->{email}" : (),
            );
            is_deeply([journal()], \@expected, "$name: what is left is in the journal");
            is(sessions($person), $left{sessions} ? 3 : 0,
                "$name: the sessions " . ($left{sessions} ? 'are' : 'are not') . ' left');
            is(is_blacklisted($person), $left{token} ? 0 : 1,
                "$name: the token is " . ($left{token} ? 'not' : '') . ' blacklisted');
            my $row = user_row($person->{id});
            ok($query ? !$row : $row && $row->{deleted_at}, "$name: the account is deleted");
            is(db()->selectrow_array('SELECT extract(epoch FROM expires)::bigint FROM userprofile_journal
                WHERE effect = ?', undef, 'revoke_token'), $left{token} ? $person->{exp} : undef,
                "$name: with the token's end") if $left{token};
            is(db()->selectrow_array('SELECT count(*) FROM userprofile_journal WHERE lease < now() OR owner = ?',
                undef, ''), 0, "$name: and somebody is at it");
            log_like($mark, qr/token store .*NOPERM.*stays in the journal/, "$name: the log says why",
                $node->{error_log});
            log_unlike($mark, 'secret41', "$name: and no password", $node->{error_log});
            log_unlike($mark, $person->{jti}, "$name: nor the jti", $node->{error_log});
            journal_clear();
        }
    }
    my $person = resident();
    is_deleted(delete_me($person), 'with all rights again');
    is(sessions($person), 0, 'the sessions are gone');
    is_deeply([journal()], [], 'an empty journal');
};

subtest 'Redis is down' => sub {
    my $person = resident();
    my $row = unchanged_row($person->{id});

    avatar('PUT', $person, png());
    my $asset = user_row($person->{id})->{avatar_url};
    $row = unchanged_row($person->{id});
    servers->stop_redis;
    for my $query ('', '?hard=true') {
        my $res = request('DELETE', $ME . $query, token => $person->{token});
        is_error($res, 503, 'SERVICE_UNAVAILABLE', "DELETE $query: refused, as nobody knows of the token");
        is($res->header('Set-Cookie'), undef, "DELETE $query: no cookie");
        is(unchanged_row($person->{id}), $row, "DELETE $query: the row is as it was");
        is_deeply([journal()], [], "DELETE $query: an empty journal");
    }
    servers->start_redis;
    ok((grep { $_ eq asset_of($asset) } assets()), 'the picture is there');
    is_deleted(request('DELETE', "$ME?hard=true", token => $person->{token}), 'when it is back: deleted');
    is_deeply([journal()], [], 'an empty journal');
    # It was started anew, without what was in it.
    redis('ACL', 'SETUSER', 'up41', 'reset', 'on', '>secret41', '~*', '+@all');
};

subtest 'Redis hangs after authentication' => sub {
    my $person = resident();

    # Reading goes on, so that the token is accepted; what writes waits.
    redis('CLIENT', 'PAUSE', 3000, 'WRITE');
    my $begin = time;
    is_deleted(delete_me($person), 'deleted');
    cmp_ok(time - $begin, '<', 2.9, 'before Redis goes on');
    redis('CLIENT', 'UNPAUSE');
    is_deeply([journal()], ["revoke_token $person->{jti}", "revoke_sessions $person->{email}"],
        'both are in the journal');
    journal_clear();
};

subtest 'the storage fails at a hard deletion' => sub {
    my @faults = (
        ['500', sub { storage_fault('status', on => 'destroy', status => 500) }],
        ['401', sub { storage_fault('status', on => 'destroy', status => 401) }],
        ['no answer', sub { storage_fault('hang', on => 'destroy', seconds => 2) }],
        ['what is no JSON', sub { storage_fault('garbage', on => 'destroy') }],
        ['a refusal', sub { storage_fault('answer', on => 'destroy', body => '{"result":"denied"}') }],
        ['down', sub { servers->stop_storage }],
    );

    for my $case (@faults) {
        my ($name, $fault) = @$case;
        my $person = resident();

        avatar('PUT', $person, png());
        my $url = user_row($person->{id})->{avatar_url};
        my $mark = log_mark($node->{error_log});
        $fault->();
        is_deleted(delete_me($person, '?hard=true'), "$name: deleted");
        is(user_row($person->{id}), undef, "$name: the row is gone");
        is(sessions($person), 0, "$name: and the sessions");
        is(is_blacklisted($person), 1, "$name: and the token is blacklisted");
        is_deeply([journal()], ["destroy $url"], "$name: the picture is in the journal");
        log_like($mark, qr/Cloudinary: the destroy of \Q@{[asset_of($url)]}\E .*stays in the journal/,
            "$name: the log says so", $node->{error_log});
        storage_back();
        ok((grep { $_ eq asset_of($url) } assets()), "$name: as it is still there");
        journal_clear();
        storage('reset');
    }
    my $person = resident();
    servers->stop_storage;
    is_deleted(delete_me($person), 'down, a soft deletion: deleted');
    is_deeply([journal()], [], 'down, a soft deletion: an empty journal');
    storage_back();
};

subtest 'all fails at once' => sub {
    my $person = resident();

    avatar('PUT', $person, png());
    my $url = user_row($person->{id})->{avatar_url};
    storage_fault('status', on => 'destroy', status => 500);
    redis('ACL', 'SETUSER', 'up41', '-set', '-scan');
    is_deleted(delete_me($person, '?hard=true'), 'deleted');
    redis('ACL', 'SETUSER', 'up41', '+@all');
    is_deeply([sort(journal())], ["destroy $url", "revoke_sessions $person->{email}", "revoke_token $person->{jti}"],
        'all three are in the journal');
    journal_clear();
    storage('reset');
};

subtest 'the database fails' => sub {
    my $person = resident();
    my $row = unchanged_row($person->{id});

    db()->do('REVOKE INSERT ON userprofile_journal FROM ' . servers->{role});
    for my $query ('', '?hard=true') {
        is_error(delete_me($person, $query), 500, 'INTERNAL_ERROR', "DELETE $query: the journal cannot be written");
        is(unchanged_row($person->{id}), $row, "DELETE $query: the row is as it was");
        is(sessions($person), 3, "DELETE $query: the sessions too");
        is(is_blacklisted($person), 0, "DELETE $query: and the token");
    }
    db()->do('GRANT INSERT ON userprofile_journal TO ' . servers->{role});
    is_deleted(delete_me($person), 'and then it succeeds');
};

# The account's row decides, on each node, with each token, whatever Redis knows or does.
subtest 'on every node at once' => sub {
    my $other = node()->start;
    my %nodes = ('the same node' => $at, 'another node' => {port => $other->{port}});
    my $refused = sub {
        my ($name, $status, $code, @token) = @_;

        for my $where (sort keys %nodes) {
            is_error(me($_, token => token(@token), %{$nodes{$where}}, $_ eq 'PATCH' ? (json => {full_name => 'Eve'}) : ()),
                $status, $code, "$name: $_ on $where, with a token that Redis does not know") for qw(GET PATCH);
        }
    };

    my $person = resident();
    db()->do('UPDATE users SET is_active = false WHERE id = ?', undef, $person->{id});
    $refused->('deactivated', 403, 'ACCOUNT_DEACTIVATED', sub => $person->{email});

    for my $query ('', '?hard=true') {
        my @gone = $query ? (401, 'INVALID_CREDENTIALS') : (403, 'ACCOUNT_DELETED');

        $person = resident();
        # Redis reads, and takes no revocation: the request that deletes waits for that in vain.
        redis('CLIENT', 'PAUSE', 3000, 'WRITE');
        my $deletion = begin_request('DELETE', "$ME$query", token => $person->{token}, port => $other->{port});
        ok(wait_for(5, sub { my $row = user_row($person->{id}); !$row || $row->{deleted_at} }),
            "DELETE $query: the database has committed");
        $refused->("DELETE $query, and Redis takes no writes", @gone, sub => $person->{email});
        is(end_request($deletion)->code, 200, "DELETE $query: its answer");
        redis('CLIENT', 'UNPAUSE');
        is(is_blacklisted($person), 0, "DELETE $query: and its token is not revoked yet");
        is_error(me('GET', token => $person->{token}, %{$nodes{$_}}), @gone, "DELETE $query: the token itself, on $_")
            for sort keys %nodes;
    }
    # Nobody is let in unchecked, so nobody whose account is gone is.
    servers->stop_redis;
    $refused->('deleted, and Redis is down', 503, 'SERVICE_UNAVAILABLE', sub => $person->{email});
    servers->start_redis;
    redis('ACL', 'SETUSER', 'up41', 'reset', 'on', '>secret41', '~*', '+@all');
    $other->stop;
    journal_clear();
};

subtest 'among many keys' => sub {
    my $person = resident();
    my $pipe = Redis->new(sock => servers->{redis_socket});
    $pipe->set("refresh_token:user$_\@example.com:$_", 1, sub { }) for 1 .. 5000;
    $pipe->wait_all_responses;
    redis('SET', "refresh_token:$person->{email}X:1", 1);
    redis('SET', "refresh_token:X$person->{email}:1", 1);
    redis('SET', "refresh_token:$person->{email}", 1);
    my $count = redis('DBSIZE');
    redis('CONFIG', 'RESETSTAT');
    is_deleted(delete_me($person), 'deleted');
    is(sessions($person), 0, 'the three sessions are gone');
    is(redis('DBSIZE'), $count - 3 + 1, 'and no other key; the token has one');
    my %used = map { /^cmdstat_(.*)/ ? ($1 => 1) : () } %{redis('INFO', 'commandstats')};
    ok($used{scan} && $used{unlink} && $used{set}, 'SCAN, UNLINK and SET are used');
    ok(!$used{keys}, 'KEYS is not');
    ok(!$used{$_}, "nor $_") for qw(eval evalsha flushall flushdb del);
    is_deeply([journal()], [], 'an empty journal');
};

$node->stop;
redis('FLUSHALL');
redis('ACL', 'DELUSER', 'up41');
storage('reset');
done_testing();
