#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# A graceful restart whose old children end late: httpd looks for them when the first has ended, and
# starts new ones then, not a second after it has looked too early. A child that is known to have a
# request under way is not waited for.
use strict;
use warnings;
use IO::Socket::INET ();
use List::Util qw(min);
use Test::More;
use Time::HiRes qw(sleep time);
use UserProfile::Avatar;
use UserProfile::Process qw(alive spew wait_for);
use UserProfile::Resources;
use UserProfile::Test;

plan skip_all => 'a sanitizer has the place of the library that makes children late' if is_sanitized();

# In seconds: how late a child ends, longer than it takes to read the configuration again; how long it is
# waited for, beside that; and what counts as at once. The best of these many tries counts.
my ($LATE, $PATIENCE, $AT_ONCE, $TRIES) = (0.2, 0.3, 0.2, 3);
my $command = scratch() . '/late.sh';

spew($command, "#!/bin/sh\nexport UP_LATE=" . 1000 * $LATE . ' LD_PRELOAD=' . scratch() . "/top/build/preload/late.so\nexec "
    . servers->{httpd} . qq( "\$@"\n));
chmod 0755, $command;

sub answers {
    my ($node, $person, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return is_profile(me('GET', token => $person->{token}, port => $node->{port}), {full_name => 'Ada'}, $name);
}

# Reloads; returns the seconds until the first child had ended, and until there was a new one.
sub reload {
    my ($node) = @_;
    my %old = map { $_ => 1 } children($node);
    my $begin = time;
    my ($ended, $new);

    $node->signal('USR1');
    while (!$new && time - $begin < 20) {
        $ended //= time - $begin if grep { !alive($_) } keys %old;
        $new = time - $begin if grep { !$old{$_} } children($node);
        sleep 0.005;
    }
    return ($ended // time - $begin, $new // time - $begin);
}

# An upload of which the server has half: for end_request(), when the rest, which is returned too, is sent.
sub half_an_upload {
    my ($node, $person) = @_;
    my $picture = png(100_000);
    my $client = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$node->{port}") or die "connect: $!\n";

    print {$client} join("\r\n", "PUT $ME/avatar HTTP/1.1", 'Host: localhost', "Authorization: Bearer $person->{token}",
        'Content-Type: image/png', 'Connection: close', 'Content-Length: ' . length $picture, '', ''),
        substr $picture, 0, 50_000;
    $client->flush;
    wait_for(10, sub { grep { descriptors($_)->{files} } children($node) }) or die "the upload does not begin\n";
    return ({socket => $client, answer => '', method => 'PUT', url => "http://127.0.0.1:$node->{port}$ME/avatar"},
        substr $picture, 50_000);
}

# Reloads; returns the seconds until httpd has read its configuration and begins anew.
sub begin_anew {
    my ($node) = @_;
    my $mark = log_mark($node->{error_log});
    my $begin = time;

    $node->signal('USR1');
    wait_for(20, sub { log_since($mark, $node->{error_log}) =~ /resuming normal operations/ });
    return time - $begin;
}

for my $mpm (qw(event worker prefork)) {
    my $node = node(mpm => $mpm, httpd => $command, more => "StartServers 1\nServerLimit 1\nMaxRequestWorkers "
        . ($mpm eq 'prefork' ? 1 : 25) . "\n")->start;
    my $person = person(full_name => 'Ada');
    my (@late, @gap);

    answers($node, $person, "$mpm: served before");
    for my $try (1 .. $TRIES) {
        my ($ended, $new) = reload($node);

        push @late, $ended;
        push @gap, $new - $ended;
        answers($node, $person, "$mpm: served by the new child");
    }
    cmp_ok(min(@late), '>=', $LATE, "$mpm: the old ones ended late");
    cmp_ok(min(@gap), '<', $AT_ONCE, '... and a new one was there at once') or diag("after @gap s");

    my @begun;
    for my $try (1 .. $TRIES) {
        my ($upload, $rest) = half_an_upload($node, $person);

        push @begun, begin_anew($node);
        print {$upload->{socket}} $rest;
        $upload->{socket}->flush;
        is(end_request($upload)->code, 200, "$mpm: what was under way is answered");
        wait_for(20, sub { children($node) == 1 });
    }
    # The threads of worker say that they serve; those of the others only that they are asked to end.
    cmp_ok(min(@begun), '<', $mpm eq 'worker' ? $PATIENCE : 3 * $PATIENCE,
        $mpm eq 'worker' ? '... and was not waited for' : '... and was not waited for long')
        or diag("httpd began anew after @begun s");
    $node->stop;
}

done_testing();
