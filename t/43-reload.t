#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# A graceful restart whose old children end late. Where there is room for new ones beside them, these are
# started at once, whatever the old ones do, which keep their connections for a second. Where there is
# none, httpd looks for old ones when the first has ended, and starts new ones then, not a second after
# it has looked too early; a child that is known to have a request under way is not waited for.
use strict;
use warnings;
use Config qw(%Config);
use IO::Socket::INET ();
use List::Util qw(min);
use Test::More;
use Time::HiRes qw(sleep time);
use UserProfile::Avatar;
use UserProfile::Process qw(alive slurp spew wait_for);
use UserProfile::Resources;
use UserProfile::Test;

# In seconds: how late a child ends, longer than it takes to read the configuration again; how long it is
# waited for, beside that; and what counts as at once. The best of these many tries counts, the first of them if it is good.
my ($LATE, $PATIENCE, $AT_ONCE, $TRIES) = (0.2, 0.3, 0.2, 3);

# An httpd with this library of t/preload, and with this variable for it.
sub preloaded {
    my ($library, $name, $value) = @_;

    return httpd_in("export $name=$value LD_PRELOAD=" . scratch() . "/top/build/preload/$library.so");
}

# Two children, and room for many more.
sub room {
    my ($mpm) = @_;

    return "StartServers 2\n" . ($mpm eq 'prefork'
        ? "MinSpareServers 1\nMaxSpareServers 20\nMaxRequestWorkers 20\n"
        : "ThreadsPerChild 25\nMinSpareThreads 1\nMaxSpareThreads 200\nMaxRequestWorkers 200\n");
}

my ($SIGURG) = grep { (split ' ', $Config{sig_name})[$_] eq 'URG' } 1 .. 31;

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
    while (!($new && $ended) && time - $begin < 20) {
        $ended //= time - $begin if grep { !alive($_) } keys %old;
        $new //= time - $begin if grep { !$old{$_} } children($node);
        sleep 0.005;
    }
    return ($ended // time - $begin, $new // time - $begin);
}

# An upload of which the server has half, for finish().
sub half_an_upload {
    my ($node, $person) = @_;
    my $picture = png(100_000);
    my $client = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$node->{port}") or die "connect: $!\n";

    print {$client} join("\r\n", "PUT $ME/avatar HTTP/1.1", 'Host: localhost', "Authorization: Bearer $person->{token}",
        'Content-Type: image/png', 'Connection: close', 'Content-Length: ' . length $picture, '', ''),
        substr $picture, 0, 50_000;
    $client->flush;
    wait_for(10, sub { grep { descriptors($_)->{files} } children($node) }) or die "the upload does not begin\n";
    return {socket => $client, answer => '', method => 'PUT', url => "http://127.0.0.1:$node->{port}$ME/avatar",
        rest => substr $picture, 50_000};
}

