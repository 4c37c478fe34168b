#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# One child serves requests of all kinds, good and bad, and has afterwards what it had after the first
# thousand: the same memory, descriptors and threads, and no file. `make soak` makes 100,000 of them
# and prints the figures; `make test` makes 3,000. UP_SOAK is the number, UP_SEED that of the order.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time);
use UserProfile::Avatar;
use UserProfile::Traffic;
use UserProfile::Resources;
use UserProfile::Test;

my $ALL = $ENV{UP_SOAK} || 3000;
my $FIRST = 1000;
my $SEED = $ENV{UP_SEED} // 20260314;
my $MPM = $ENV{UP_MPM} || 'event';
my $DATABASE = 8;

# By how much memory may differ: what malloc has not given back to the system, and cannot use yet. A
# leak of 32 bytes a request would be 3 MiB in 100,000.
my $TOLERANCE = 3 * 1024 * 1024;

my $CLIENTS = $MPM eq 'prefork' ? 1 : 8;
my $node = node(
    mpm => $MPM,
    defines => {
        USERPROFILE_DB => servers->dsn('fluentmeet') . ' application_name=soak',
        USERPROFILE_TOKENS => 'redis+unix://' . servers->{redis_socket} . "?db=$DATABASE",
        USERPROFILE_SWEEP => 2,
    },
    more => "StartServers 1\nServerLimit 1\nMaxConnectionsPerChild 0\nMaxKeepAliveRequests 0\n"
        . ($MPM eq 'prefork' ? "MaxRequestWorkers 1\nMinSpareServers 1\nMaxSpareServers 1\n"
            : "ThreadsPerChild 16\nMaxRequestWorkers 16\nMinSpareThreads 1\nMaxSpareThreads 16\n"),
)->start;
my ($child) = children($node);

# --- Requests of all kinds ------------------------------------------------------------------------

srand $SEED;
storage('reset');
journal_clear();
db()->do('UPDATE users SET avatar_url = NULL WHERE avatar_url IS NOT NULL');

my @people = map { person(full_name => 'Ada') } 1 .. 16;
my $still = person(full_name => 'Never changed');
my $deleted = person(deleted_at => '2026-01-01', is_active => 0);
my $revoked = token(sub => $still->{email}, jti => 'soak-revoked');
my $tag = me('GET', token => $still->{token}, port => $node->{port})->header('ETag');
my @pictures = (png(), png(40_000), jpeg(), webp());
my $json = 'application/json';
my ($form_type, $form) = multipart([{name => 'full_name', body => 'Grace'}, {name => 'speaking_language', body => 'fr'}]);
my ($half_type, $half) = multipart([part(png())], close => 0);
redis('SELECT', $DATABASE);
redis('SET', 'blacklisted_access_token:soak-revoked', 1);
redis('SELECT', 0);

sub anybody {
    return token => $people[rand @people]{token};
}

sub picture {
    return $pictures[rand @pictures];
}

sub with_picture {
    my ($type, $body) = multipart([{name => 'full_name', body => 'Ada'}, part(picture())]);

    return (type => $type, body => $body);
}

# An account that is there to be deleted, and its sessions.
sub account {
    my $person = person();

    redis('SELECT', $DATABASE);
    redis('SET', "refresh_token:$person->{email}:$_", 1) for 1, 2;
    redis('SELECT', 0);
    return token => $person->{token};
}

