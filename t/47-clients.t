#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# Clients who leave in the middle of what they send, by the hundred, and such who send it too slowly:
# nothing is sent on, nothing changes, nothing is held for them, and nothing of them stays in httpd.
use strict;
use warnings;
use IO::Select ();
use IO::Socket::INET ();
use List::Util qw(max);
use Test::More;
use Time::HiRes qw(sleep time);
use UserProfile::Avatar;
use UserProfile::Traffic;
use UserProfile::Resources;
use UserProfile::Test;

my $MB = 1024 * 1024;
# How many leave: UP_SOAK=100000 for as many as a public server sees in a while.
my $LEAVING = $ENV{UP_SOAK} // 1_000;
my $DATABASE = 6;

# A node whose one child is looked at from outside.
sub lone_child {
    my ($mpm, $more) = @_;
    my $most = $mpm eq 'prefork' ? 1 : 25;

    return node(
        mpm => $mpm,
        defines => {
            USERPROFILE_DB => servers->dsn('fluentmeet') . " application_name=clients_$mpm",
            USERPROFILE_TOKENS => 'redis+unix://' . servers->{redis_socket} . "?db=$DATABASE",
        },
        more => "StartServers 1\nServerLimit 1\nMaxRequestWorkers $most\n"
            . ($mpm eq 'prefork' ? "MinSpareServers 1\nMaxSpareServers 1\n" : "MinSpareThreads 1\nMaxSpareThreads 25\n")
            . "MaxConnectionsPerChild 0\n" . ($more // ''),
    )->start;
}

# --- Who leaves -----------------------------------------------------------------------------------

# Uploads of every kind, each left at another place.
sub leaving {
    my ($person) = @_;
    my $picture = png(200_000);
    my ($type, $form) = multipart([{name => 'full_name', body => 'Grace'}, part($picture),
        {name => 'speaking_language', body => 'fr'}]);
    my %to = (token => $person->{token});
    my $json = '{"full_name":"' . 'x' x 200 . '"}';
    my @kinds = (
        {%to, method => 'PUT', path => "$ME/avatar", type => 'image/png', body => $picture},
        {%to, method => 'POST', path => "$ME/avatar", type => $type, body => $form},
        {%to, method => 'PATCH', path => $ME, type => $type, body => $form},
        {%to, method => 'PATCH', path => $ME, type => 'application/json', body => $json},
        {%to, method => 'PUT', path => "$ME/avatar", type => 'image/png', headers => {'Transfer-Encoding' => 'chunked'},
            chunks => sprintf("%x\r\n%s\r\n0\r\n\r\n", length $picture, $picture)},
    );
    my $turn = 0;

    return sub {
        my $kind = $kinds[$turn++ % @kinds];
        my $length = length($kind->{body} // $kind->{chunks});

        # The last byte is never sent.
        return {%$kind, leave => 1 + int rand($length + 500)} if rand() < 0.5;
        return {%$kind, leave => -1 - int rand(rand() < 0.5 ? 3 : $length)};
    };
}

# Its descriptors but those of the connections that it keeps, of which there are as many as there
# have been requests at once.
sub own {
    my ($child, $mpm) = @_;

    return descriptors($child)->{all} - redis_clients($DATABASE) - backends("clients_$mpm");
}

for my $mpm (qw(event worker prefork)) {
    subtest "$mpm: clients who leave" => sub {
        my $node = lone_child($mpm);
        my ($child) = children($node);
        my $person = person(full_name => 'Ada');
        my $before = unchanged_row($person->{id});
        my $load = UserProfile::Traffic->new(port => $node->{port}, clients => $mpm eq 'prefork' ? 1 : 8,
            next => leaving($person));
        my $settled = sub { !descriptors($child)->{files} };
        my (@memory, @descriptors);

        storage('reset');
        journal_clear();
        # What a request leaves behind grows with each part. What the system gives a process all at once,
        # as a huge page, does not.
        my $grows = sub { @memory > 1 && max(map { $memory[-1]{$_} - $memory[-2]{$_} } qw(rss pss)) >= 2 * $MB };
        for my $part (0.4, 0.6, 0.6, 0.6) {
            last if @memory > 1 && (is_sanitized() || !$grows->());
            $load->answers(100) for 1 .. $part * $LEAVING / 100;
            $load->finish;
            ok(wait_for(20, $settled), 'no picture is open');
            # What is under way for those who have left ends by itself, and the connections of it.
            is_profile(me('GET', token => $person->{token}, port => $node->{port}), {full_name => 'Ada'}, 'others are served');
            push @memory, memory($child);
            wait_for(10, sub { !@descriptors || own($child, $mpm) <= $descriptors[0] });
            push @descriptors, own($child, $mpm);
        }
        cmp_ok($load->{left}, '>=', $LEAVING, "$LEAVING have left");
        is($load->{left}, $load->{made}, 'none of them with an answer');
        is_deeply($load->{failed}, [], 'none earlier than it wanted to');
        is_deeply([children($node)], [$child], 'it is the same child');
        is(unchanged_row($person->{id}), $before, 'the row is as it was');
        is_deeply([calls()], [], 'nothing was sent to the storage');
        is_deeply([journal()], [], 'the journal is empty');
        is_deeply([temporary_files()], [], 'no file is left');
        cmp_ok($descriptors[-1], '<=', $descriptors[0], 'nor a descriptor');
        SKIP: {
            skip 'a sanitizer keeps memory for itself', 1 if is_sanitized();
            ok(!$grows->(), 'nor memory') or diag(explain(\@memory));
        }
        $node->stop;
    };
}

# --- Who is slow ----------------------------------------------------------------------------------

# Sends the first bytes of a request, and returns the connection.
sub send_first {
    my ($port, $bytes) = @_;
    my $client = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port") or die "connect: $!\n";

    print {$client} $bytes;
    $client->flush;
    return $client;
}

sub head {
    my ($person, $line, @headers) = @_;

    return join "\r\n", "$line HTTP/1.1", 'Host: localhost', "Authorization: Bearer $person->{token}", @headers, '', '';
}

subtest 'slow clients' => sub {
    my $node = lone_child('event', "RequestReadTimeout header=20 body=4,MinRate=500\nUserProfileConnections 1\n");
    my ($child) = children($node);
    my %here = (port => $node->{port});
    my $person = person(full_name => 'Ada');
    my $before = unchanged_row($person->{id});
    my @sized = ('Content-Length: 100000');
    my $part_head = "--bb\r\nContent-Disposition: form-data; name=\"avatar\"; filename=\"x.png\"\r\n\r\n";
    my @begun = (
        [head($person, "PUT $ME/avatar", 'Content-Type: image/png', @sized), substr png(), 0, 100],
        [head($person, "POST $ME/avatar", 'Content-Type: image/png', 'Transfer-Encoding: chunked'),
            "186a0\r\n" . substr png(), 0, 100],
        [head($person, "PATCH $ME", 'Content-Type: multipart/form-data; boundary=bb', @sized),
            $part_head . substr png(), 0, 100],
        [head($person, "PATCH $ME", 'Content-Type: application/json', 'Content-Length: 1000'), '{"full_name":"Grace'],
        [head($person, "PATCH $ME", 'Content-Type: multipart/form-data; boundary=bb', @sized),
            "--bb\r\nContent-Disposition: form-data; name=\"full_name\"\r\n\r\nGrace"],
    );
    my $mark = log_mark($node->{error_log});

    storage('reset');
    me('GET', token => $person->{token}, %here);
    # One after the other, so that most find the connections idle that the one before has used.
    my (@clients, $files);
    for my $bytes (map { join '', @$_ } @begun, @begun, @begun) {
        push @clients, send_first($node->{port}, $bytes);
        $files++ if $bytes =~ /PNG/;
        wait_for(5, sub { descriptors($child)->{files} == $files });
    }
    cmp_ok(redis_clients($DATABASE), '<', 8, 'no connection to Redis is held for fifteen who are slow');
    is(backends('clients_event'), 1, 'the one to Postgres serves them all');
    is(backends('clients_event', 'idle'), 1, 'and is idle, in no transaction');
    is_profile(me('GET', token => $person->{token}, %here, timeout => 5), {full_name => 'Ada'}, 'others are served with it');

    my %answer;
    my $readable = IO::Select->new(@clients);
    my $end = time + 30;
    while ($readable->count && time < $end) {
        for my $client ($readable->can_read(0.3)) {
            my $got = sysread $client, $answer{$client}, 65_536, length($answer{$client} // '');
            $readable->remove($client) unless $got;
        }
        # A byte now and then does not help.
        local $SIG{PIPE} = 'IGNORE';
        defined syswrite($_, 'x') or 1 for grep { !defined $answer{$_} } @clients;
    }
    my $timeout = qr{\AHTTP/1\.1 408 .*\r\nConnection: close\r\n.*"code":"REQUEST_TIMEOUT"}s;
    is(scalar(grep { ($answer{$_} // '') =~ $timeout } @clients),
        @clients, 'each is answered 408, and the connection closed') or diag explain \%answer;
    is(unchanged_row($person->{id}), $before, 'the row is as it was');
    is_deeply([calls()], [], 'nothing was sent to the storage');
    is_deeply([journal()], [], 'the journal is empty');
    ok(wait_for(10, sub { !descriptors($child)->{files} }), 'no picture is open');
    is_deeply([temporary_files()], [], 'no file is left');
    log_unlike($mark, qr/userprofile:error/, 'that is no error of the server', $node->{error_log});
    close $_ for @clients;
    $node->stop;
};

done_testing();
