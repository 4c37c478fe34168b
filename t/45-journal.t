#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Nothing is lost, and nothing is left over: what a killed child had promised is done by the sweeper,
# and what it had only begun is undone. The children are killed with SIGKILL while a fault of the
# storage, the token store or the database holds them at a known step.
use strict;
use warnings;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep);
use UserProfile::Test;

# A storage of this short a limit has done or dropped after 4 s what a killed child has sent it.
my $node = node(defines => {USERPROFILE_SWEEP => 1},
    more => "UserProfileTimeout connect=1s storage=2s\n")->start;
my %here = (port => $node->{port});
my $SEED = $ENV{UP_SEED} // 20260314;
my $KILLS = $ENV{UP_KILLS} // (embedded ? 6 : 12);

sub journal {
    return db()->selectall_arrayref('SELECT * FROM userprofile_journal ORDER BY id', {Slice => {}});
}

sub effects {
    return join ' ', sort map { $_->{effect} } @{journal()};
}

# An entry as a crash leaves it: of nobody's, its lease over unless it is given.
sub journal_new {
    my (%column) = (contract => 'users', owner => 'elsewhere:1:1', lease => '2000-01-01',
        created_at => '2026-01-01', @_);
    my @names = sort keys %column;
    $column{$_} = journal_time($column{$_}) for grep { $column{$_} } qw(lease created_at expires);

    return db()->do(sprintf('INSERT INTO userprofile_journal (%s) VALUES (%s)', join(', ', @names),
        join ', ', ('?') x @names), undef, @column{@names});
}

