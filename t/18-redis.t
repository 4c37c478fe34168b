#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# A real Redis in each way that a URL can name it: by TCP and by its socket, with and without a
# password, a user, a database. One that is slow, and one that is restarted behind a hundred idle
# connections.
use strict;
use warnings;
use IO::Select ();
use IO::Socket::INET ();
use Test::More;
use Time::HiRes qw(time);
use UserProfile::Contracts;
use UserProfile::RedisServers;
use UserProfile::Test;

# A password that has to be percent-encoded, and what must be in no log.
my $PASSWORD = 'sesame-7d@/:?#%2C,';
my $ENCODED = 'sesame-7d%40%2F%3A%3F%23%252C%2C';

my $plain = redis_server(save => '');
my $locked = redis_server(save => '', requirepass => $PASSWORD);
# All that docs/recipes.md says that a user needs.
$locked->ask('ACL', 'SETUSER', 'httpd', 'reset', 'on', ">$PASSWORD", '~blacklisted_access_token:*',
    '~refresh_token:*', '+exists', '+set', '+scan', '+unlink', '+select', '+client|id', '+client|tracking',
    '+subscribe', '+ping', '&__redis__:invalidate');
# With an index nothing is scanned.
$locked->ask('ACL', 'SETUSER', 'indexed', 'reset', 'on', ">$PASSWORD", '~blacklisted_access_token:*',
    '~refresh_token:*', '~user_sessions:*', '+exists', '+set', '+sscan', '+srem', '+unlink', '+select',
    '+client|id', '+client|tracking', '+subscribe', '+ping', '&__redis__:invalidate');

my ($open, $shut) = map { "127.0.0.1:$_->{port}" } $plain, $locked;
my $user = user_new();

# --- Each form of a URL ---------------------------------------------------------------------------

# A URL, the server that it means, the database; and what follows the URL.
my %GOOD = (
    tcp => ["redis://$open", $plain, 0],
    tcpslash => ["redis://$open/", $plain, 0],
    tcpname => ["redis://localhost:$plain->{port}/0", $plain, 0],
    tcpdb => ["REDIS://$open/5", $plain, 5],
    tcppassword => ["redis://:$ENCODED\@$shut", $locked, 0],
    tcpuser => ["redis://httpd:$ENCODED\@$shut/7", $locked, 7],
    tcpdefault => ["redis://default:$ENCODED\@$shut/15", $locked, 15],
    unix => ["redis+unix://$plain->{socket}", $plain, 0],
    unixdb => ["redis+unix://$plain->{socket}?db=9", $plain, 9],
    unixpassword => ["redis+unix://:$ENCODED\@$locked->{socket}?db=0", $locked, 0],
    indexed => ["redis://indexed:$ENCODED\@$shut/2", $locked, 2, 'index=user_sessions:'],
    unixuser => ["redis+unix://httpd:$ENCODED\@$locked->{socket}?db=3", $locked, 3],
);

# A URL, and what the log says of it.
my %BAD = (
    nopassword => ["redis://$shut", qr/EXISTS: .*NOAUTH.*put it into the URL/],
    nopassworddb => ["redis+unix://$locked->{socket}?db=1", qr/SELECT: .*NOAUTH.*put it into the URL/],
    wrongpassword => ["redis://:sesame-wrong\@$shut", qr/AUTH: .*WRONGPASS.*check user and password/],
    wronguser => ["redis://nobody:$ENCODED\@$shut", qr/AUTH: .*WRONGPASS.*check user and password/],
    noneneeded => ["redis://:sesame-wrong\@$open", qr/AUTH: .*take it out of the URL, or set requirepass/],
    nosuchdb => ["redis://$open/16", qr/SELECT: .*DB index is out of range.*\(databases\)/],
    nosocket => ["redis+unix://$plain->{dir}/not-there", qr/connecting failed: No such file/],
    nofolder => ["redis+unix://$plain->{dir}/pid", qr/connecting failed: Connection refused/],
    nosentinel => ["redis+sentinel://$open/mymaster", qr/sentinel \Q$open\E: it is no sentinel/],
);