my %me = (path => $ME);
my %avatar = (path => "$ME/avatar");
# How many of a hundred, and how each is made.
my %kind = (
    'GET' => [34, sub { +{%me, method => 'GET', anybody(), expect => 200} }],
    'GET, 304' => [10, sub { +{%me, method => 'GET', token => $still->{token}, headers => {'If-None-Match' => $tag}, expect => 304} }],
    'HEAD' => [3, sub { +{%me, method => 'HEAD', anybody(), expect => 200} }],
    'OPTIONS' => [1, sub { +{%me, method => 'OPTIONS', expect => 204} }],
    'PATCH, JSON' => [16, sub { +{%me, method => 'PATCH', anybody(), type => $json,
        body => '{"full_name":"Ada ' . int(rand 1e6) . '","listening_language":"de"}', expect => 200} }],
    'PATCH, a form' => [4, sub { +{%me, method => 'PATCH', anybody(), type => $form_type, body => $form, expect => 200} }],
    'PATCH, a form with a picture' => [2, sub { +{%me, method => 'PATCH', anybody(), with_picture(), expect => 200} }],
    'PUT avatar' => [3, sub { +{%avatar, method => 'PUT', anybody(), type => 'image/png', body => picture(), expect => 200} }],
    'DELETE avatar' => [2, sub { +{%avatar, method => 'DELETE', anybody(), expect => 200} }],
    'DELETE' => [1, sub { +{%me, method => 'DELETE', account(), expect => 200} }],
    'DELETE, hard' => [1, sub { +{path => "$ME?hard=true", method => 'DELETE', account(), expect => 200} }],
    '400, no JSON' => [1, sub { +{%me, method => 'PATCH', anybody(), type => $json, body => '{"full_name":', expect => 400} }],
    '400, an invalid value' => [1, sub { +{%me, method => 'PATCH', anybody(), type => $json,
        body => '{"full_name":"' . 'x' x 256 . '","speaking_language":"xx"}', expect => 400} }],
    '400, half a form' => [1, sub { +{%me, method => 'PATCH', anybody(), type => $half_type, body => $half, expect => 400} }],
    '400, no picture' => [1, sub { +{%avatar, method => 'PUT', anybody(), type => 'image/png', body => 'GIF89a' x 100, expect => 400} }],
    '401, no token' => [1, sub { +{%me, method => 'GET', expect => 401} }],
    '401, a bad token' => [1, sub { +{%me, method => 'GET', token => substr($still->{token}, 0, -4) . 'AAAA', expect => 401} }],
    '401, a revoked one' => [1, sub { +{%me, method => 'GET', token => $revoked, expect => 401} }],
    '403' => [1, sub { +{%me, method => 'GET', token => $deleted->{token}, expect => 403} }],
    '404' => [1, sub { +{path => "$ME/nothing", method => 'GET', anybody(), expect => 404} }],
    '405' => [1, sub { +{%me, method => 'POST', anybody(), body => '', expect => 405} }],
    '412' => [1, sub { +{%me, method => 'PATCH', anybody(), type => $json, body => '{"full_name":"x"}',
        headers => {'If-Match' => '"stale"'}, expect => 412} }],
    '412, a picture' => [1, sub { +{%avatar, method => 'PUT', anybody(), type => 'image/png', body => picture(),
        headers => {'If-Match' => '"stale"'}, expect => 412} }],
    '413, JSON' => [1, sub { +{%me, method => 'PATCH', anybody(), type => $json, headers => {'Content-Length' => 70_000}, expect => 413} }],
    '413, a picture' => [1, sub { +{%avatar, method => 'PUT', anybody(), type => 'image/png',
        headers => {'Content-Length' => 6_000_000}, expect => 413} }],
    '415' => [1, sub { +{%me, method => 'PATCH', anybody(), type => 'text/plain', body => 'full_name=x', expect => 415} }],
    'another place' => [2, sub { +{path => '/index.html', method => 'GET', expect => 200} }],
    'an upload that is left' => [3, sub { +{%avatar, method => 'PUT', anybody(), type => 'image/png', body => $pictures[1],
        leave => -1 - int rand 41_000} }],
    'a form that is left' => [3, sub { +{%me, method => 'PATCH', anybody(), with_picture(), leave => -1 - int rand 500} }],
);
my @hundred = map { ($_) x $kind{$_}[0] } sort keys %kind;
is(@hundred, 100, 'the kinds are of a hundred');

# --- What the child has ---------------------------------------------------------------------------

my %made;
my $load = UserProfile::Traffic->new(port => $node->{port}, clients => $CLIENTS, keep_alive => 1, next => sub {
    my $name = $hundred[rand @hundred];
    $made{$name}++;
    return $kind{$name}[1]->();
});

