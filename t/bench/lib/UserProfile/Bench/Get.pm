# SPDX-License-Identifier: Apache-2.0
package UserProfile::Bench::Get;

=head1 NAME

UserProfile::Bench::Get - GET: the module, its peers, and what httpd and Postgres allow

=head1 DESCRIPTION

All are asked by 32 clients on kept connections for profiles of many users in turn. The limit is what a
handler that answers a constant of the same size and pgbench with the module's own select would do one
after the other: 1 / (1 / constant + 1 / pgbench).

=cut

use strict;
use warnings;
use UserProfile::Bench::Load qw(wrk pgbench);
use UserProfile::Bench::Peers ();
use UserProfile::Bench::Rounds ();
use UserProfile::Bench::Statement qw(statement script);
use UserProfile::Bench::World qw($ME email);

my @MPMS = qw(event worker);
# What the issue of it asks for, by MPM.
my %GOAL = (event => {go => 1.3, node => 2, fastapi => 10}, worker => {go => 1.5});
my $LIMIT = 0.65;

# Returns rows of the table.
sub run {
    my ($bench) = @_;
    my $world = $bench->{world};
    my %node = map { $_ => $world->httpd($_) } @MPMS;
    my $size = length $world->get($node{event}{port});
    my %bare = map { $_ => $world->bare_httpd($_, _constant($size)) } @MPMS;
    my $peers = UserProfile::Bench::Peers->start($world);
    my %many = (path => $ME, tokens => $world->{tokens}, seconds => $bench->{seconds});
    my $script = _script($world, $node{event});
    my $rounds = UserProfile::Bench::Rounds->new(progress => $bench->{progress}, sides => [
        (map { my $mpm = $_;
            "module, $mpm" => sub { wrk(%many, port => $node{$mpm}{port})->{rate} },
            "constant, $mpm" => sub { wrk(%many, port => $bare{$mpm}{port})->{rate} } } @MPMS),
        'module, event, one user' => sub { wrk(%many, port => $node{event}{port}, tokens => $world->{token})->{rate} },
        'pgbench, select' => sub { pgbench(%$script, seconds => $bench->{seconds})->{rate} },
        map { my %peer = (port => $_->{port}, clients => $_->{clients} // 32);
            $_->{title} => sub { wrk(%many, %peer)->{rate} } } $peers->all]);

    $rounds->warm;
    $rounds->run($bench->{rounds});
    my @rows = (_against_peers($rounds, $peers), _against_limit($rounds));
    $peers->stop;
    $_->stop for values %node, values %bare;
    return @rows;
}

sub _constant {
    my ($size) = @_;

    return <<"CONF";
<Location "$ME">
    BenchConstant $size
    Require all granted
</Location>
CONF
}

# For pgbench: the module's statement, with the same user each time.
sub _script {
    my ($world, $node) = @_;
    my ($sql, $value) = statement($world, 'SELECT ', sub { $world->get($node->{port}) });

    return {script($world, 'select', $sql, $value, ':subject'), set => {subject => email(1)}};
}

sub _rates {
    my ($rounds, @names) = @_;

    return join ' / ', map { sprintf '%.0f', $rounds->figure($_) } @names;
}

sub _against_peers {
    my ($rounds, $peers) = @_;
    my @rows;

    for my $mpm (@MPMS) {
        my $us = "module, $mpm";

        push @rows, map { my $them = $_->{title}; +{name => "GET, $mpm: $them", goal => $GOAL{$mpm}{$_->{name}},
            ratios => [$rounds->ratios(sub { $_[0]{$us} / $_[0]{$them} })],
            figures => _rates($rounds, $us, $them) . ' /s'} } $peers->all;
    }
    return @rows, map { +{name => "GET: $_", skipped => $peers->{missing}{$_}} } sort keys %{$peers->{missing}};
}

sub _against_limit {
    my ($rounds) = @_;
    my ($us, $one, $pgbench) = ('module, event', 'module, event, one user', 'pgbench, select');
    my @rows = map { my $mpm = $_; +{name => "GET, $mpm: the limit", goal => $LIMIT,
        ratios => [$rounds->ratios(sub { $_[0]{"module, $mpm"} * (1 / $_[0]{"constant, $mpm"} + 1 / $_[0]{$pgbench}) })],
        figures => _rates($rounds, "module, $mpm") . ' / (' . _rates($rounds, "constant, $mpm") . ' and '
            . _rates($rounds, $pgbench) . ') /s'} } @MPMS;

    return @rows, {name => 'GET, event: one user only, to many', figures => _rates($rounds, $one, $us) . ' /s',
        ratios => [$rounds->ratios(sub { $_[0]{$one} / $_[0]{$us} })]};
}

1;