sub swept {
    my ($name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return ok(wait_for(15, sub { !@{journal()} }), "$name: the journal is empty after a sweep")
        || diag explain journal();
}

sub asset_of {
    return ($_[0] // '') =~ m{/(avatars/[0-9a-f]{32})\.} ? $1 : undef;
}

# The invariant: the storage has exactly the pictures that rows point at.
sub consistent {
    my ($name) = @_;
    my $rows = db()->selectcol_arrayref('SELECT avatar_url FROM users WHERE avatar_url IS NOT NULL');
    my @rows = sort grep { defined } map { asset_of($_) } @$rows;
    my @assets = sort map { $_->{public_id} } @{storage('assets')->{assets}};
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return is_deeply(\@assets, \@rows, "$name: each picture belongs to one row, each row has its own");
}

sub kill_children {
    my @children = $node->children;

    kill KILL => @children;
    wait_for(10, sub { !grep { alive($_) } @children });
    return wait_for(10, sub { eval { request('GET', '/index.html', %here)->code == 200 } });
}

# Runs a request in a process of its own; its answer is lost with the child.
sub in_background {
    my ($code) = @_;
    my $pid = fork // die "fork: $!\n";

    if (!$pid) {
        eval { $code->() };
        POSIX::_exit(0);
    }
    return $pid;
}

sub avatar {
    my ($token, $picture) = @_;

    return request('PUT', "$ME/avatar", token => $token, body => $picture, type => 'image/png', %here,
        timeout => 30);
}

# A user with an avatar.
sub user_with_avatar {
    my $user = user_new();
    my $token = token(sub => $user->{email});
    my $response = avatar($token, png());

    is($response->code, 200, 'an avatar to begin with') or diag $response->as_string;
    return ($user, $token, asset_of(json($response)->{avatar_url}));
}

# Kills the children while a swap of the user's avatar stands at a step.
sub killed_in_swap {
    my ($token, $reached) = @_;
    my $pid = in_background(sub { avatar($token, png()) });

    ok(wait_for(10, $reached), 'the step is reached') or diag explain journal();
    ok(kill_children(), 'the children are killed, and others serve');
    waitpid $pid, 0;
    return;
}

# What tests before this one have left is not ours to compare.
storage('reset');
db()->do('UPDATE users SET avatar_url = NULL WHERE avatar_url IS NOT NULL');

# --- Each kind of entry, as a crash on another node leaves it -------------------------------------

{
    my ($user, $token, $asset) = user_with_avatar();
    my $url = user_row($user->{id})->{avatar_url};

    journal_new(effect => 'destroy', url => 'https://social.example/me.png');
    swept('the avatar of another service');
    is(storage('assets')->{count}, 1, 'it is left alone');

    db()->do('UPDATE users SET avatar_url = NULL WHERE id = ?', undef, $user->{id});
    journal_new(effect => 'upload', asset => $asset);
    journal_new(effect => 'publish', asset => $asset, url => $url, user_key => $user->{id});
    swept('an upload that is to be published');
    is(user_row($user->{id})->{avatar_url}, $url, 'its URL is set');
    consistent('after it is published');

    db()->do('UPDATE users SET avatar_url = NULL WHERE id = ?', undef, $user->{id});
    journal_new(effect => 'upload', asset => $asset);
    swept('an upload of nobody');
    is(storage('assets')->{count}, 0, 'it is destroyed');

    journal_new(effect => 'publish', user_key => $user->{id});
    swept('an avatar that was removed');
    journal_new(effect => 'publish', asset => 'avatars/' . 'a' x 32, url => $url, user_key => 987_654);
    swept('an avatar of a user who is gone');
}

{
    my $email = user_new()->{email};
    my ($id) = db()->selectrow_array('SELECT id FROM users WHERE email = ?', undef, $email);
    my $session = "refresh_token:$email:1";

    journal_new(effect => 'revoke_token', jti => 'late', expires => '2100-01-01');
    journal_new(effect => 'revoke_token', jti => 'too-late', expires => '2001-01-01');
    redis('SET', $session, 1);
    journal_new(effect => 'revoke_sessions', subject => $email, user_key => $id);
    swept('what Redis was not told');
    cmp_ok(redis('TTL', 'blacklisted_access_token:late'), '>', 1_000_000, 'a token is revoked');
    ok(!redis('EXISTS', 'blacklisted_access_token:too-late'), 'one that has ended by itself is not');
    ok(!redis('EXISTS', $session), 'sessions are revoked');

    redis('SET', $session, 1);
    journal_new(effect => 'revoke_sessions', subject => $email, user_key => $id + 1_000_000);
    swept('sessions of an account before this one of the same email');
    ok(redis('EXISTS', $session), 'a new account keeps its sessions');
}

# --- Leases, back-off -----------------------------------------------------------------------------

{
    my $mark = log_mark($node->{error_log});

    journal_new(effect => 'upload', asset => 'avatars/' . 'b' x 32, lease => '2100-01-01');
    journal_new(effect => 'upload', asset => 'avatars/' . 'c' x 32);
    ok(wait_for(10, sub { @{journal()} == 1 }), 'an entry without lease is done');
    is(journal()->[0]{asset}, 'avatars/' . 'b' x 32, 'one under the lease of another node is not');
    db()->do('DELETE FROM userprofile_journal');

    storage_fault('status', status => 500, count => 2, on => 'destroy');
    journal_new(effect => 'upload', asset => 'avatars/' . 'd' x 32,
        created_at => '2000-01-01');
    swept('an entry that failed twice');
    log_like($mark, qr/userprofile:error.*journal entry \d+, \d+ s old, attempt 1: .*next in 1 s/,
        'an old entry that fails is an error in the log', $node->{error_log});
    log_like($mark, qr/attempt 2: .*next in 2 s/, 'it waits twice as long each time',
        $node->{error_log});
}

# --- Children killed at each step of a swap -------------------------------------------------------

for my $done (0, 1) {
    my ($user, $token, $asset) = user_with_avatar();
    my $when = $done ? 'after the upload, before its answer' : 'in the upload';

    storage_fault('hang', seconds => 20, on => 'upload', done => $done);
    killed_in_swap($token, sub { effects() eq 'upload' && storage('assets')->{count} == 1 + $done });
    swept("killed $when");
    is(asset_of(user_row($user->{id})->{avatar_url}), $asset, "killed $when: the avatar is the old one");
    consistent("killed $when");
    db()->do('DELETE FROM users WHERE id = ?', undef, $user->{id});
    storage('reset');
}

for my $done (0, 1) {
    my ($user, $token, $asset) = user_with_avatar();
    my $when = 'in the deletion of the old one, ' . ($done ? 'done' : 'not done');

    storage_fault('hang', seconds => 20, on => 'destroy', done => $done);
    killed_in_swap($token, sub { effects() eq 'destroy publish upload' });
    swept("killed $when");
    isnt(asset_of(user_row($user->{id})->{avatar_url}) // '', $asset, "killed $when: there is a new one");
    ok(user_row($user->{id})->{avatar_url}, "killed $when: and it is set");
    consistent("killed $when");
    db()->do('DELETE FROM users WHERE id = ?', undef, $user->{id});
    storage('reset');
}

# --- A request that sleeps past its lease ---------------------------------------------------------

{
    my ($user, $token) = user_with_avatar();
    my $answer = scratch() . "/answer-$$";

    storage_fault('slow', seconds => 1.5, on => 'destroy');
    my $pid = in_background(sub { spew($answer, avatar($token, png())->code) });
    ok(wait_for(5, sub { effects() eq 'destroy publish upload' }), 'a swap under way');
    db()->do(q(UPDATE userprofile_journal SET lease = ? WHERE effect = 'publish'), undef,
        journal_time('2000-01-01'));
    ok(wait_for(5, sub { effects() !~ /publish/ }), 'a sweep ends it in its place');
    waitpid $pid, 0;
    is(slurp($answer), 200, 'the request is answered');
    swept('a request past its lease');
    ok(user_row($user->{id})->{avatar_url}, 'the avatar is set');
    consistent('a request past its lease');
    db()->do('DELETE FROM users WHERE id = ?', undef, $user->{id});
    storage('reset');
}

{
    my ($user, $token, $asset) = user_with_avatar();
    my $answer = scratch() . "/answer-$$";

    storage_fault('slow', seconds => 1.5, on => 'upload');
    my $pid = in_background(sub { spew($answer, avatar($token, png())->code) });
    ok(wait_for(5, sub { effects() eq 'upload' }), 'an upload under way');
    db()->do('UPDATE userprofile_journal SET lease = ?, created_at = ?', undef,
        map { journal_time($_) } '2000-01-01', '2026-01-01');
    waitpid $pid, 0;
    is(slurp($answer), 503, 'the request is told to try again');
    swept('an upload past its lease');
    is(asset_of(user_row($user->{id})->{avatar_url}), $asset, 'the avatar is the old one');
    consistent('an upload past its lease');
    db()->do('DELETE FROM users WHERE id = ?', undef, $user->{id});
    storage('reset');
}

# --- Children killed in a deletion ----------------------------------------------------------------

# Redis is held up; what is in the database itself is told at once.
if (!embedded) {
    my $user = user_new();
    my $token = token(sub => $user->{email}, jti => "killed-$$");
    my $session = "refresh_token:$user->{email}:1";

    redis('SET', $session, 1);
    redis('CLIENT', 'PAUSE', 4000, 'WRITE');
    my $pid = in_background(sub { me('DELETE', token => $token, %here) });
    ok(wait_for(5, sub { effects() eq 'revoke_sessions revoke_token' }), 'the account is deleted');
    ok(kill_children(), 'the children are killed before Redis is told');
    waitpid $pid, 0;
    ok(wait_for(30, sub { !@{journal()} }), 'the journal is empty when Redis writes again');
    ok(redis('EXISTS', "blacklisted_access_token:killed-$$"), 'the token is revoked');
    ok(!redis('EXISTS', $session), 'the sessions are revoked');
    isnt(user_row($user->{id})->{deleted_at}, undef, 'the account stays deleted');
}

{
    my ($user, $token) = user_with_avatar();

    storage_fault('hang', seconds => 20, on => 'destroy');
    my $pid = in_background(sub { request('DELETE', "$ME?hard=true", token => $token, %here) });
    ok(wait_for(5, sub { effects() =~ /destroy/ && !user_row($user->{id}) }), 'the account is erased');
    ok(kill_children(), 'the children are killed before the picture is destroyed');
    waitpid $pid, 0;
    swept('killed in an erasure');
    consistent('killed in an erasure');
}

# --- Children that end while they sweep ------------------------------------------------------------

# Only Postgres can be made to let a sweep wait.
for my $signal (embedded() ? () : qw(TERM USR1)) {
    my $ending = node(defines => {USERPROFILE_SWEEP => 1})->start;
    my $locked = DBI->connect('dbi:Pg:dbname=fluentmeet;host=' . servers()->{postgres}, 'postgres', '',
        {RaiseError => 1, AutoCommit => 0});

    $locked->do('LOCK TABLE userprofile_journal IN ACCESS EXCLUSIVE MODE');
    ok(wait_for(20, sub {
        db()->selectrow_array(q(SELECT count(*) FROM pg_stat_activity
            WHERE wait_event_type = 'Lock' AND query LIKE '%userprofile_journal%')) >= 2
    }), "$signal: both nodes' sweeps wait for the journal");
    $ending->signal($signal);
    ok(wait_for(20, sub { slurp($ending->{error_log}) =~ /AH00493.*|AH00491/ }), "$signal: is heard");
    ok(wait_for(20, sub { $ending->pid && request('GET', '/index.html', port => $ending->{port})->code == 200 }),
        "$signal: other children serve") if $signal eq 'USR1';
    $ending->stop;
    $locked->rollback;
    $locked->disconnect;
    unlike(slurp($ending->{error_log}), qr/AH0005[012].*exit signal.*|Assertion/,
        "$signal: a child that sweeps ends in peace");
}

# --- Children killed at random times --------------------------------------------------------------

note "UP_SEED=$SEED UP_KILLS=$KILLS";
srand $SEED;
{
    my @users = map { user_new() } 1 .. 4;
    my @tokens = map { token(sub => $_->{email}) } @users;
    my @clients = map {
        my $token = $_;
        in_background(sub {
            srand $SEED + $$;
            my $end = time + 30 + 3 * $KILLS;
            while (time < $end) {
                eval {
                    rand() < 0.8 ? avatar($token, png())
                        : request('DELETE', "$ME/avatar", token => $token, %here, timeout => 30);
                };
                sleep 0.02;
            }
        });
    } @tokens, $tokens[0], $tokens[1];

    for (1 .. $KILLS) {
        sleep 0.05 + rand 0.4;
        kill_children();
    }
    kill KILL => @clients;
    waitpid $_, 0 for @clients;
    # A request whose client has gone still ends by itself.
    ok(wait_for(60, sub { !@{journal()} }), "killed $KILLS times at random: the journal is empty")
        or diag explain journal();
    consistent("killed $KILLS times at random");
}

done_testing();
