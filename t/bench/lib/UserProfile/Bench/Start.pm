# SPDX-License-Identifier: Apache-2.0
package UserProfile::Bench::Start;

=head1 NAME

UserProfile::Bench::Start - starting with 100 virtual hosts, and reloading under load

=cut

use strict;
use warnings;
use POSIX ();
use Time::HiRes qw(sleep time);
use UserProfile::Bench::Load qw(wrk);
use UserProfile::Bench::Rounds qw(median);
use UserProfile::Bench::World qw($ME);

my $HOSTS = 100;
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

# The longest that a request waits where httpd is reloaded (SIGUSR1) meanwhile: with the module, and without it. A
# connection that is kept may be closed by it, between two requests.
sub _reload {
    my ($bench) = @_;
    my $world = $bench->{world};
    my @nodes = ($world->httpd('event'),
        $world->bare_httpd('event', "<Location \"$ME\">\nBenchConstant 320\nRequire all granted\n</Location>\n"));
    my $rounds = UserProfile::Bench::Rounds->new(progress => $bench->{progress}, sides => [
        with => sub { _longest($world, $nodes[0]) }, without => sub { _longest($world, $nodes[1]) }]);

    $rounds->warm;
    $rounds->run($bench->{rounds});
    $_->stop for @nodes;
    return {name => 'Reload under load: longest wait, to without the module', figures => sprintf('%.0f / %.0f ms',
        map { $rounds->figure($_) } qw(with without)), ratios => [$rounds->ratios(sub { $_[0]{with} / $_[0]{without} })]};
}

sub _longest {
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

1;
