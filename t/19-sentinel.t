#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# A Redis with a replica, watched by three sentinels: planned failovers, a master that dies, that hangs
# and comes back as if nothing had happened, a replica that was behind. Under load there are only
# answers as ever and 503, and answers as ever again without a word to httpd; no revoked token is let
# through, no revocation that was promised is lost, and nobody is asked who is no master any more.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time);
use UserProfile::Avatar qw(journal journal_clear);
use UserProfile::Load;
use UserProfile::RedisServers;
use UserProfile::Test;

# The longest of an answer: the waits for the token store, a connection and two statements, and what a
# busy machine takes.
my $BOUND = 10;

my $redis = watched_redis(replicas => 1, sentinels => 3);
my ($first, $second) = @{$redis->{servers}};
my $DB = 3;
my $node = node(defines => {USERPROFILE_TOKENS => $redis->url($DB), USERPROFILE_SWEEP => 1})->start;
my %here = (port => $node->{port});
my $pid = $node->pid;
my @all;

journal_clear();

# A user with two refresh tokens, and the access token by which the account is deleted.
sub resident {
    my $user = user_new();
    my $jti = "jti-$user->{id}";

    return {email => $user->{email}, jti => $jti, token => token(sub => $user->{email}, jti => $jti)};
}

# What a server says to a command, in our database.
sub ask {
    my ($server, @command) = @_;

    $server->ask('SELECT', $DB);
    return scalar $server->ask(@command);
}

sub blacklist {
    my ($server, $jti) = @_;

    return ask($server, 'SET', "blacklisted_access_token:$jti", 1, 'EX', 600);
}

# --- Load -----------------------------------------------------------------------------------------

my $user = user_new();
my $good = token(sub => $user->{email});
my $revoked = token(sub => $user->{email}, jti => 'revoked-before');
my @doomed = map { resident() } 1 .. 400;

