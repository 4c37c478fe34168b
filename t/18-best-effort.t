#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# UserProfileTokenStore fail=open: while the token store cannot be asked, tokens are let through
# unchecked, loudly, and nobody waits for long; deletions are in the journal and done later. Without it
# (t/14-store-down.t), and with fail=closed, there is no such thing.
use strict;
use warnings;
use IO::Select ();
use IO::Socket::INET ();
use Test::More;
use Time::HiRes qw(time);
use UserProfile::Avatar qw(journal journal_clear);
use UserProfile::RedisServers;
use UserProfile::Test;

my $redis = redis_server(save => '');
my $include = 'Include "' . scratch() . qq(/top/conf/fluentmeet.conf"\n);
my $THREADS = 25;

# One child, so that what it counts is all that there is.
sub one_child {
    my ($how) = @_;

    return node(mpm => 'event', defines => {USERPROFILE_SWEEP => 1}, conf => $include . <<"CONF")->start;
StartServers 1
ServerLimit 1
ThreadsPerChild $THREADS
MaxRequestWorkers $THREADS
MinSpareThreads 1
MaxSpareThreads $THREADS
UserProfileTokenStore redis://127.0.0.1:$redis->{port}/0 $how
$GUARDED
CONF
}

my $user = user_new(full_name => 'Ada');
my $good = token(sub => $user->{email}, jti => 'jti-good');
my $revoked = token(sub => $user->{email}, jti => 'jti-revoked');
my $TOLD = qr/\[userprofile:warn\].*tokens are let through UNCHECKED/;

sub revoke_one {
    return $redis->ask('SET', 'blacklisted_access_token:jti-revoked', 1);
}

# How many lines of the log say that tokens were let through. (The first, at the start, says that they may be.)
sub told {
    my ($node, $mark) = @_;

    return scalar(() = log_since($mark, $node->{error_log}) =~ /$TOLD/g);
}

journal_clear();

# --- By default -----------------------------------------------------------------------------------

for my $how ('', 'fail=closed', 'fail=CLOSED') {
    revoke_one();
    my $node = one_child($how);
    my %here = (port => $node->{port});

    is(me('GET', token => $good, %here)->code, 200, "'$how': all is well");
    $redis->stop;
    is_error(me('GET', token => $good, %here), 503, 'SERVICE_UNAVAILABLE', "'$how': down: 503");
    is_error(me('GET', token => $revoked, %here), 503, 'SERVICE_UNAVAILABLE', "'$how': likewise");
    $redis->start;
    log_unlike(0, qr/UNCHECKED/, "'$how': nothing is said of letting through", $node->{error_log});
    $node->stop;
}

# --- With it --------------------------------------------------------------------------------------

my $node = one_child('fail=open');
my %here = (port => $node->{port});
my $log = $node->{error_log};

log_like(0, qr/\[userprofile:warn\].*fail=open: .*let through UNCHECKED, revoked ones too/,
    'the log warns at the start', $log);
like($node->check, qr/fail=open: .*UNCHECKED.*Syntax OK/s, '... and configtest does');
revoke_one();
my $mark = log_mark($log);
is_profile(me('GET', token => $good, %here), {full_name => 'Ada'}, 'all is well: a token');
is_error(me('GET', token => $revoked, %here), 401, 'TOKEN_REVOKED', 'all is well: a revoked one is refused');
is(told($node, $mark), 0, 'all is well: nothing is said');

{
    my $person = user_new();
    my $token = token(sub => $person->{email}, jti => 'jti-deleted');
    my $other = token(sub => $person->{email}, jti => 'jti-other');

    $redis->stop('KILL');
    is_profile(me('GET', token => $good, %here), {full_name => 'Ada'}, 'down: a token is let through');
    is_profile(me('GET', token => $revoked, %here), {full_name => 'Ada'},
        'down: so is a revoked one, which is what it costs');
    is(request('GET', '/guarded/', token => $good, %here)->code, 200, 'down: a guarded place, too');
    is_profile(me('PATCH', token => $good, json => {full_name => 'Eve'}, %here), {full_name => 'Eve'},
        'down: writing, too');
    is_error(me('GET', token => "$good.", %here), 401, 'INVALID_CREDENTIALS', 'down: a bad token is not');
    is_error(me('GET', token => token(sub => $user->{email}, jti => undef), %here), 401,
        'INVALID_CREDENTIALS', 'down: nor one without a jti');
    is_error(me('GET', %here), 401, 'MISSING_TOKEN', 'down: nor none');
    log_like($mark, qr/$TOLD, revoked ones too \(1 by this child so far\), .*fail=open: token store redis:.*refused/,
        'down: the log says so, and why', $log);
    my @codes = map { me('GET', token => $good, %here)->code } 1 .. 50;
    is_deeply([grep { $_ != 200 } @codes], [], 'down: fifty more');
    is(told($node, $mark), 1, 'down: in one line for all');

    is(me('DELETE', token => $token, %here)->code, 200, 'down: a deletion');
    is_deeply([journal()], ['revoke_token jti-deleted', "revoke_sessions $person->{email}"],
        'down: what it could not do is in the journal');
    is_error(me('GET', token => $other, %here), 403, 'ACCOUNT_DELETED',
        'down: the account is refused all the same');

    $redis->start;
    revoke_one();
    $redis->ask('SET', "refresh_token:$person->{email}:1", 1);
    ok(wait_for(20, sub { me('GET', token => $revoked, %here)->code == 401 }),
        'back: a revoked token is refused');
    my @late = map { me('GET', token => $revoked, %here)->code } 1 .. 20;
    is_deeply([grep { $_ != 401 } @late], [], 'back: from then on');
    log_like($mark, qr/\[userprofile:warn\].*answers again; this child has let \d\d+ tokens through unchecked/,
        'back: the log says so, and how many there were', $log);
    ok(wait_for(30, sub {
        db()->do(q(UPDATE userprofile_journal SET lease = '2000-01-01'));
        !journal();
    }), 'back: the journal is swept') or diag(join "\n", journal());
    is($redis->ask('EXISTS', "refresh_token:$person->{email}:1"), 0, 'back: the sessions are ended');
    is_error(me('GET', token => $token, %here), 401, 'TOKEN_REVOKED', 'back: the token is revoked');
    is(told($node, $mark), 1, 'back: no other line');
}

# --- Without waiting ------------------------------------------------------------------------------

# One that hangs would have each request wait for its deadline. $clients of them, each with one request
# after the other for so many seconds: how many were answered by 200, by others, and the longest.
sub pound {
    my ($clients, $seconds) = @_;
    my $select = IO::Select->new;
    my $start = time;
    my (%begun, %text);
    my %result = (good => 0, other => 0, longest => 0);
    my $begin = sub {
        my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $node->{port})
            or die "connect: $!\n";
        print {$socket} "GET $ME HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $good\r\nConnection: close\r\n\r\n";
        $socket->flush;
        @begun{$socket} = (time);
        $text{$socket} = '';
        $select->add($socket);
    };

    $begin->() for 1 .. $clients;
    while ($select->count) {
        for my $socket ($select->can_read(1)) {
            next if sysread $socket, $text{$socket}, 65_536, length $text{$socket};
            my $took = time - $begun{$socket};
            $result{$text{$socket} =~ m{\AHTTP/1\.1 200 } ? 'good' : 'other'}++;
            $result{longest} = $took if $took > $result{longest};
            $select->remove($socket);
            $begin->() if time - $start < $seconds;
        }
    }
    return \%result;
}