# All is answered, and what was begun for those who have left has ended.
sub at_rest {
    $load->finish;
    my ($now, $least);

    # A connection that httpd closes lingers for up to two seconds. The kept ones to others are as many
    # as there were requests at once, so they are counted for themselves; with one to the storage go
    # the two descriptors that libcurl has for each of its handles.
    wait_for(4, sub {
        $now = {redis => redis_clients($DATABASE), postgres => backends('soak'), storage => storage_connections($child)};
        my $own = descriptors($child)->{all} - $now->{redis} - $now->{postgres} - 3 * $now->{storage};
        $least = $own if !defined $least || $own < $least;
        return 0;
    });
    my $memory = memory($child);
    return {requests => $load->{made}, %$memory, %$now, descriptors => $least, threads => threads($child),
        files => descriptors($child)->{files} + (() = temporary_files())};
}

my @figures;

sub show {
    my ($text) = @_;

    return $ENV{UP_SOAK} ? diag($text) : note($text);
}

sub measure {
    my $have = at_rest();

    push @figures, $have;
    show(sprintf '%8d %9d %9d %12d %8d %6d %6d %9d %8d', $have->{requests}, $have->{rss} / 1024, $have->{pss} / 1024,
        @$have{qw(descriptors threads files redis postgres storage)});
    return;
}

show("$ALL requests by $CLIENTS clients to one child of $MPM, UP_SEED=$SEED");
show('requests   RSS KiB   PSS KiB  descriptors  threads  files  Redis  Postgres  storage');
my $begin = time;
$load->answers($FIRST);
measure();
my $step = $ALL >= 20_000 ? int($ALL / 10) : $ALL - $FIRST;
while ($load->{made} < $ALL) {
    my $left = $ALL - $load->{made};
    $load->answers($left < $step ? $left : $step);
    measure();
}
my $took = time - $begin;
show(sprintf '%d requests in %.0f s, the longest %.2f s; %d connections were closed under an idle client',
    $load->{made}, $took, $load->{longest}, $load->{closed});
show('statuses: ' . join ', ', map { "$_: $load->{status}{$_}" } sort keys %{$load->{status}});
show('kinds: ' . join ', ', map { "$_: $made{$_}" } sort keys %made);

my ($first, $last) = @figures[0, -1];
is_deeply($load->{failed}, [], "none of $load->{made} requests has another answer than it should")
    or diag explain [@{$load->{failed}}[0 .. ($#{$load->{failed}} > 9 ? 9 : $#{$load->{failed}})]];
is_deeply([sort keys %made], [sort keys %kind], 'all kinds were among them');
is_deeply([children($node)], [$child], 'it is the same child');
SKIP: {
    skip 'a sanitizer keeps memory for itself', 2 if is_sanitized();
    cmp_ok($last->{$_} - $first->{$_}, '<=', $TOLERANCE, "its memory ($_) is as it was after $FIRST, within 3 MiB")
        for qw(rss pss);
}
cmp_ok($last->{descriptors}, '<=', $first->{descriptors} + 4,
    'so are its descriptors, but for two handles of libcurl at most whose connection is closed');
is($last->{threads}, $first->{threads}, 'and its threads');
is($last->{files}, 0, 'no file is left');
cmp_ok($last->{postgres}, '<=', 8, 'it has no more sessions in Postgres than it may');
cmp_ok($last->{redis}, '<=', $MPM eq 'prefork' ? 2 : 17, 'nor connections to Redis');
cmp_ok($last->{storage}, '<=', $MPM eq 'prefork' ? 2 : 17, 'or the storage');

# What was done is done whole.
ok(wait_for(30, sub { !journal() }), 'the journal is empty') or diag explain [journal()];
my $urls = db()->selectcol_arrayref('SELECT avatar_url FROM users WHERE avatar_url IS NOT NULL');
is_deeply([sort(assets())], [sort map { asset_of($_) } @$urls], 'each picture has its row');
redis('SELECT', $DATABASE);
my @sessions = redis('KEYS', 'refresh_token:*');
redis('SELECT', 0);
is_deeply(\@sessions, [], 'no session of a deleted account is left');

done_testing();
