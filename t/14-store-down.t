#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Postgres or Redis down, hung, locked, refusing or full: 503 in bounded time, nothing changed and
# nothing told that is for the log only, the rest of httpd unharmed, and all well as soon as they are
# back.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time);
use UserProfile::Contracts;
use UserProfile::Load;
use UserProfile::Test;

my $user = user_new(full_name => 'Before');
my $token = token(sub => $user->{email});
my $CHANGE = {full_name => 'After'};

sub together {
    my ($count, $method, $path, %option) = @_;

    return at_once($count, $method, $path, token => $token, %option);
}

# All are 200.
sub is_well {
    my ($count, $name, %where) = @_;
    my @answers = map { together(20, 'GET', $ME, %where) } 1 .. $count / 20;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is(statuses(@answers), "200: $count", $name);
}

# 503 with all that the contract says of it; then the same ID in the log, with this line.
sub is_unavailable {
    my ($res, $line, $name, %option) = @_;
    my ($mark, $file) = @option{qw(mark log)};
    my ($id) = (json($res)->{message} // '') =~ /error-log ID (\S+)\)/;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is_error($res, 503, 'SERVICE_UNAVAILABLE', $name);
    unlike($res->as_string, qr{\.sock|/tmp|dbname|postgres|redis|SQL|select|connection to}i,
        "$name: tells nothing of the inside");
    ok($id, "$name: names the line in the log") or return;
    return log_like($mark, qr/^.*$line.*\[\Q$id\E\]$/m, "$name: which is there", $file);
}

sub is_unchanged {
    my ($name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is(user_row($user->{id})->{full_name}, 'Before', $name);
}

# What needs neither of the two.
sub rest_is_well {
    my ($name, %where) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is(request('GET', '/index.html', %where)->code, 200, "$name: documents are served");
    is_error(me('GET', %where), 401, 'MISSING_TOKEN', "$name: without a token");
    is_error(me('GET', %where, token => 'x.y.z'), 401, 'INVALID_CREDENTIALS', "$name: with a bad one");
    return is(me('OPTIONS', %where)->code, 204, "$name: OPTIONS");
}

# --- Redis ----------------------------------------------------------------------------------------

my $contracts = contracts(
    nojti => 'UserProfileTokenClaim type access',
    nothere => <<"CONF",
        UserProfileTable not_there
        UserProfileKeyColumn id
        UserProfileSubjectColumn email
        UserProfileField id integer
        UserProfileMethods GET
        UserProfileTokenKey HS256 "@{[servers->{keys}]}/hs256.key"
CONF
    nocolumn => 'UserProfileStateColumns deleted=never_made',
);

{
    my $mark = log_mark();

    is_well(20, 'all is well');
    servers->stop_redis;
    is_unavailable(me('GET', token => $token), 'token store redis', 'Redis down: GET', mark => $mark);
    is_unavailable(me('PATCH', token => $token, json => $CHANGE), 'token store redis', 'Redis down: PATCH',
        mark => $mark);
    is_unavailable(request('GET', '/guarded/', token => $token), 'token store redis',
        'Redis down: a guarded place', mark => $mark);
    is_unavailable(me('POST', token => $token), 'token store redis', 'Redis down: it is before 405',
        mark => $mark);
    rest_is_well('Redis down');
    is_unchanged('Redis down: nothing has changed');
    is_profile(me('GET', token => token(sub => $user->{email}, jti => undef), $contracts->at('nojti')), {},
        'Redis down: a token without jti is served where none is required');
    is(me('GET', token => $token, $contracts->at('nojti'))->code, 503, 'Redis down: one with a jti is not');
    servers->start_redis;
    is_profile(me('GET', token => $token), {}, 'Redis is back: on the first request');
    is_well(60, 'Redis is back: and on all');

    servers->stop_redis;
    servers->start_redis;
    is_well(60, 'Redis restarted: what was connected before fails no request');
    redis('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
    is_well(60, 'Redis has closed all connections: likewise');

    # One that Redis was not asked for before; what it has answered counts for a second (t/18-tracking.t).
    my $unknown = token(sub => $user->{email});
    kill STOP => servers->redis_pid;
    $mark = log_mark();
    my $start = time;
    my $res = me('GET', token => $unknown);
    cmp_ok(time - $start, '<', 4, 'Redis hangs: an answer in bounded time');
    is_unavailable($res, 'token store redis', 'Redis hangs', mark => $mark);
    my @answers = together(20, 'PATCH', $ME, body => '{"full_name":"After"}', token => $unknown);
    is(statuses(@answers), '503: 20', 'Redis hangs: for all of many');
    cmp_ok(slowest(@answers), '<', 5, 'Redis hangs: in bounded time');
    rest_is_well('Redis hangs');
    kill CONT => servers->redis_pid;
    is_profile(me('GET', token => $token), {full_name => 'Before'}, 'Redis goes on: and so do we');
    is_well(60, 'Redis goes on: for all');
}

# --- Postgres -------------------------------------------------------------------------------------

{
    my $mark = log_mark();

    is_well(40, 'many connections are open');
    db()->disconnect;
    servers->stop_postgres('immediate');
    is_unavailable(me('GET', token => $token), '.*', 'Postgres down: GET', mark => $mark);
    is_unavailable(me('PATCH', token => $token, json => $CHANGE), '.*', 'Postgres down: PATCH', mark => $mark);
    is_unavailable(me('DELETE', token => $token), '.*', 'Postgres down: DELETE', mark => $mark);
    is_unavailable(request('GET', '/guarded/', token => $token), '.*', 'Postgres down: a guarded place',
        mark => $mark);
    my @answers = together(40, 'GET', $ME);
    is(statuses(@answers), '503: 40', 'Postgres down: for all of many');
    cmp_ok(slowest(@answers), '<', 8, 'Postgres down: in bounded time');
    rest_is_well('Postgres down');
    is(me('HEAD', token => $token)->code, 503, 'Postgres down: HEAD');
    is_error(me('PATCH', token => $token, json => {full_name => 'x' x 256}), 400, 'VALIDATION_ERROR',
        'Postgres down: what needs no database is answered');

    my $node = node()->start;
    my %at = (port => $node->{port});
    is_unavailable(me('GET', token => $token, %at), '.*', 'started without Postgres', mark => 0,
        log => $node->{error_log});
    rest_is_well('started without Postgres', %at);
    servers->start_postgres;
    is_profile(me('GET', token => $token), {full_name => 'Before'}, 'Postgres is back: on the first request');
    is_well(200, 'Postgres is back: 200 of 200');
    is_profile(me('GET', token => $token, %at), {}, 'started without Postgres: when it is there');
    is_well(60, 'started without Postgres: all is well', %at);
    $node->stop;
    is_unchanged('Postgres is back: nothing has changed');
    is_profile(me('PATCH', token => $token, json => {speaking_language => 'fr'}), {speaking_language => 'fr'},
        'Postgres is back: writes are done');

    servers->stop_postgres('fast');
    servers->start_postgres;
    is_well(200, 'Postgres restarted, and nobody has asked: 200 of 200');
    db()->do('SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = ?', undef,
        servers->{role});
    is_well(200, 'all connections were ended: 200 of 200');
}

# --- Locks, hangs and full pools ------------------------------------------------------------------

# Few connections and short waits, so that both are soon at an end.
my $few = node(mpm => 'event', defines => {USERPROFILE_DB => servers->dsn('fluentmeet') . ' application_name=few'},
    conf => 'Include "' . scratch() . qq(/top/conf/fluentmeet.conf"\n) . <<'CONF')->start;
StartServers 1
ServerLimit 1
MaxRequestWorkers 25
MaxSpareThreads 25
UserProfileConnections 2
UserProfileTimeout statement=600ms pool=300ms
CONF
my %few = (port => $few->{port});
my %log = (log => $few->{error_log});
my $BOUND = 4;

sub backends {
    my $pids = db()->selectcol_arrayref(
        q(SELECT pid FROM pg_stat_activity WHERE application_name = 'few'));

    return @$pids;
}

{
    my $mark = log_mark($few->{error_log});

    is_well(40, 'few connections serve many', %few);
    cmp_ok(scalar(backends()), '<=', 2, 'and are few');

    my $lock = DBI->connect("dbi:Pg:dbname=fluentmeet;host=" . servers->{postgres}, 'postgres', '',
        {RaiseError => 1, AutoCommit => 0});
    $lock->do('LOCK TABLE users IN ACCESS EXCLUSIVE MODE');
    is_unavailable(me('GET', token => $token, %few), 'read a user', 'a locked table: GET', mark => $mark, %log);
    is_unavailable(me('PATCH', token => $token, json => $CHANGE, %few), 'update a user', 'a locked table: PATCH',
        mark => $mark, %log);
    my @answers = together(20, 'PATCH', $ME, body => '{"full_name":"After"}', %few);
    is(statuses(@answers), '503: 20', 'a locked table: for all of many');
    cmp_ok(slowest(@answers), '<', $BOUND, 'a locked table: in bounded time');
    is(scalar(grep { $_->{retry} =~ /^\d+$/ } @answers), 20, 'a locked table: all with Retry-After');
    log_like($mark, qr/no database connection became free within 300 ms/,
        'a locked table: some have waited for a connection in vain', $few->{error_log});
    rest_is_well('a locked table', %few);
    ok(wait_for(5, sub { !grep { $_ eq 'active' } @{db()->selectcol_arrayref(
        q(SELECT state FROM pg_stat_activity WHERE application_name = 'few'))} }),
        'a locked table: nothing is left waiting for it in the database');
    $lock->rollback;
    is_profile(me('GET', token => $token, %few), {full_name => 'Before'}, 'unlocked: on the first request');
    is_well(100, 'unlocked: for all', %few);
    is_unchanged('unlocked: what was answered by 503 is not done later');

    # A row that somebody else holds: who reads is served, who writes waits in vain.
    $lock->do('SELECT * FROM users WHERE id = ? FOR UPDATE', undef, $user->{id});
    is_profile(me('GET', token => $token, %few), {}, 'a locked row: is read');
    is_unavailable(me('PATCH', token => $token, json => $CHANGE, %few), 'update a user', 'a locked row: PATCH',
        mark => $mark, %log);
    $lock->rollback;
    is_unchanged('a locked row: nothing has changed');
    $lock->disconnect;
}

{
    my $mark = log_mark($few->{error_log});

    # A frozen host: backends that say nothing, not even that it takes too long.
    is_well(40, 'all is well', %few);
    my @frozen = backends();
    kill STOP => @frozen;
    my @answers = together(10, 'GET', $ME, %few);
    my $failed = grep { $_->{status} eq '503' } @answers;
    is(statuses(@answers) =~ s/(?:200|503): \d+//gr =~ tr/, //dr, '', 'frozen backends: 200 or 503, no other');
    cmp_ok($failed, '>=', 1, 'frozen backends: who has met one is told so');
    cmp_ok(slowest(@answers), '<', $BOUND, 'frozen backends: in bounded time');
    log_like($mark, qr/did not read a user within 600 ms/, 'frozen backends: the log says so', $few->{error_log});
    rest_is_well('frozen backends', %few);
    is_well(40, 'frozen backends: their connections have been replaced', %few);
    kill CONT => @frozen;
    ok(wait_for(10, sub { my %left = map { $_ => 1 } backends(); !grep { $left{$_} } @frozen }),
        'frozen backends: which end when they go on');
}
{
    my $mark = log_mark($few->{error_log});

    # Nobody takes new connections either: connect_timeout is 2 s.
    is_well(20, 'all is well', %few);
    my @frozen = (servers->postgres_pid, backends());
    kill STOP => @frozen;
    my @answers = together(10, 'GET', $ME, %few);
    is(statuses(@answers), '503: 10', 'a frozen server: for all of many');
    cmp_ok(slowest(@answers), '<', 8, 'a frozen server: in bounded time');
    @answers = together(10, 'GET', $ME, %few);
    is(statuses(@answers), '503: 10', 'a frozen server: and again');
    cmp_ok(slowest(@answers), '<', 8, 'a frozen server: in bounded time again');
    rest_is_well('a frozen server', %few);
    kill CONT => @frozen;
    is_profile(me('GET', token => $token, %few), {full_name => 'Before'}, 'it goes on: on the first request');
    is_well(60, 'it goes on: for all', %few);
    cmp_ok(scalar(backends()), '<=', 2, 'it goes on: and no connection is left over');
}

# --- What Postgres refuses ------------------------------------------------------------------------

{
    my $mark = log_mark($few->{error_log});
    my $role = servers->{role};
    my $anew = sub {
        db()->do('SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = ?', undef, $role);
    };

    # As a primary that has become a standby.
    db()->do("ALTER ROLE $role SET default_transaction_read_only = on");
    $anew->();
    is_profile(me('GET', token => $token, %few), {}, 'read-only: GET');
    is_unavailable(me('PATCH', token => $token, json => $CHANGE, %few), 'SQLSTATE 25006', 'read-only: PATCH',
        mark => $mark, %log);
    is_unchanged('read-only: nothing has changed');
    db()->do("ALTER ROLE $role RESET default_transaction_read_only");
    my @tries = map { me('PATCH', token => $token, json => {listening_language => 'de'}, %few)->code } 1 .. 5;
    like("@tries", qr/^(?:503 ){0,2}200(?: 200)*$/, 'writable again: each connection is made anew once');

    db()->do("ALTER ROLE $role CONNECTION LIMIT 0");
    $anew->();
    is_unavailable(me('GET', token => $token, %few), '.*', 'no connection is free at the server', mark => $mark,
        %log);
    db()->do("ALTER ROLE $role CONNECTION LIMIT -1");
    is_profile(me('GET', token => $token, %few), {}, 'one is: on the first request');
    $few->stop;
    $anew->();
    is_well(60, 'the main server has not suffered');
}
for my $case (['nothere', '42P01', 'a table that is not there'], ['nocolumn', '42703', 'a column that is not there']) {
    my ($contract, $state, $name) = @$case;
    my $file = $contracts->httpd->{error_log};
    my $mark = log_mark($file);
    my $res = me('GET', token => $token, $contracts->at($contract));
    my ($id) = $res->content =~ /error-log ID ([^)]+)\)/;

    is_error($res, 500, 'INTERNAL_ERROR', $name);
    is($res->header('Retry-After'), undef, "$name: trying again is of no use");
    unlike($res->content, qr/not_there|never_made|relation|column/, "$name: the client is not told which");
    log_like($mark, qr/^.*SQLSTATE $state.*\[\Q$id\E\]$/m, "$name: the log says it", $file);
    is_profile(me('GET', token => $token, $contracts->at), {}, "$name: others on the same connections are served");
}

# Two contracts that have one database, and mod_dbd has but one connection for both.
{
    my $port = free_port();
    my $node = node(conf => 'Include "' . scratch() . qq(/top/conf/fluentmeet.conf"\n) . <<"CONF")->start;
DBDMin 1
DBDKeep 1
DBDMax 1
UserProfileConnections 1
UserProfileTimeout statement=300ms
Listen 127.0.0.1:$port
<VirtualHost 127.0.0.1:$port>
    UserProfileTokenLeeway 30
    UserProfileTimeout statement=1500ms
</VirtualHost>
CONF
    my @ports = ($node->{port}, $port);
    for my $turn (1 .. 4) {
        my $res = eval { me('GET', token => $token, port => $ports[$turn % 2], timeout => 8) };
        is($res && $res->code, 200, "two contracts share a connection, turn $turn") or last;
    }
    my $lock = DBI->connect("dbi:Pg:dbname=fluentmeet;host=" . servers->{postgres}, 'postgres', '',
        {RaiseError => 1, AutoCommit => 0});
    $lock->do('LOCK TABLE users IN ACCESS EXCLUSIVE MODE');
    is(me('GET', token => $token, port => $node->{port})->code, 503, 'two contracts: one waits for 0.3 s');
    my $start = time;
    is(me('GET', token => $token, port => $port)->code, 503, 'two contracts: the other on the same connection');
    cmp_ok(time - $start, '>', 1.2, 'two contracts: has its own 1.5 s');
    $lock->rollback;
    $lock->disconnect;
    is(me('GET', token => $token, port => $_)->code, 200, 'two contracts: and both go on') for @ports;
    $node->stop;
}

is_unchanged('after all that, nothing has changed that should not have');

done_testing();