# Who has another token store needs another journal.
sub journal_of {
    my ($name) = @_;
    my $journal = "journal_of_$name";

    db()->do("CREATE TABLE $journal (LIKE userprofile_journal INCLUDING ALL)");
    db()->do("CREATE FUNCTION ${journal}_pending(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT false'");
    db()->do("ALTER TABLE $journal OWNER TO " . servers->{role});
    return $journal;
}

my $contracts = contracts(map {
    my ($url, undef, undef, $options) = @{$GOOD{$_} // $BAD{$_}};
    ($_ => qq(UserProfileTokenStore "$url" @{[$options // '']}\nUserProfileJournal ) . journal_of($_));
} keys %GOOD, keys %BAD);
my $log = $contracts->httpd->{error_log};

for my $name (sort keys %GOOD) {
    my ($url, $server, $db, $options) = @{$GOOD{$name}};
    my %at = $contracts->at($name);
    my $person = user_new();
    my $token = token(sub => $person->{email}, jti => "jti-$name");
    my $key = "blacklisted_access_token:jti-$name";

    is_profile(me('GET', token => $token, %at), {email => $person->{email}}, "$name: a token that is good");
    $server->ask('SELECT', $db ? 0 : 1);
    $server->ask('SET', $key, 1);
    is(me('GET', token => $token, %at)->code, 200, "$name: what is in another database does not count");
    $server->ask('DEL', $key);
    $server->ask('SELECT', $db);
    $server->ask('SET', $key, 1);
    is_error(me('GET', token => $token, %at), 401, 'TOKEN_REVOKED', "$name: what is in this one does");
    $server->ask('DEL', $key);
    $server->ask('SET', "refresh_token:$person->{email}:1", 1);
    $server->ask('SADD', "user_sessions:$person->{email}", 1) if $options;
    is(me('DELETE', token => $token, %at)->code, 200, "$name: a deletion");
    is($server->ask('EXISTS', $key), 1, "$name: ... blacklists the token in this database");
    is($server->ask('EXISTS', "refresh_token:$person->{email}:1"), 0, "$name: ... and ends the sessions");
    is($server->ask('EXISTS', "user_sessions:$person->{email}"), 0, "$name: ... whose set is gone");
    is_error(me('GET', token => $token, %at), 401, 'TOKEN_REVOKED', "$name: ... so that it is refused");
    is(db()->selectrow_array("SELECT count(*) FROM journal_of_$name"), 0,
        "$name: ... and nothing is left to be done");
}

my $good = token(sub => $user->{email}, jti => 'jti-good');
for my $name (sort keys %BAD) {
    my ($url, $pattern) = @{$BAD{$name}};
    my $mark = log_mark($log);

    is_error(me('GET', token => $good, $contracts->at($name)), 503, 'SERVICE_UNAVAILABLE', "$name: 503");
    log_like($mark, qr/token store .*$pattern/, "$name: the log says why, and what to do", $log);
}
my $said = slurp($log);
ok(index($said, $_) < 0, "nothing like '" . substr($_, 0, 6) . "...' is in the log") for 'sesame', 'jti-';
$contracts->httpd->stop;
db()->do("DROP TABLE journal_of_$_; DROP FUNCTION journal_of_${_}_pending") for keys %GOOD, keys %BAD;

# --- Slow, and restarted --------------------------------------------------------------------------

# One child with a hundred threads, so that it can have as many connections.
my $node = node(mpm => 'event', defines => {USERPROFILE_TOKENS => "redis://$open"}, more => <<'CONF')->start;
StartServers 1
ServerLimit 1
ThreadLimit 100
ThreadsPerChild 100
MaxRequestWorkers 100
MinSpareThreads 1
MaxSpareThreads 100
UserProfileTimeout tokens=2s pool=20s
CONF
my %here = (port => $node->{port});

# A token that Redis was not asked for before, so that it is.
sub unknown {
    return token(sub => $user->{email});
}

# So many requests at once, with one such token: the statuses, each with how often it came, and after how many seconds the
# last was there.
sub together {
    my ($count) = @_;
    my $select = IO::Select->new;
    my $start = time;
    my $token = unknown();
    my (%text, %count);

    for (1 .. $count) {
        my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $node->{port})
            or die "connect: $!\n";
        print {$socket} "GET $ME HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $token\r\nConnection: close\r\n\r\n";
        $socket->flush;
        $select->add($socket);
    }
    while ($select->count && time < $start + 60) {
        for my $socket ($select->can_read(1)) {
            next if sysread $socket, $text{$socket}, 65_536, length($text{$socket} // '');
            my ($status) = ($text{$socket} // '') =~ m{\AHTTP/1\.1 (\d+)};
            $count{$status // 'none'}++;
            $select->remove($socket);
        }
    }
    return (join(', ', map { "$_: $count{$_}" } sort keys %count), time - $start);
}

# How many connections to it there are that ask, beside the test's own.
sub connections {
    return (() = $plain->ask('CLIENT', 'LIST', 'TYPE', 'normal') =~ /^id=/mg) - 1;
}

# As many of them as there are threads: while it makes all wait, none can be lent to two. Requests that
# this machine has been too slow for come again.
sub fill_pool {
    my ($name) = @_;
    my $statuses = '';

    for (1 .. 20) {
        $plain->ask('CLIENT', 'PAUSE', 1000, 'ALL');
        ($statuses) = together(100);
        last if $statuses eq '200: 100' && connections() == 100;
    }
    return is(connections() . " connections, $statuses", '100 connections, 200: 100',
        "$name: a hundred requests at once leave a hundred idle connections");
}

{
    my ($statuses, $took);

    is(me('GET', token => $good, %here)->code, 200, 'all is well');
    $plain->ask('CLIENT', 'PAUSE', 700, 'ALL');
    my $start = time;
    is(me('GET', token => unknown(), %here)->code, 200, 'slow, but within the deadline: served');
    cmp_ok(time - $start, '>', 0.3, '... after waiting');
    my $mark = log_mark($node->{error_log});
    $plain->ask('CLIENT', 'PAUSE', 60_000, 'ALL');
    $start = time;
    is_error(me('GET', token => unknown(), %here), 503, 'SERVICE_UNAVAILABLE', 'slower than that: 503');
    $took = time - $start;
    cmp_ok($took, '>', 1.5, '... after the deadline');
    cmp_ok($took, '<', 6, '... and not much later');
    ($statuses, $took) = together(40);
    is($statuses, '503: 40', '... for forty at once');
    cmp_ok($took, '<', 8, '... which do not wait for one another');
    log_like($mark, qr/token store .*EXISTS: waiting for the reply timed out/, '... the log says why',
        $node->{error_log});
    # What pauses it goes with it.
    $plain->stop('KILL');
    $plain->start;
    is(me('GET', token => $good, %here)->code, 200, 'no longer slow: the first request is served');
}

for my $how ('TERM', 'KILL') {
    fill_pool($how);
    $plain->stop($how);
    $plain->start;
    is(me('GET', token => $good, %here)->code, 200, "$how: restarted, the first request is served");
    my @codes = map { me('GET', token => unknown(), %here)->code } 1 .. 120;
    is_deeply([grep { $_ != 200 } @codes], [], "$how: and the next 120");
    cmp_ok(connections(), '<=', 5, "$how: on new connections");
}
fill_pool('for a crowd');
$plain->stop('KILL');
$plain->start;
is((together(100))[0], '200: 100', 'restarted: the first hundred, at once, are served');

$node->stop;
done_testing();
