# SPDX-License-Identifier: Apache-2.0
package UserProfile::Bench::Plot;

=head1 NAME

UserProfile::Bench::Plot - GET from few and many clients: the picture of docs/performance.md

=head1 DESCRIPTION

The module and its peers are asked by 1 to 256 clients, in turn, as L<UserProfile::Bench::Get> does it. The picture,
docs/performance.svg, is drawn by gnuplot (t/bench/plot.gp): requests per second, and the median and the 99th
percentile of the time of an answer, against clients.

=cut

use strict;
use warnings;
use UserProfile::Bench::Load qw(wrk);
use UserProfile::Bench::Peers ();
use UserProfile::Bench::Rounds qw(median);
use UserProfile::Bench::World qw($ME);
use UserProfile::Process qw(run_quietly spew);

my @CLIENTS = map { 2**$_ } 0 .. 8;
my $PICTURE = 'docs/performance.svg';

# Returns no row of the table.
sub run {
    my ($bench) = @_;
    my $world = $bench->{world};
    my @nodes = map { $world->httpd($_, threads => $CLIENTS[-1]) } qw(event worker);
    my $peers = UserProfile::Bench::Peers->start($world);
    my @servers = ((map { {title => "mod_userprofile, $_->{mpm}", port => $_->{port}} } @nodes), $peers->all);
    my ($warm, %at);

    for my $clients (8, (@CLIENTS) x $bench->{rounds}) {
        for my $server (@servers) {
            next if $clients > ($server->{clients} // $clients);
            $bench->{progress}->("$clients clients: $server->{title}");
            my $is = wrk(port => $server->{port}, path => $ME, tokens => $world->{tokens}, clients => $clients,
                seconds => $bench->{seconds}, broken => 1);
            push @{$at{$server->{title}}{$clients}}, $is;
        }
        # The first time was to warm up.
        %at = () if !$warm++;
    }
    $peers->stop;
    $_->stop for @nodes;
    _draw($world, \@servers, \%at);
    return;
}

# gnuplot's data: a block for each server, its title first; clients, requests/s, p50 and p99 in ms, as medians.
sub _draw {
    my ($world, $servers, $at) = @_;
    my $data = '';

    for my $server (@$servers) {
        my $of = $at->{$server->{title}};

        $data .= qq("$server->{title}"\n);
        for my $clients (sort { $a <=> $b } keys %$of) {
            $data .= join(' ', $clients, map { my $what = $_; median(map { $_->{$what} } @{$of->{$clients}}) } qw(rate p50 p99)) . "\n";
        }
        $data .= "\n\n";
    }
    spew("$world->{dir}/plot.data", $data);
    run_quietly('gnuplot', '-e', "data = '$world->{dir}/plot.data'; picture = '$PICTURE'; servers = " . @$servers,
        't/bench/plot.gp');
    return;
}

1;