log_unlike(0, qr/jti-/, 'no jti is in the log', $log);
$node->stop;
$node = one_child('fail=open');
%here = (port => $node->{port});
$log = $node->{error_log};
{
    $mark = log_mark($log);
    is(pound(10, 0)->{other}, 0, 'all is well: ten connections');
    kill STOP => $redis->pid;
    my $first = pound(20, 0);
    is("$first->{good} $first->{other}", '20 0', 'hung: those who find out are let through');
    cmp_ok($first->{longest}, '<', 5, 'hung: after their deadline');

    # Were each to wait for half a second, four would have at most eight answers a second.
    my $then = pound(4, 5);
    note(sprintf 'hung: %d answers in 5 s, the longest after %.2f s', $then->{good}, $then->{longest});
    is($then->{other}, 0, 'hung: all are let through');
    cmp_ok($then->{good}, '>', 4 * 5 / 0.5 * 1.5, 'hung: far more than if each had to wait');
    cmp_ok($then->{longest}, '<', 5, 'hung: and none waits for longer than the deadline');
    is(told($node, $mark), 1, 'hung: one line in the log');
    log_like($mark, qr/$TOLD.*timed out/, 'hung: which says why', $log);
    kill CONT => $redis->pid;
    ok(wait_for(20, sub { me('GET', token => $revoked, %here)->code == 401 }),
        'it goes on: a revoked token is refused');
    my @late = map { me('GET', token => $revoked, %here)->code } 1 .. 20;
    is_deeply([grep { $_ != 401 } @late], [], 'it goes on: from then on');
}

$node->stop;

# --- Inherited, and taken back --------------------------------------------------------------------

{
    my ($strict, $silent) = (free_port(), free_port());
    $node = node(conf => $include . <<"CONF")->start;
UserProfileTokenStore redis://127.0.0.1:$redis->{port}/0 fail=open
Listen 127.0.0.1:$silent
<VirtualHost 127.0.0.1:$silent>
    UserProfileTokenLeeway 5
</VirtualHost>
Listen 127.0.0.1:$strict
<VirtualHost 127.0.0.1:$strict>
    UserProfileTokenStore redis://127.0.0.1:$redis->{port}/0
</VirtualHost>
CONF
    $redis->stop;
    is(me('GET', token => $good, port => $node->{port})->code, 200, 'a main server with it');
    is(me('GET', token => $good, port => $silent)->code, 200, 'a virtual host that takes it over');
    is(me('GET', token => $good, port => $strict)->code, 503, 'one that names the store by itself has not');
    is(scalar(() = slurp($node->{error_log}) =~ /fail=open: .*UNCHECKED, revoked ones too$/mg), 2,
        'these two are warned of at the start');
    $redis->start;
    $node->stop;
}

journal_clear();
done_testing();
