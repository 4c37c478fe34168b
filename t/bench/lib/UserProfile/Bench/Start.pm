# SPDX-License-Identifier: Apache-2.0
package UserProfile::Bench::Start;

=head1 NAME

UserProfile::Bench::Start - starting with 100 virtual hosts, and reloading under load

=cut

use strict;
use warnings;
use IO::Select ();
use IO::Socket::INET ();
use List::Util qw(max);
use POSIX ();
use Time::HiRes qw(sleep time);
use UserProfile::Bench::Load qw(wrk);
use UserProfile::Bench::Rounds ();
use UserProfile::Bench::World qw($ME);

my $HOSTS = 100;
# Requests a second: some, of the thousands that could be.
my $RATE = 100;
# Seconds that the module may add.
my $LIMIT = 1;

# Returns rows of the table.
sub run {
    my ($bench) = @_;
    my $world = $bench->{world};
    my $include = "Include \"$world->{dir}/top/conf/fluentmeet.conf\"";
    my $rounds = UserProfile::Bench::Rounds->new(progress => $bench->{progress}, sides => [
        with => sub { _time($world->httpd('event', start => 0, conf => _hosts($include))) },
        without => sub { _time($world->httpd('event', start => 0, module => '', conf => _hosts('Redirect / /nowhere'))) }]);

    $rounds->run($bench->{rounds});
    return (
        {name => "Start, $HOSTS hosts: seconds more with the module", limit => $LIMIT,
            ratios => [$rounds->ratios(sub { $_[0]{with} - $_[0]{without} })],
            figures => sprintf '%.2f and %.2f s', map { $rounds->figure($_) } qw(with without)},
        _reload($bench),
    );
}

sub _hosts {
    my ($what) = @_;

    return join '', map { "<VirtualHost *>\nServerName host$_.example.com\n$what\n</VirtualHost>\n" } 1 .. $HOSTS;
}

# Until it answers.
sub _time {
    my ($node) = @_;
    my $begin = time;

    $node->start;
    my $took = time - $begin;
    $node->stop;
    return $took;
}

# The longest that a request waits where httpd is reloaded (SIGUSR1) meanwhile: with the module, and without it; with
# as many requests as it can answer, and with few.
sub _reload {
    my ($bench) = @_;
    my $world = $bench->{world};
    my @nodes = ($world->httpd('event'),
        $world->bare_httpd('event', "<Location \"$ME\">\nBenchConstant 320\nRequire all granted\n</Location>\n"));
    my @rows;

    for (["Reload, $RATE requests/s", \&_steady], ['Reload, as many as can be', \&_full]) {
        my ($name, $longest) = @$_;
        my $rounds = UserProfile::Bench::Rounds->new(progress => $bench->{progress}, sides => [
            with => sub { $longest->($world, $nodes[0]) }, without => sub { $longest->($world, $nodes[1]) }]);

        $rounds->warm;
        $rounds->run($bench->{rounds});
        push @rows, {name => "$name: longest wait, to without the module", figures => sprintf('%.0f / %.0f ms',
            map { $rounds->figure($_) } qw(with without)), ratios => [$rounds->ratios(sub { $_[0]{with} / $_[0]{without} })]};
    }
    $_->stop for @nodes;
    return @rows;
}

# In milliseconds, by 32 clients of wrk. A connection that is kept may be closed by a reload, between two requests.
sub _full {
    my ($world, $node) = @_;
    my $pid = fork // die "fork: $!\n";

    if (!$pid) {
        sleep 0.5;
        $node->signal('USR1');
        POSIX::_exit(0);
    }
    my $longest = wrk(port => $node->{port}, path => $ME, tokens => $world->{tokens}, seconds => 2, broken => 1)->{max};
    waitpid $pid, 0;
    return $longest;
}

# In milliseconds, of requests that come at this rate for two seconds, each on a connection of its own.
sub _steady {
    my ($world, $node) = @_;
    my $request = "GET $ME HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " . $world->token_of(1)
        . "\r\nConnection: close\r\n\r\n";
    my $select = IO::Select->new;
    my ($begin, $longest, $asked, %at) = (time, 0, 0);

    while ($asked < 2 * $RATE || $select->count) {
        if ($asked < 2 * $RATE && time >= $begin + $asked / $RATE) {
            my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $node->{port}) or die "connect: $!\n";
            syswrite $socket, $request;
            $select->add($socket);
            $at{$socket} = time;
            $node->signal('USR1') if ++$asked == $RATE / 2;
        }
        for my $socket ($select->can_read(0.001)) {
            sysread $socket, my $answer, 4096;
            $answer =~ m{^HTTP/1.1 200 } or die "A request at a reload is answered by: $answer\n";
            $longest = max($longest, 1000 * (time - delete $at{$socket}));
            $select->remove($socket);
        }
    }
    return $longest;
}

1;
