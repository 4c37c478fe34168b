#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Two Postgres, the second a synchronous standby of the first, and both in USERPROFILE_DB. The
# primary is killed under a load of writers, readers and deletions, and the standby promoted: only
# 200 and 503, in bounded time; the module finds the new primary by itself; what was answered by 200
# is there. And what a standby that hangs has not confirmed is not answered by 200.
use strict;
use warnings;
use DBI ();
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);
use UserProfile::Load;
use UserProfile::Postgres;
use UserProfile::Test;

# A request of one statement: a connection from the pool, connecting to each of two hosts (libpq
# counts whole seconds, and one more), a statement, a command to Redis; and this machine's other
# work. A deletion has a second statement.
my $LIMIT = 2 + 2 * 3 + 2 * 3 + 0.5 + 3;
my $WRITERS = 4;
my $ROLE = servers()->{role};

my @cluster = map { UserProfile::Postgres->new(scratch() . "/failover-$_", scratch() . "/logs/failover-$_.log") }
    qw(a b);
my ($primary, $standby) = @cluster;
my %handle;

END {
    local $?;
    %handle = ();
    $_->stop('immediate') for @cluster;
}

# The superuser's handle at one of the two.
sub at {
    my ($server) = @_;
    my $dir = $server->{dir};

    delete $handle{$dir} unless $handle{$dir} && $handle{$dir}->ping;
    return $handle{$dir} //= DBI->connect("dbi:Pg:dbname=fluentmeet;host=$dir", 'postgres', '',
        {RaiseError => 1, PrintError => 0, AutoCommit => 1});
}

