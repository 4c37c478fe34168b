#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Redis tells of revocations by itself: tokens that were not revoked are not asked for again, and yet
# whoever is revoked is refused, in each child, at once; also where the link by which it tells is lost,
# Redis hangs, is restarted or flushed, or does not tell.
use strict;
use warnings;
use IO::Socket::INET ();
use Test::More;
use Time::HiRes qw(sleep time);
use UserProfile::RedisServers;
use UserProfile::Test;

# What may take a moment, on a busy machine.
my $PATIENCE = 20;

my $redis = redis_server(save => '');
my $UP = qr/tells of revocations by itself from now on/;

my $node = node(mpm => 'event', defines => {USERPROFILE_TOKENS => "redis://127.0.0.1:$redis->{port}/2"},
    more => <<'CONF')->start;
StartServers 2
ServerLimit 2
ThreadLimit 4
ThreadsPerChild 4
MaxRequestWorkers 8
MinSpareThreads 1
MaxSpareThreads 8
KeepAliveTimeout 60
MaxKeepAliveRequests 0
UserProfileTimeout tokens=1s
LogFormat "%P %{X-Connection}i" child
CustomLog child_log child
CONF
my %here = (port => $node->{port});
my $log = $node->{error_log};

# --- Connections, each to a child that is known ---------------------------------------------------

sub connection {
    return IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $node->{port}, Timeout => 10)
        // die "connect: $!\n";
}

