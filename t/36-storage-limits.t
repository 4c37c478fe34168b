#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# A storage that fails an upload in each way that a network has, asked by an httpd of one child with
# one database connection: 502 within the limits on connecting, on slowness and in all; profile, row
# and picture as they were; and others are served meanwhile, so that no connection is held.
use strict;
use warnings;
use IO::Socket::INET ();
use Socket qw(SOCK_STREAM AF_INET pack_sockaddr_in inet_aton);
use Test::More;
use Time::HiRes qw(time);
use UserProfile::Avatar;
use UserProfile::Test;

plan skip_all => 'prefork has one request for each child' if ($ENV{UP_MPM} // '') eq 'prefork';

my $ONE_CHILD = <<'CONF';
UserProfileConnections 1
StartServers 1
ServerLimit 1
MaxRequestWorkers 25
MinSpareThreads 1
MaxSpareThreads 25
CONF

# A busy machine may take so many seconds more than the limits say.
my $SLACK = 15;

# An httpd with these timeouts, whose storage is at this URL, or is the stand-in.
sub narrow {
    my ($timeouts, $prefix) = @_;
    my ($key, $secret, $cloud) = @{servers()}{qw(storage_key storage_secret storage_cloud)};

    return node(
        more => "UserProfileTimeout pool=500ms $timeouts\n$ONE_CHILD",
        defines => $prefix
            ? {USERPROFILE_AVATARS => "cloudinary://$key:$secret\@$cloud?upload_prefix=$prefix"}
            : {},
    )->start;
}

# A user with a name, an avatar and so a picture in the storage, uploaded by the node where there is
# one: a success, so that its failures are not several in a row.
sub resident {
    my ($node) = @_;
    my $person = person(full_name => 'Ada');

    storage('reset');
    is(avatar('PUT', $person, $person->{picture} = png(), $node ? (port => $node->{port}) : ())->code, 200, 'an avatar before');
    $person->{row} = unchanged_row($person->{id});
    $person->{asset} = asset_of(user_row($person->{id})->{avatar_url});
    return $person;
}

sub begin_upload {
    my ($node, $person, $picture) = @_;

    return begin_request('PATCH', $ME, token => $person->{token}, port => $node->{port},
        form => [part($picture // png(3000)), {name => 'full_name', body => 'Grace'}]);
}

# While the request is not answered, others are.
sub others_are_served {
    my ($node, $request, $name) = @_;
    my ($other, $mark) = (person(), time);

    is_profile(me('GET', token => $other->{token}, port => $node->{port}), {}, "$name: another is served");
    is_profile(me('PATCH', token => $other->{token}, port => $node->{port}, json => {full_name => $name}),
        {full_name => $name}, "$name: and another is written");
    ok(!is_answered($request), "$name: and the upload still waits");
    return;
}

# What holds after each: the answer, the log, and nothing changed. left: may the asset be there?
sub is_unchanged {
    my ($node, $person, $res, $name, %what) = @_;

    is_error($res, 502, 'STORAGE_UPLOAD_ERROR', "$name: 502");
    like($res->header('Retry-After') // '', qr/^[1-9]\d*$/, "$name: Retry-After");
    is(unchanged_row($person->{id}), $person->{row}, "$name: the row is as it was");
    is(delivered($person->{asset}), $person->{picture}, "$name: and so is the picture");
    is_profile(me('GET', token => $person->{token}, port => $node->{port}), {full_name => 'Ada'},
        "$name: and the profile");
    is(scalar(grep { !/^upload avatars\/\w+$/ } journal()), 0, "$name: no more than the upload is in the journal");
    is(scalar(journal()), $what{left}, "$name: " . ($what{left} ? 'which may be there' : 'nor is that'));
    log_like($what{mark}, $what{log}, "$name: the log says why", $node->{error_log});
    journal_clear();
    return;
}

# One fault of the stand-in, which lasts or does not.
sub fails {
    my ($node, $name, $kind, $how, %what) = @_;
    my $person = resident($node);
    my ($mark, $begin, $count) = (log_mark($node->{error_log}), time, scalar(calls()));

    storage_fault($kind, on => 'upload', %$how);
    my $request = begin_upload($node, $person, $what{picture});
    if ($what{lasts}) {
        ok(wait_for(10, sub { calls() > $count }), "$name: the storage is asked");
        others_are_served($node, $request, $name);
    }
    my $res = end_request($request, timeout => $what{limit} + $SLACK);
    cmp_ok(time - $begin, '<', $what{limit} + $SLACK, "$name: in time");
    is_unchanged($node, $person, $res, $name, mark => $mark, left => $what{left} // 1, log => $what{log});
    return;
}

storage('reset');
journal_clear();

subtest 'the limit in all' => sub {
    my $node = narrow('connect=1s storage=2s');

    fails($node, '500', 'status', {status => 500}, limit => 2, log => qr/HTTP 500: .*status\.cloudinary\.com/);
    fails($node, '401', 'status', {status => 401}, limit => 2, left => 0, log => qr/HTTP 401: .*check KEY/);
    fails($node, 'hang', 'hang', {seconds => 30}, limit => 2, lasts => 1, log => qr/timed out after/);
    fails($node, 'trickle', 'trickle', {bytes => 1, seconds => 0.1}, limit => 2, lasts => 1,
        log => qr/timed out after/);
    fails($node, 'truncated', 'truncate', {}, limit => 2, log => qr/transfer closed with/);
    fails($node, 'reset', 'reset', {count => 2}, limit => 2, log => qr/reset by peer/);
    fails($node, 'reset in mid-upload', 'early', {count => 2}, limit => 2, log => qr/Cloudinary: the upload/);
    fails($node, 'no JSON', 'garbage', {}, limit => 2, log => qr/no JSON object/);
    storage('reset');
};

# 1 KiB a second over 5 s, long before the limit in all: the answer is slow, or the upload is.
subtest 'the limit on slowness' => sub {
    my $node = narrow('connect=1s storage=120s');
    my $slow = qr/slower than 1024 bytes a second for 5000 ms/;

    fails($node, 'a slow answer', 'trickle', {bytes => 200, seconds => 0.5, padding => 50_000}, limit => 5,
        lasts => 1, log => $slow);
    fails($node, 'a slow upload', 'deaf', {bytes => 1000, seconds => 110}, limit => 5, lasts => 1,
        picture => png(5_000_000), log => $slow);
    storage('reset');
};

# No stand-in is asked here.
sub never_connects {
    my ($name, $prefix, %what) = @_;
    my $node = narrow('connect=2s storage=30s', $prefix);
    my $person = resident();
    my ($mark, $begin) = (log_mark($node->{error_log}), time);
    my $request = begin_upload($node, $person);

    if ($what{lasts}) {
        ok(wait_for(10, sub { journal() }), "$name: it is announced");
        others_are_served($node, $request, $name);
    }
    my $res = end_request($request, timeout => 2 + $SLACK);
    cmp_ok(time - $begin, '<', 2 + $SLACK, "$name: in time");
    is_unchanged($node, $person, $res, $name, mark => $mark, left => 0, log => $what{log});
    $node->stop;
    return;
}

subtest 'no connection' => sub {
    never_connects('refused', 'http://127.0.0.1:1',
        log => qr/Connection refused\); can this machine reach it/);
    never_connects('no such name', 'https://no-such-name.invalid',
        log => qr/no-such-name\.invalid.*can this machine reach it/);

    # A listener that accepts no more, as its backlog is full: nothing answers to a connection.
    my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1, Proto => 'tcp')
        or die "listen: $!\n";
    listen $listener, 0;
    my @waiting = map {
        socket my $socket, AF_INET, SOCK_STREAM, 0 or die "socket: $!\n";
        IO::Handle::blocking($socket, 0);
        connect $socket, pack_sockaddr_in($listener->sockport, inet_aton('127.0.0.1'));
        $socket;
    } 1 .. 4;
    never_connects('connecting hangs', 'http://127.0.0.1:' . $listener->sockport, lasts => 1,
        log => qr/timed? ?out/i);
    close $_ for @waiting;
};

storage('reset');
done_testing();
