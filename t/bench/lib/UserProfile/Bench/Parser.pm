# SPDX-License-Identifier: Apache-2.0
package UserProfile::Bench::Parser;

=head1 NAME

UserProfile::Bench::Parser - the multipart parser beside memchr(), without sockets: t/bench/multipart.c

=cut

use strict;
use warnings;
use UserProfile::Bench::Rounds qw(median);
use UserProfile::Process qw(run_quietly);

# Of GB/s, and of memchr() going once over all bytes.
my ($RATE, $SHARE) = (2, 0.25);

# Returns rows of the table.
sub run {
    my ($bench) = @_;
    my @found;

    for my $round (1 .. $bench->{rounds}) {
        $bench->{progress}->("round $round of $bench->{rounds}");
        push @found, {run_quietly('build/bench/multipart', 1) =~ /(\w+)=([\d.]+)/g};
    }
    my $figures = sub { sprintf '%.1f / %.1f GB/s', map { my $name = $_; median(map { $_->{$name} } @found) } @_ };

    return (
        {name => 'Multipart, 5 MB: GB/s of one core', goal => $RATE, ratios => [map { $_->{parser} } @found]},
        {name => 'Multipart: memchr(), once through', goal => $SHARE, figures => $figures->('parser', 'none'),
            ratios => [map { $_->{parser} / $_->{none} } @found]},
        {name => 'Multipart: memchr(), from CR to CR', figures => $figures->('parser', 'each'),
            ratios => [map { $_->{parser} / $_->{each} } @found]},
    );
}

1;