# Sends the rest; returns the status.
sub finish {
    my ($upload) = @_;

    print {$upload->{socket}} $upload->{rest};
    $upload->{socket}->flush;
    return end_request($upload)->code;
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

# --- Room for as many children more ---------------------------------------------------------------

# Has every child busy with an upload. Returns these.
sub occupy {
    my ($node, $person) = @_;
    my @uploads;

    while (grep { !descriptors($_)->{files} } children($node)) {
        die "twenty uploads and one child without\n" if @uploads == 20;
        push @uploads, half_an_upload($node, $person);
    }
    return @uploads;
}

# Waits until these have ended and httpd has seen it. Those of which it has not leave less room.
sub forgotten {
    my @pids = @_;

    wait_for(20, sub { !grep { -e "/proc/$_" } @pids }) or die "the old children do not end\n";
    return;
}

# Does the parent handle the signal by which it is woken?
sub has_handler {
    my ($node) = @_;
    my ($handled) = slurp('/proc/' . $node->pid . '/status') =~ /^SigCgt:\s+(\w+)/m;

    return hex(substr $handled, -8) >> $SIGURG - 1 & 1;
}

for my $mpm (qw(event worker prefork)) {
    my $node = node(mpm => $mpm, more => room($mpm))->start;
    my $person = person(full_name => 'Ada');
    my @wait;

    answers($node, $person, "$mpm, room for more: served before");
    for my $try (1 .. $TRIES) {
        my @uploads = occupy($node, $person);
        my %old = map { $_ => 1 } children($node);

        begin_anew($node);
        my $begin = time;
        # One is enough for prefork: those of which it finds the end are replaced before it sleeps, and
        # when it has been woken it is not woken again.
        wait_for(20, sub { ($mpm eq 'prefork' ? 1 : 2) <= grep { !$old{$_} } children($node) });
        push @wait, time - $begin;
        answers($node, $person, "$mpm, room for more: served while all old children are busy");
        is(scalar(grep { !alive($_) } keys %old), 0, '... and there');
        is(join(' ', map { finish($_) } @uploads), join(' ', (200) x @uploads), '... and these answer');
        forgotten(keys %old);
        ok(wait_for(2, sub { !has_handler($node) }), '... and the parent handles no signal more than before');
        last if $wait[-1] < 0.5;
    }
    cmp_ok(min(@wait), '<', 0.5, "$mpm, room for more: new children are there at once") or diag("after @wait s");

    # prefork does not tell a child why it is to end, and each has one connection only.
    cmp_ok((reload($node))[0], '>=', 0.8, "$mpm, room for more: the old ones keep their connections for a second")
        if $mpm ne 'prefork';
    $node->stop;
}

# --- Children that die as they are born -------------------------------------------------------------

# httpd starts some more, but goes on to wait for a second in between.
sub stillborn {
    my ($mpm) = @_;
    my $flag = scratch() . "/stillborn-$mpm";
    my $node = node(mpm => $mpm, httpd => preloaded('stillborn', UP_STILLBORN => $flag), more => room($mpm))->start;
    my $person = person(full_name => 'Ada');

    spew($flag, '');
    chmod 0666, $flag;
    begin_anew($node);
    sleep 2;
    my $births = -s $flag;
    unlink $flag;
    cmp_ok($births, '>=', 1, "$mpm: children die as they are born");
    cmp_ok($births, '<=', 10, '... and are not started again and again') or diag("$births in 2 s");
    ok(wait_for(20, sub { me('GET', token => $person->{token}, port => $node->{port})->code == 200 }),
        '... and it serves when they live');
    $node->stop;
    return;
}

# --- No room -----------------------------------------------------------------------------------------

sub without_room {
    my ($mpm) = @_;
    my $node = node(mpm => $mpm, httpd => preloaded('late', UP_LATE => 1000 * $LATE),
        more => "StartServers 1\nServerLimit 1\nMaxRequestWorkers " . ($mpm eq 'prefork' ? 1 : 25) . "\n")->start;
    my $person = person(full_name => 'Ada');
    my (@late, @gap);

    answers($node, $person, "$mpm: served before");
    for my $try (1 .. $TRIES) {
        my ($ended, $new) = reload($node);

        push @late, $ended;
        push @gap, $new - $ended;
        answers($node, $person, "$mpm: served by the new child");
        last if $gap[-1] < $AT_ONCE;
    }
    cmp_ok(min(@late), '>=', $LATE, "$mpm: the old ones ended late");
    cmp_ok(min(@gap), '<', $AT_ONCE, '... and a new one was there at once') or diag("after @gap s");

    # The threads of worker say that they serve; those of the others only that they are asked to end.
    my $patience = $mpm eq 'worker' ? $PATIENCE : 3 * $PATIENCE;
    my @begun;
    for my $try (1 .. $TRIES) {
        my $upload = half_an_upload($node, $person);

        push @begun, begin_anew($node);
        is(finish($upload), 200, "$mpm: what was under way is answered");
        wait_for(20, sub { children($node) == 1 });
        last if $begun[-1] < $patience;
    }
    cmp_ok(min(@begun), '<', $patience, $mpm eq 'worker' ? '... and was not waited for' : '... and was not waited for long')
        or diag("httpd began anew after @begun s");
    $node->stop;
    return;
}

SKIP: {
    skip 'a sanitizer has the place of a library that makes children late, or die', 1 if is_sanitized();
    stillborn($_) for qw(event worker prefork);
    without_room($_) for qw(event worker prefork);
}

done_testing();