# From now on the primary commits nothing that the standby has not.
sub replicate {
    $standby->make_standby($primary)->start;
    at($primary)->do(q(ALTER SYSTEM SET synchronous_standby_names = '*'));
    at($primary)->do('SELECT pg_reload_conf()');
    return wait_for(30, sub {
        at($primary)->selectrow_array(q(SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'));
    });
}

sub user_at {
    my ($server, $id) = @_;

    return at($server)->selectrow_hashref('SELECT * FROM users WHERE id = ?', undef, $id);
}

sub user_made {
    my ($n) = @_;
    my $user = at($primary)->selectrow_hashref(
        'INSERT INTO users (email, hashed_password) VALUES (?, ?) RETURNING *', undef,
        "failover-$n\@example.com", 'none');

    return {%$user, token => token(sub => $user->{email}, jti => "failover-$n-$$")};
}

$primary->make->start;
$primary->query('postgres', "CREATE ROLE $ROLE LOGIN");
$primary->query('postgres', "CREATE DATABASE fluentmeet OWNER $ROLE");
$primary->psql($ROLE, 'fluentmeet', '-f', 'sql/fluentmeet.sql');

my @users = map { user_made("writer-$_") } 0 .. $WRITERS;
my $node = node(defines => {USERPROFILE_SWEEP => 1, USERPROFILE_DB => 'host='
    . join(',', map { $_->{dir} } @cluster) . " dbname=fluentmeet user=$ROLE target_session_attrs=read-write"})
    ->start;
my %here = (port => $node->{port});

# Each writes numbers that rise.
sub writer {
    my ($n) = @_;

    return sub { me('PATCH', token => $users[$n]{token}, json => {full_name => "number $_[0]"}, %here) };
}

sub reader {
    return me('GET', token => $users[$WRITERS]{token}, %here);
}

# Deletes one account after another, the soft way and the hard way in turn.
sub deleter {
    my ($accounts) = @_;

    return sub {
        my ($i) = @_;
        my $account = $accounts->[$i - 1] or return;
        return request('DELETE', $ME . ($i % 2 ? '' : '?hard=true'), token => $account->{token}, %here);
    };
}

# How many of the writers' acknowledged numbers are not there, nor a later one.
sub lost_writes {
    my ($server, $answers) = @_;
    my $lost = 0;

    for my $n (0 .. $WRITERS - 1) {
        my @sent = grep { $_->{client} == $n } @$answers;
        my ($last) = sort { $b <=> $a } 0, map { $_->{i} } grep { $_->{status} eq '200' } @sent;
        my ($there) = (user_at($server, $users[$n]{id})->{full_name} // '') =~ /^number (\d+)$/;
        $lost++ unless defined $there && $there >= $last && $there <= @sent;
    }
    return $lost;
}

# Likewise of the deletions; what is deleted has lost its sessions too.
sub lost_deletions {
    my ($server, $accounts, @deletions) = @_;
    my $lost = 0;

    for my $deletion (grep { $_->{status} eq '200' } @deletions) {
        my $account = $accounts->[$deletion->{i} - 1];
        my $row = user_at($server, $account->{id});
        my $gone = $deletion->{i} % 2 ? $row && $row->{deleted_at} : !$row;
        $lost++ unless $gone && !redis('EXISTS', "refresh_token:$account->{email}:1");
    }
    return $lost;
}

# The primary goes, the standby takes its place.
sub fail_over {
    my ($how, $name) = @_;
    my @accounts = map { user_made("$how-$_") } 1 .. 300;
    redis('SET', "refresh_token:$_->{email}:1", 1) for @accounts;
    my $load = UserProfile::Load->start((map { writer($_) } 0 .. $WRITERS - 1), deleter(\@accounts),
        \&reader, \&reader);
    my ($old, $new) = ($primary, $standby);

    ok($load->warm, "$name: all is well before");
    my $gone = time;
    $how eq 'freeze' ? $old->freeze : $old->stop($how);
    ok($load->met(503, $gone), "$name: each client has met it");
    $new->promote;
    my $back = time;
    ok($load->served_since($back), "$name: each is served by the new one");
    # A frozen one still holds connections, and costs who makes a new one two seconds.
    my @since = grep { $_->{began} > $back } $load->answers;
    is(statuses(@since), '200: ' . @since, "$name: from the first request on") if $how ne 'freeze';
    my @answers = $load->stop;
    $old->stop('kill');
    %handle = ();

    my @deletions = grep { $_->{client} == $WRITERS } @answers;
    is_bounded(\@answers, $LIMIT, $name);
    is(lost_writes($new, \@answers), 0, "$name: each acknowledged write is there");
    is(lost_deletions($new, \@accounts, @deletions), 0, "$name: each acknowledged deletion is done");
    note "$name: " . statuses(@deletions) . ' of these are deletions';

    my @status = map { me('PATCH', token => $users[$_ % $WRITERS]{token}, json => {full_name => "Then $_"},
        %here)->code } 1 .. 100;
    is(scalar(grep { $_ == 200 } @status), 100, "$name: 100 of 100 updates afterwards");
    # What a request has begun and could not end waits for its lease, which is over now.
    ok(wait_for(20, sub {
        at($new)->do(q(UPDATE userprofile_journal SET lease = '2000-01-01' WHERE lease > now()));
        !at($new)->selectrow_array('SELECT count(*) FROM userprofile_journal');
    }), "$name: what was promised is done");
    is(scalar(redis('KEYS', 'refresh_token:failover-' . $how . '-*')), scalar(grep {
        my $row = user_at($new, $_->{id});
        $row && !$row->{deleted_at}
    } @accounts), "$name: just those who are left have their sessions");
    ($primary, $standby) = ($new, $old);
    return;
}

ok(replicate(), 'there is a synchronous standby');

# --- A standby that hangs -------------------------------------------------------------------------

{
    my ($user) = @users;
    my $answer = scratch() . "/answer-$$";
    my $patch = sub { me('PATCH', token => $user->{token}, json => {full_name => $_[0]}, %here) };

    is($patch->('Before')->code, 200, 'both are well');
    $standby->freeze;
    my $start = time;
    my $response = $patch->('Unconfirmed');
    is_error($response, 503, 'SERVICE_UNAVAILABLE', 'the standby hangs: an update is not confirmed');
    cmp_ok(time - $start, '<', $LIMIT, 'the standby hangs: in bounded time');
    is_profile(me('GET', token => $user->{token}, %here), {full_name => 'Before'},
        'the standby hangs: reads are served');

    # Who cancels the waiting has the write in the primary alone.
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        my $other = $users[1];
        spew($answer, me('PATCH', token => $other->{token}, json => {full_name => 'Alone'}, %here)->code);
        POSIX::_exit(0);
    }
    ok(wait_for(10, sub {
        at($primary)->selectrow_array(q(SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity
            WHERE wait_event = 'SyncRep' AND query LIKE '%UPDATE%' AND pg_backend_pid() <> pid
            AND query_start > now() - interval '3 s'))
    }), 'the standby hangs: the waiting is cancelled');
    waitpid $pid, 0;
    is(slurp($answer), 503, 'the standby hangs: what it may not have is not acknowledged');
    $standby->thaw;
    is($patch->('After')->code, 200, 'the standby goes on: and so do updates');
}

# --- Failovers ------------------------------------------------------------------------------------

fail_over('immediate', 'the primary crashed');
ok(replicate(), 'there is another synchronous standby');
fail_over('kill', 'the primary was killed');
ok(replicate(), 'there is another synchronous standby');
fail_over('freeze', 'the primary froze');

done_testing();
