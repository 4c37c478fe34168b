#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# A storage that fails, in each way there is: 502 within the configured time, profile and picture as
# they were, what may be left over in the journal, one line in the log and no secret in it; a deletion
# that fails fails no request; and nobody else waits.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time);
use UserProfile::Avatar;
use UserProfile::Test;

my $shipped = 'Include "' . scratch() . qq(/top/conf/fluentmeet.conf"\n);
my $node = node(conf => $shipped . "UserProfileTimeout connect=300ms storage=700ms\n")->start;
my $at = {port => $node->{port}};

# The longest that an answer may take: the storage's 0.7 s, and much for a busy machine.
my $LIMIT = 5;

storage('reset');
journal_clear();

# kind, its parameters, and whether the asset may be there after it: [name, kind, {how}, left].
my @faults = (
    ['500', 'status', {status => 500}, 1],
    ['503', 'status', {status => 503}, 1],
    ['500 after it has stored it', 'status', {status => 500, done => 1}, 1],
    ['401', 'status', {status => 401, message => 'Invalid Signature'}, 0],
    ['400', 'status', {status => 400}, 0],
    ['420, the rate limit', 'status', {status => 420}, 0],
    ['404', 'status', {status => 404}, 0],
    ['200 with an error', 'answer', {body => '{"error":{"message":"no"}}'}, 1],
    ['a redirect', 'redirect', {location => 'http://127.0.0.1:1/'}, 1],
    ['no answer', 'hang', {seconds => 2}, 1],
    ['no answer after it has stored it', 'hang', {seconds => 2, done => 1}, 1],
    ['an answer too late', 'slow', {seconds => 2}, 1],
    ['a byte now and then', 'trickle', {bytes => 1, seconds => 0.2}, 1],
    ['half of an answer', 'truncate', {}, 1],
    ['a reset', 'reset', {}, 1],
    ['a reset after it has stored it', 'reset', {done => 1}, 1],
    ['a reset while it is sent', 'early', {}, 1],
    ['what is no JSON', 'garbage', {}, 1],
    ['an empty answer', 'answer', {body => ''}, 1],
    ['an empty object', 'answer', {body => '{}'}, 1],
    ['an array', 'answer', {body => '[]'}, 1],
    ['another public ID', 'wrong_id', {}, 1],
    ['a URL of another host', 'url', {url => 'https://example.com/x.png'}, 1],
    ['a URL that is none', 'url', {url => 'javascript:alert(1)'}, 1],
    ['a URL with a line end', 'url', {url => "https://res.cloudinary.com/demo/image/upload/v1/avatars/x\r\nX: y"}, 1],
    ['no URL', 'answer', {body => '{"public_id":"avatars/x"}'}, 1],
    ['a megabyte', 'big', {bytes => 1_000_000}, 1],
    ['its own secret', 'status', {status => 400,
        message => "String to sign - 'x' with " . servers->{storage_secret}}, 0],
);

# The log line of an answer: by the ID in it.
sub logged {
    my ($mark, $res, $pattern, $name) = @_;
    my ($id) = (json($res)->{message} // '') =~ /error-log ID (\S+?)\)/;

    ok($id, "$name: the answer has an error-log ID") or return diag $res->content;
    log_like($mark, qr/^.*\[\Q$id\E\].*$pattern/m, "$name: and that leads to its line", $node->{error_log});
    return;
}

sub no_secret {
    my ($mark, $name) = @_;
    my $log = log_since($mark, $node->{error_log});

    # Not by unlike(), which would print it.
    ok(index($log, servers->{storage_secret}) < 0 && $log !~ /signature=|api_key=/,
        "$name: no secret in the log");
    return;
}

# A fault at an upload: one check of what is left, and those above.
sub fails {
    my ($person, $name, $request, $left) = @_;
    my ($before, @assets) = (unchanged_row($person->{id}), assets());
    my ($mark, $begin, @wrong) = (log_mark($node->{error_log}), time);
    my $res = $request->();
    my $took = time - $begin;

    is_error($res, 502, 'STORAGE_UPLOAD_ERROR', "$name: 502");
    push @wrong, "it took $took s" if $took > $LIMIT;
    push @wrong, 'the row differs' if unchanged_row($person->{id}) ne $before;
    push @wrong, 'the picture is gone' if grep { my $old = $_; !grep { $_ eq $old } assets() } @assets;
    my @journal = journal();
    push @wrong, 'the journal has ' . join ', ', @journal
        unless $left ? @journal == 1 && $journal[0] =~ m{^upload avatars/\w+$} : !@journal;
    ok(!@wrong, "$name: in time, and nothing has changed") or diag map { "  $_\n" } @wrong;
    unlike($res->as_string, qr/cloudinary|127\.0\.0\.1:\d+\/v1|Invalid Sig|\Q@{[servers->{storage_secret}]}/i,
        "$name: the answer tells nothing of the storage");
    logged($mark, $res, qr/Cloudinary: the upload of avatars\//, $name);
    no_secret($mark, $name);
    journal_clear();
    return;
}

subtest 'uploads' => sub {
    my ($person, $picture) = (person(full_name => 'Ada'), png());

    for my $fault (@faults) {
        my ($name, $kind, $how, $left) = @$fault;

        storage('reset');
        db()->do('UPDATE users SET avatar_url = NULL WHERE id = ?', undef, $person->{id});
        is(avatar('PUT', $person, $picture, %$at)->code, 200, "$name: a picture before");
        my ($asset) = assets();
        # One reset of a connection that was kept is repaired on a fresh one.
        storage_fault($kind, on => 'upload', count => $kind =~ /^(?:reset|early)$/ ? 2 : 1, %$how);
        fails($person, $name, sub {
            me('PATCH', token => $person->{token}, %$at,
                form => [part(png(3000)), {name => 'full_name', body => 'Grace'}]);
        }, $left);
        is(delivered($asset), $picture, "$name: the picture is what it was");
    }
    storage('reset');
    storage_fault('status', on => 'upload', status => 500);
    fails($person, 'PUT …/avatar', sub { avatar('PUT', $person, png(), %$at) }, 1);
    storage_fault('status', on => 'upload', status => 500);
    fails($person, 'POST …/avatar', sub { avatar('POST', $person, undef, form => [part(png())], %$at) }, 1);

    servers->stop_storage;
    {
        no warnings 'redefine';
        local *main::assets = sub { };
        fails($person, 'the storage is down', sub { avatar('PUT', $person, png(), %$at) }, 0);
    }
    is_profile(me('GET', token => $person->{token}, %$at), {full_name => 'Ada'},
        'the storage is down: the profile is served');
    is_profile(me('PATCH', token => $person->{token}, json => {full_name => 'Ada L.'}, %$at),
        {full_name => 'Ada L.'}, 'and written');
    storage_back();

    storage('reset');
    db()->do('UPDATE users SET avatar_url = NULL WHERE id = ?', undef, $person->{id});
    is_profile(avatar('PUT', $person, png(), %$at), {}, 'and when it is back, a picture is taken');
    is_deeply([journal()], [], 'and the journal is empty');
};

subtest 'a dead connection is no failure' => sub {
    my $person = person();

    storage('reset');
    avatar('PUT', $person, png(), %$at) for 1 .. 4;
    storage_fault('stale', on => 'upload');
    is_profile(avatar('PUT', $person, my $picture = png(), %$at), {}, 'a kept connection that is reset');
    is(delivered((assets())[0]), $picture, 'is replaced');
    is(scalar(assets()), 1, 'one asset');
    is_deeply([journal()], [], 'an empty journal');
};

subtest 'deletions' => sub {
    for my $fault (grep { $_->[1] !~ /^(?:wrong_id|url|big|stale|early)$/ && $_->[0] !~ /URL|stored/ } @faults) {
        my ($name, $kind, $how) = @$fault;
        my $person = person();

        storage('reset');
        avatar('PUT', $person, png(), %$at);
        my $old = user_row($person->{id})->{avatar_url};
        my ($mark, $begin) = (log_mark($node->{error_log}), time);
        storage_fault($kind, on => 'destroy', count => $kind eq 'reset' ? 2 : 1, %$how);
        my $res = avatar('PUT', $person, my $picture = png(), %$at);
        is_profile($res, {avatar_url => user_row($person->{id})->{avatar_url}}, "$name: the swap succeeds");
        cmp_ok(time - $begin, '<', $LIMIT, "$name: in time");
        is(delivered(asset_of(json($res)->{avatar_url})), $picture, "$name: the new picture is there");
        is_deeply([journal()], ["destroy $old"], "$name: the old one stays in the journal");
        log_like($mark, qr/Cloudinary: the destroy of \Q@{[asset_of($old)]}\E .*stays in the journal/,
            "$name: the log says so", $node->{error_log});
        no_secret($mark, $name);
        journal_clear();
    }
    my $person = person();
    storage('reset');
    avatar('PUT', $person, png(), %$at);
    my $old = user_row($person->{id})->{avatar_url};
    storage_fault('status', on => 'destroy', status => 500);
    is_profile(avatar('DELETE', $person, undef, %$at), {avatar_url => undef}, 'DELETE …/avatar succeeds');
    is_deeply([journal()], ["destroy $old"], 'DELETE …/avatar: the old one stays in the journal');
    journal_clear();
    is_profile(me('GET', token => $person->{token}), {avatar_url => undef}, 'and stays removed');
};

subtest 'a picture that is refused after it was uploaded' => sub {
    my $person = person();

    for my $deletion ('succeeds', 'fails') {
        storage('reset');
        storage_fault('slow', on => 'upload', seconds => 0.5);
        storage_fault('status', on => 'destroy', status => 500) if $deletion eq 'fails';
        my $request = begin_request('PATCH', $ME, token => $person->{token},
            headers => {'If-Match' => me('GET', token => $person->{token})->header('ETag')},
            form => [part(png()), {name => 'listening_language', body => 'de'}]);
        ok(wait_for(5, sub { assets() }), "it is uploaded");
        me('PATCH', token => $person->{token}, json => {full_name => $deletion});
        is_error(end_request($request), 412, 'PRECONDITION_FAILED', 'the profile has changed meanwhile');
        is(user_row($person->{id})->{listening_language}, 'en', 'nothing of it is written');
        if ($deletion eq 'succeeds') {
            is_deeply([assets()], [], 'the asset is destroyed');
            is_deeply([journal()], [], 'an empty journal');
        } else {
            is_deeply([journal()], ['upload ' . (assets())[0]], 'its deletion fails: it stays in the journal');
        }
        journal_clear();
    }
};

subtest 'the database goes away in mid-swap' => sub {
    my $person = person();
    my $kick = sub {
        db()->do(q(SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = ?), undef, servers->{role});
    };

    storage('reset');
    avatar('PUT', $person, png());
    my $old = user_row($person->{id})->{avatar_url};
    storage_fault('slow', on => 'upload', seconds => 0.5);
    my $request = begin_request('PUT', "$ME/avatar", token => $person->{token}, body => png(),
        type => 'image/png');
    ok(wait_for(5, sub { assets() == 2 }), 'while it is uploaded');
    $kick->();
    is_profile(end_request($request), {}, 'connections that died meanwhile are replaced');
    is(scalar(assets()), 1, 'one asset');
    is_deeply([journal()], [], 'an empty journal');

    # No connection at all: what is promised stays promised.
    storage_fault('slow', on => 'destroy', seconds => 0.5);
    my ($before) = assets();
    $request = begin_request('PUT', "$ME/avatar", token => $person->{token}, body => png(),
        type => 'image/png');
    ok(wait_for(5, sub { (calls())[-1] eq "destroy $before" }), 'while the old one is deleted');
    db()->do(sprintf 'ALTER ROLE %s NOLOGIN', servers->{role});
    $kick->();
    is_error(end_request($request), 503, 'SERVICE_UNAVAILABLE', 'the database is out of reach');
    db()->do(sprintf 'ALTER ROLE %s LOGIN', servers->{role});
    is_deeply([map { (split)[0] } journal()], [qw(upload publish destroy)],
        'all that is left to do is in the journal');
    ok(index((journal())[1], (assets())[0]) > 0, 'the asset that is there is the one to be published');
    is(user_row($person->{id})->{avatar_url}, undef, 'the row has none until then');
    is_profile(avatar('PUT', $person, my $picture = png()), {}, 'a later picture takes its place');
    is(delivered(asset_of(user_row($person->{id})->{avatar_url})), $picture, 'and is the one that counts');
    is(scalar(grep { /^publish/ } journal()), 0, 'nothing is left to be published');
    journal_clear();
};

# One child with one connection.
my $narrow = node(conf => $shipped . <<'CONF');
UserProfileConnections 1
UserProfileTimeout pool=200ms storage=8s
StartServers 1
ServerLimit 1
MaxRequestWorkers 25
MinSpareThreads 1
MaxSpareThreads 25
CONF

SKIP: {
    skip 'prefork has one request for each child', 1 if ($ENV{UP_MPM} // '') eq 'prefork';
    $narrow->start;

    subtest 'no database connection is held meanwhile' => sub {
        my ($person, $other) = (person(), person());
        my $put = sub {
            begin_request('PUT', "$ME/avatar", token => $person->{token}, port => $narrow->{port},
                body => png(), type => 'image/png');
        };

        storage('reset');
        end_request($put->());
        for my $action ('upload', 'destroy') {
            my $count = calls();
            storage_fault('slow', on => $action, seconds => 1.5);
            my $request = $put->();
            ok(wait_for(5, sub { grep { /^$action/ } (calls())[$count .. calls() - 1] }), "while the $action hangs");
            is_profile(me('GET', token => $other->{token}, port => $narrow->{port}), {}, 'another is served');
            is_profile(me('PATCH', token => $other->{token}, json => {full_name => $action},
                port => $narrow->{port}), {full_name => $action}, 'and another is written');
            is_profile(me('GET', token => $person->{token}, port => $narrow->{port}), {},
                'and so is the same user');
            ok(!is_answered($request), 'and it still hangs');
            is_profile(end_request($request), {}, 'and succeeds at last');
        }
        is_deeply([journal()], [], 'an empty journal');
    };

    subtest 'nor while a slow client sends' => sub {
        my ($person, $other) = (person(), person());
        my $socket = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$narrow->{port}");

        print {$socket} "PUT $ME/avatar HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $person->{token}\r\n"
            . "Content-Type: image/png\r\nContent-Length: 100000\r\n\r\n" . png();
        $socket->flush;
        is_profile(me('GET', token => $other->{token}, port => $narrow->{port}), {}, 'another is served') for 1 .. 3;
        close $socket;
    };
}

storage('reset');
done_testing();
