# SPDX-License-Identifier: Apache-2.0
package UserProfile::Bench::Load;

=head1 NAME

UserProfile::Bench::Load - the programs that make load: wrk and pgbench

=cut

use strict;
use warnings;
use Exporter qw(import);
use UserProfile::Process qw(run_quietly);

our @EXPORT_OK = qw(wrk pgbench);

# One thread of wrk, keep-alive. port, path, tokens (a file); clients (32), seconds (2), method (GET),
# body => [file of the media type, file]. Returns a hash: rate (requests/s), p50, p90, p99 and max (ms).
# Dies where anything was refused, or, without broken => 1, a connection was closed.
sub wrk {
    my (%how) = (clients => 32, seconds => 2, method => 'GET', @_);
    my $said = run_quietly('wrk', '-t1', "-c$how{clients}", "-d$how{seconds}s", '--timeout', '10s',
        '-s', 't/bench/requests.lua', "http://127.0.0.1:$how{port}$how{path}", '--', $how{method}, $how{tokens},
        @{$how{body} // []});
    my ($line) = $said =~ /^bench (.*)$/m or die "wrk says nothing that is understood:\n$said";
    my %is = $line =~ /(\w+)=(-?\d+)/g;

    die "$how{method} $how{path}: $is{status} of $is{requests} requests were refused, $is{broken} broken:\n$said"
        if $is{status} || ($is{broken} && !$how{broken}) || !$is{requests};
    return {rate => $is{requests} / $is{us} * 1e6, map { $_ => $is{$_} / 1000 } qw(p50 p90 p99 max)};
}

# Prepared statements of a script. host, user, database, script (a file), set => {variable => value};
# clients (32), seconds (2). Returns a hash: rate (transactions/s).
sub pgbench {
    my (%how) = (clients => 32, seconds => 2, @_);
    my $set = $how{set} // {};
    my $said;

    # Connecting is of the time that it is given, though not of the rate; on a busy machine it can be all of it.
    for my $connecting (1, 5, 20) {
        $said = run_quietly('pgbench', '-n', '-M', 'prepared', '-c', $how{clients}, '-j', 1,
            '-T', $how{seconds} + $connecting, '-f', $how{script}, (map { ('-D', "$_=$set->{$_}") } sort keys %$set),
            '-h', $how{host}, '-U', $how{user}, $how{database});
        my ($rate) = $said =~ /^tps = ([\d.]+) \(without/m or next;
        return {rate => $rate} unless $said =~ /failed transactions: [1-9]/;
    }
    die "pgbench does nothing, or fails:\n$said";
}

1;