# The status, and the code of an error.
sub ask {
    my ($socket, $method, $token, $tag) = @_;
    my ($head, $body) = ('', '');

    print {$socket} "$method $ME HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $token\r\nX-Connection: "
        . ($tag // '') . "\r\n\r\n";
    $socket->flush;
    local $/ = "\r\n\r\n";
    $head = <$socket> // die "no answer\n";
    my ($length) = $head =~ /^Content-Length: (\d+)\r$/mi;
    read $socket, $body, $length if $length;
    my ($status) = $head =~ m{\AHTTP/1\.1 (\d+)} or die "no status: $head\n";
    return $body =~ /"code":\s*"(\w+)"/ ? "$status $1" : $status;
}

my $connections = 0;

# A connection to each of the two children.
sub one_each {
    my %of;

    wait_for($PATIENCE, sub {
        my $socket = connection();
        my $name = 'c' . ++$connections;
        ask($socket, 'GET', 'none', $name);
        my ($pid) = slurp("$node->{dir}/child_log") =~ /^(\d+) \Q$name\E$/m or return;
        $of{$pid} //= $socket;
        return keys %of == 2;
    }) or die "there are no two children\n";
    return map { $of{$_} } sort keys %of;
}

# --- Tokens ---------------------------------------------------------------------------------------

my $user = user_new();
my $turn = 0;

# Of a token that nobody has seen before: its text and its key.
sub fresh {
    my ($person) = @_;
    my $jti = "track-$$-" . ++$turn;

    return (token(sub => ($person // $user)->{email}, jti => $jti), "blacklisted_access_token:$jti");
}

sub revoke {
    my ($key) = @_;

    $redis->ask('SELECT', 2);
    return $redis->ask('SET', $key, 1, 'EX', 600);
}

# Until these connections' children need not ask for this token any more.
sub warm {
    my ($token, @sockets) = @_;

    return wait_for($PATIENCE, sub {
        my $before = $redis->count('exists');
        ask($_, 'GET', $token) eq '200' || die "not 200\n" for (@sockets) x 3;
        return $redis->count('exists') == $before;
    });
}

# How many connections listen to Redis.
sub listeners {
    return scalar(() = $redis->ask('CLIENT', 'LIST', 'TYPE', 'pubsub') =~ /^id=/mg);
}

my ($first, $second) = one_each();
my ($good) = fresh();

# --- All is well ----------------------------------------------------------------------------------

ok(warm($good, $first, $second), 'both children need not ask for a token any more');
{
    my $before = $redis->count('exists');
    my @statuses = map { ask($_ % 2 ? $first : $second, 'GET', $good) } 1 .. 200;

    is_deeply([grep { $_ ne '200' } @statuses], [], '200 requests');
    # Where an answer to a PING is just being read it is asked.
    cmp_ok($redis->count('exists') - $before, '<', 40, '... of which hardly one asks Redis');
    is(scalar(() = slurp($log) =~ /$UP/g), 2, '... as the log says, once for each child');
    is(listeners(), 2, '... by one connection of each');
}
{
    my ($soon, $once) = (0, 0);

    # Redis may answer others a moment before it tells us.
    for (1 .. 50) {
        my ($token, $key) = fresh();
        warm($token, $first) or die "not warm\n";
        revoke($key);
        $once += my $refused = ask($first, 'GET', $token) eq '401 TOKEN_REVOKED';
        $soon += $refused || wait_for(2, sub { ask($first, 'GET', $token) eq '401 TOKEN_REVOKED' }) ? 1 : 0;
    }
    is($soon, 50, 'fifty tokens that others revoke are refused');
    note("... $once of them by the first request after it");
}
{
    my @late;

    # Not as the account is gone, which would be 403.
    for (1 .. 50) {
        my $person = user_new();
        my ($token) = fresh($person);
        my ($by, $other) = $_ % 2 ? ($first, $second) : ($second, $first);
        warm($token, $first, $second) or die "not warm\n";
        is(ask($by, 'DELETE', $token), '200', 'a deletion') if $_ == 1;
        ask($by, 'DELETE', $token) if $_ > 1;
        push @late, grep { $_ ne '401 TOKEN_REVOKED' } map { ask($_, 'GET', $token) } $other, $by;
    }
    is_deeply(\@late, [], 'fifty that a deletion by one child revokes are refused at once by both');
}
{
    my ($token) = fresh();

    warm($token, $first) or die "not warm\n";
    my $before = $redis->count('exists');
    $redis->ask('SELECT', 2);
    $redis->ask('FLUSHDB');
    ok(wait_for(2, sub { ask($first, 'GET', $token) && $redis->count('exists') > $before }),
        'after FLUSHDB it is asked for again');
}

# --- In trouble -----------------------------------------------------------------------------------

{
    my ($token, $key) = fresh();
    my $mark = log_mark($log);

    warm($token, $first) or die "not warm\n";
    $redis->ask('CLIENT', 'KILL', 'TYPE', 'pubsub');
    is(ask($first, 'GET', $token), '200', 'the link is killed: a token');
    revoke($key);
    ok(wait_for(2, sub { ask($first, 'GET', $token) eq '401 TOKEN_REVOKED' }), '... that is revoked is refused');
    log_like($mark, qr/is asked with each request until it tells of revocations by itself again: .*closed the connection/,
        '... the log says so', $log);
    ok(warm($good, $first, $second), '... then the link is back');
    log_like($mark, $UP, '... as the log says', $log);
}
{
    my ($token, $key) = fresh();

    warm($token, $first) or die "not warm\n";
    my $start = time;
    kill STOP => $redis->pid;
    my $answer;
    ok(wait_for($PATIENCE, sub { ($answer = ask($first, 'GET', $token)) ne '200' }), 'Redis hangs');
    # A second, and the one that the request may wait.
    cmp_ok(time - $start, '<', 2 + 4, '... a token that was known is let in for a second at most');
    is($answer, '503 SERVICE_UNAVAILABLE', '... then it is as ever');
    is(ask($second, 'GET', (fresh())[0]), '503 SERVICE_UNAVAILABLE', '... one that was not, too');
    # After a 503 httpd closes the connection.
    ($first, $second) = one_each();
    kill CONT => $redis->pid;
    revoke($key);
    is(ask($first, 'GET', $token), '401 TOKEN_REVOKED', '... it goes on, and what was revoked is refused');
    ok(warm($good, $first, $second), '... and the link is back');
}
{
    my ($token, $key) = fresh();

    warm($token, $first, $second) or die "not warm\n";
    # A busy kernel may need a moment to tell of the end of a connection.
    my $answer;
    $redis->stop('KILL');
    ok(wait_for(2, sub { ($answer = ask($first, 'GET', $token)) ne '200' }), 'Redis is down');
    is($answer, '503 SERVICE_UNAVAILABLE', '... and a token that was known is not let in');
    ($first, $second) = one_each();
    $redis->start;
    revoke($key);
    ok(wait_for(2, sub { 2 == grep { ask($_, 'GET', $token) eq '401 TOKEN_REVOKED' } $first, $second }),
        'it is started anew, and what was revoked is refused');
    ok(warm($good, $first, $second), 'the link is back');
}
$node->stop;

# --- Where Redis does not tell --------------------------------------------------------------------

$redis->ask('ACL', 'SETUSER', 'before', 'reset', 'on', '>sesame-2c', '~blacklisted_access_token:*',
    '~refresh_token:*', '+exists', '+set', '+scan', '+unlink', '+select');
for my $case (['before:sesame-2c@', '', 'a user without the rights'], ['', 'tracking=off', 'tracking=off']) {
    my ($login, $option, $name) = @$case;
    my $other = node(mpm => 'event', conf => 'Include "' . scratch() . qq(/top/conf/fluentmeet.conf"\n)
        . "UserProfileTokenStore redis://${login}127.0.0.1:$redis->{port}/2 $option\n")->start;
    my ($token, $key) = fresh();
    my $before = $redis->count('exists');

    is(me('GET', token => $token, port => $other->{port})->code, 200, "$name: served") for 1 .. 20;
    is($redis->count('exists') - $before, 20, '... and asked for each time');
    revoke($key);
    is_error(me('GET', token => $token, port => $other->{port}), 401, 'TOKEN_REVOKED', '... revoked: refused');
    my $told = qr/\[userprofile:notice\].*does not tell of revocations by itself: CLIENT ID: .*NOPERM.*\+client\|tracking/;
    if ($option) {
        is(listeners(), 0, '... and no connection is made for it');
    }
    else {
        log_like(0, $told, '... the log says so, and what is missing', $other->{error_log});
        ok(index(slurp($other->{error_log}), 'sesame') < 0, '... and no password');
    }
    $other->stop;
}

done_testing();
