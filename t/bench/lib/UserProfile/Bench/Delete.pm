# SPDX-License-Identifier: Apache-2.0
package UserProfile::Bench::Delete;

=head1 NAME

UserProfile::Bench::Delete - DELETE with few and many refresh tokens of others in Redis

=head1 DESCRIPTION

The tokens of 1,000, 100,000 and 1,000,000 others are in databases of their own, each with an httpd that asks it, so
that all can be measured in turn. Who is deleted has three tokens. What is compared is the time of an answer.

=cut

use strict;
use warnings;
use UserProfile::Bench::Rounds qw(median);
use UserProfile::Bench::World qw($ME email);
use UserProfile::Process qw(run_quietly);

# The databases of Redis, and how often a round asks each.
my @SIZES = ({keys => 1000, db => 1, times => 5}, {keys => 100_000, db => 2, times => 5}, {keys => 1_000_000, db => 3, times => 2});
# These are deleted, from this one on: none that another subject needs.
my $next = 50_000;

# Returns rows of the table.
sub run {
    my ($bench) = @_;
    my $world = $bench->{world};
    my $socket = $world->{servers}{redis_socket};
    my (@nodes, @sides);

    for my $size (@SIZES) {
        $bench->{progress}->("$size->{keys} tokens");
        _fill($socket, $size);
        my $node = $world->httpd('event', name => "delete-$size->{keys}",
            defines => {$world->{servers}->defines, USERPROFILE_AVATARS => $world->{storage},
                USERPROFILE_TOKENS => "redis+unix://$socket?db=$size->{db}"});
        push @nodes, $node;
        push @sides, $size->{keys} => sub {
            median(map { _delete($world, $node, $socket, $size->{db}) } 1 .. $size->{times});
        };
    }
    my $rounds = UserProfile::Bench::Rounds->new(progress => $bench->{progress}, sides => \@sides);
    $rounds->warm;
    $rounds->run($bench->{rounds});
    $_->stop for @nodes;
    my ($few, @many) = map { $_->{keys} } @SIZES;
    return map { my $keys = $_;
        +{name => sprintf('DELETE: time with %.0f tokens, to %.0f', $keys, $few),
            ratios => [$rounds->ratios(sub { $_[0]{$keys} / $_[0]{$few} })],
            figures => sprintf '%.1f / %.1f ms', map { $rounds->figure($_) } $keys, $few} } @many;
}

sub _redis {
    my ($socket, $db, @command) = @_;

    return run_quietly('redis-cli', '-s', $socket, '-n', $db, @command);
}

# In pieces, so that no script runs for long.
sub _fill {
    my ($socket, $size) = @_;
    my $step = 50_000;

    for (my $from = 0; $from < $size->{keys}; $from += $step) {
        my $to = $from + $step < $size->{keys} ? $from + $step : $size->{keys};

        _redis($socket, $size->{db}, 'EVAL', "for i = $from + 1, $to do redis.call('SET', 'refresh_token:other' .. i .. "
            . "'\@bench.example.com:' .. i, '1', 'EX', 86400) end", 0);
    }
    return;
}

# Deletes one more account. Returns after how many milliseconds that was answered.
sub _delete {
    my ($world, $node, $socket, $db) = @_;
    my $user = $next++;

    _redis($socket, $db, 'MSET', map { ('refresh_token:' . email($user) . ":$_", 1) } 1 .. 3);
    my $seconds = run_quietly('curl', '-sS', '--fail', '--max-time', 30, '-o', '/dev/null', '-w', '%{time_total}', '-X', 'DELETE',
        '-H', 'Authorization: Bearer ' . $world->token_of($user), "http://127.0.0.1:$node->{port}$ME");
    return 1000 * $seconds;
}

1;