# Those who read, who write, who come with a revoked token (200 is that it is refused, and 401 that it
# is not), and who delete an account now and then: $doomed[$i / 5].
sub begin_load {
    return UserProfile::Load->start(
        (sub { me('GET', token => $good, %here) }) x 3,
        sub { me('PATCH', token => $good, json => {full_name => "Name $_[0]"}, %here) },
        sub {
            my $res = me('GET', token => $revoked, %here);
            $res->code({200 => 401, 401 => 200}->{$res->code} // $res->code);
            return $res;
        },
        sub {
            my ($i) = @_;
            return $i % 5 ? me('GET', token => $good, %here)
                : me('DELETE', token => ($doomed[$i / 5] // return)->{token}, %here);
        },
    );
}
my $DELETES = 5;

# Ends it, and checks what was answered: to whoever asked two seconds after all was well, not 503.
# Returns those whose deletion was answered by 200.
sub end_load {
    my ($load, $name, $well) = @_;

    ok($load->served_since($well) && $load->served_since(time), "$name: all are served again");
    my @answers = $load->stop;
    is_bounded(\@answers, $BOUND, $name);
    is(scalar(grep { $_->{status} ne '200' && $_->{began} > $well + 2 } @answers), 0,
        "$name: and for good");
    my @deletes = grep { $_->{client} == $DELETES && $_->{i} % 5 == 0 } @answers;
    my @deleted = map { $doomed[$_->{i} / 5] } grep { $_->{status} eq '200' } @deletes;
    splice @doomed, 0, 1 + @deletes;
    push @all, @answers;
    return @deleted;
}

# What was promised is done, or in the journal, and is done when a sweep comes to it.
sub is_kept {
    my ($name, @deleted) = @_;
    my $master = $redis->master;
    my %pending = map { $_ => 1 } map { /^revoke_token (\S+)/ ? $1 : () } journal();

    cmp_ok(scalar @deleted, '>', 0, "$name: " . @deleted . ' accounts were deleted');
    my @lost = grep { !$pending{$_->{jti}} && !ask($master, 'EXISTS', "blacklisted_access_token:$_->{jti}") }
        @deleted;
    is(join(' ', map { $_->{jti} } @lost), '', "$name: each token is blacklisted, or in the journal ("
        . keys(%pending) . ')');
    ok(wait_for(60, sub {
        # The journal's own back-off and leases, made short.
        db()->do(q(UPDATE userprofile_journal SET lease = '2000-01-01'));
        !journal();
    }), "$name: the journal is swept") or diag(join "\n", journal());
    my @codes = map { (json(me('GET', token => $_->{token}, %here)) // {})->{code} // 'none' } @deleted;
    is_deeply([grep { $_ ne 'TOKEN_REVOKED' } @codes], [], "$name: each token is refused as revoked");
    my ($cursor, @sessions) = ('0');
    do {
        ($cursor, my $page) = do { $master->ask('SELECT', $DB); $master->ask('SCAN', $cursor, 'COUNT', 1000) };
        push @sessions, grep { /^refresh_token:/ } @$page;
    } while $cursor;
    my %gone = map { $_->{email} => 1 } @deleted;
    is_deeply([grep { /^refresh_token:(.*):\d+$/ && $gone{$1} } @sessions], [],
        "$name: none has a session left");
    return;
}

# --- All is well ----------------------------------------------------------------------------------

blacklist($first, 'revoked-before');
is($redis->master, $first, 'the sentinels know the master');
$first->ask('SELECT', $DB);
for my $person (@doomed) {
    $first->ask('SET', "refresh_token:$person->{email}:$_", 1) for 1 .. 2;
}
is_profile(me('GET', token => $good, %here), {}, 'GET');
is_error(me('GET', token => $revoked, %here), 401, 'TOKEN_REVOKED', 'a revoked token');
is(request('GET', '/api/v1/users/me', token => $good, %here)->code, 200, 'again');
{
    my $person = shift @doomed;
    my $key = "blacklisted_access_token:$person->{jti}";

    # Who has answered has waited for the replica: nothing is waited for here.
    is(me('DELETE', token => $person->{token}, %here)->code, 200, 'DELETE');
    is(ask($second, 'EXISTS', $key), 1, '... the replica has the token when the answer is there');
    is(ask($second, 'EXISTS', map { "refresh_token:$person->{email}:$_" } 1 .. 2), 0,
        '... and no session any more');
    is_deeply([journal()], [], '... and the journal is empty');
    is_error(me('GET', token => $person->{token}, %here), 401, 'TOKEN_REVOKED', '... it is refused');
}
is($second->count('exists'), 1 + 1, 'the replica was asked by nobody but this test');

# A sentinel that is down, and one that hangs, cost nobody anything.
$redis->{sentinels}[0]->stop('KILL');
kill STOP => $redis->{sentinels}[1]->pid;
{
    my $cold = node(defines => {USERPROFILE_TOKENS => $redis->url($DB)})->start;
    my $start = time;

    is(me('GET', token => $good, port => $cold->{port})->code, 200,
        'two of three sentinels are dead: an httpd that is new is served');
    cmp_ok(time - $start, '<', 5, '... in bounded time');
    is(me('GET', token => $good, %here)->code, 200, '... and the one that was there') for 1 .. 5;
    $cold->stop;
}
kill CONT => $redis->{sentinels}[1]->pid;
$redis->{sentinels}[0]->start;
$redis->await_whole(1);

# --- A planned failover ---------------------------------------------------------------------------

{
    my $load = begin_load();
    ok($load->warm, 'planned: all are served');
    ok(eval { $redis->{sentinels}[0]->ask('SENTINEL', 'failover', 'mymaster') }, 'planned: a failover');
    $redis->await_master($second);
    is_kept('planned', end_load($load, 'planned', time));
    $redis->await_whole(1);
    my $asked = $first->count('exists');
    is(me('GET', token => $good, %here)->code, 200, 'planned: served') for 1 .. 5;
    is($first->count('exists'), $asked, 'planned: nobody asks the former master');
}

# --- The master dies, and comes back --------------------------------------------------------------

{
    my $load = begin_load();
    ok($load->warm, 'killed: all are served');
    $second->stop('KILL');
    $redis->await_master($first);
    my $well = time;
    ok($load->served_since($well), 'killed: without it all are served by the other');

    # It takes the sentinels a while to make it a replica: meanwhile it believes to be the master.
    $second->start;
    my ($alone, $written) = (0, 0);
    ok(wait_for(60, sub {
        my $role = $second->info('replication')->{role};
        if ($role eq 'master') {
            $alone++;
            $written += $second->count('set');
        }
        $role eq 'slave';
    }), 'killed: when it is back it is made a replica');
    $redis->await_whole(1);
    my @deleted = end_load($load, 'killed', $well);
    cmp_ok($alone, '>', 0, 'killed: and believes to be the master until then');
    is($written, 0, 'killed: when nobody writes to it');
    is($second->count('exists'), 0, 'killed: nor asks it, from then on');
    is_kept('killed', @deleted);
}

# --- The master hangs, and goes on ----------------------------------------------------------------

{
    my $load = begin_load();
    my $token = token(sub => $user->{email}, jti => 'revoked-meanwhile');
    ok($load->warm, 'hung: all are served');
    is(me('GET', token => $token, %here)->code, 200, 'hung: a token');
    kill STOP => $first->pid;
    $redis->await_master($second);
    my $well = time;
    ok($load->served_since($well), 'hung: all are served by the other');

    # As its only replica is gone, it would refuse this.
    $second->ask('CONFIG', 'SET', 'min-replicas-to-write', 0);
    blacklist($second, 'revoked-meanwhile');
    is_error(me('GET', token => $token, %here), 401, 'TOKEN_REVOKED', 'hung: it is revoked');
    kill CONT => $first->pid;
    my ($let_in, $asked) = (0, 0);
    ok(wait_for(60, sub {
        $asked++;
        $let_in++ if me('GET', token => $token, %here)->code == 200;
        $first->info('replication')->{role} eq 'slave';
    }), 'hung: when it goes on it is made a replica');
    is($let_in, 0, "hung: until then nobody believes it ($asked requests)");
    $redis->await_whole(1);
    $second->ask('CONFIG', 'SET', 'min-replicas-to-write', 1);
    is_kept('hung', end_load($load, 'hung', $well));
}

# --- A replica that was behind becomes the master -------------------------------------------------

{
    my ($person) = splice @doomed, 0, 1;
    my $mark = log_mark($node->{error_log});

    # It loses its master and cannot log in again. That the master then refuses what is written, when
    # min-replicas-max-lag is over, is not what has to help here.
    $second->ask('CONFIG', 'SET', 'min-replicas-to-write', 0);
    $first->ask('CONFIG', 'SET', 'masterauth', 'wrong');
    $second->ask('CLIENT', 'KILL', 'TYPE', 'replica');
    is(me('DELETE', token => $person->{token}, %here)->code, 200, 'behind: DELETE');
    is(ask($second, 'EXISTS', "blacklisted_access_token:$person->{jti}"), 1, 'behind: the master has it');
    is(ask($first, 'EXISTS', "blacklisted_access_token:$person->{jti}"), 0, 'behind: the replica has not');
    log_like($mark, qr/WAIT: 0 of 1 replicas have what was written.*stays in the journal/,
        'behind: the log says so', $node->{error_log});
    is_deeply([journal()], ["revoke_token $person->{jti}", "revoke_sessions $person->{email}"],
        'behind: the journal too');
    $second->stop('KILL');
    $first->ask('CONFIG', 'SET', 'masterauth', $redis->{password});
    $redis->await_master($first);
    is(ask($first, 'EXISTS', "blacklisted_access_token:$person->{jti}"), 0,
        'behind: it becomes the master, and would have lost it');
    $second->start;
    # The sentinels would do that, in a while.
    $second->ask('REPLICAOF', '127.0.0.1', $first->{port});
    $redis->await_whole(1);
    is_kept('behind', $person);
}

# ---------------------------------------------------------------------------------------------------

is($node->pid, $pid, 'httpd was left alone');
my $log = slurp($node->{error_log});
ok(index($log, $redis->{$_}) < 0, "the log has no $_") 
    for qw(password user_password sentinel_password);
unlike($log, qr/jti-\d|revoked-(?:before|meanwhile)/, 'nor a jti');
note(sprintf '3 failovers under load: %s; the longest took %.2f s', statuses(@all), slowest(@all));
$node->stop;
done_testing();
