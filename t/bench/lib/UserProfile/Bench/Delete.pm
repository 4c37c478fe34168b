# SPDX-License-Identifier: Apache-2.0
package UserProfile::Bench::Delete;

=head1 NAME

UserProfile::Bench::Delete - DELETE with few and many refresh tokens of others in Redis

=head1 DESCRIPTION

The tokens of 1,000, 100,000 and 1,000,000 others are in databases of their own, each with an httpd that asks it, so
that all can be measured in turn; one more httpd looks into the last by an index of each user's tokens. Who is deleted
has three tokens. What is compared is the time of an answer.

=cut

use strict;
use warnings;
use UserProfile::Bench::Rounds qw(median);
use UserProfile::Bench::World qw($ME email);
use UserProfile::Process qw(run_quietly slurp);

# The databases of Redis, and how often a round asks each. What is compared with the first.
my @CASES = (
    {keys => 1000, db => 1, times => 5},
    {keys => 100_000, db => 2, times => 5},
    {keys => 1_000_000, db => 3, times => 2},
    {keys => 1_000_000, db => 3, times => 5, index => 'refresh_tokens_of:'},
);
# These are deleted, from this one on: none that another subject needs.
my $next = 50_000;

# Returns rows of the table.
sub run {
    my ($bench) = @_;
    my $world = $bench->{world};
    my $socket = $world->{servers}{redis_socket};
    my (@nodes, @sides, %filled);

    for my $case (@CASES) {
        $bench->{progress}->("$case->{keys} tokens");
        _fill($socket, $case) unless $filled{$case->{db}}++;
        my $node = $world->httpd('event', name => "delete-$case->{db}", defines => {$world->{servers}->defines,
            USERPROFILE_AVATARS => $world->{storage}, USERPROFILE_TOKENS => "redis+unix://$socket?db=$case->{db}"},
            conf => _conf($world, $case));
        push @nodes, $node;
        push @sides, _name($case) => sub {
            median(map { _delete($world, $node, $socket, $case) } 1 .. $case->{times});
        };
    }
    my $rounds = UserProfile::Bench::Rounds->new(progress => $bench->{progress}, sides => \@sides);
    $rounds->warm;
    $rounds->run($bench->{rounds});
    $_->stop for @nodes;
    my ($few, @many) = map { _name($_) } @CASES;
    return map { my $many = $_;
        +{name => "DELETE, time: $many, to $few", ratios => [$rounds->ratios(sub { $_[0]{$many} / $_[0]{$few} })],
            figures => sprintf '%.1f / %.1f ms', map { $rounds->figure($_) } $many, $few} } @many;
}

sub _name {
    my ($case) = @_;

    return sprintf '%s tokens%s', scalar(reverse((reverse $case->{keys}) =~ s/(\d{3})(?=\d)/$1,/gr)),
        $case->{index} ? ' and an index' : '';
}

# The first contract, with the index where there is one.
sub _conf {
    my ($world, $case) = @_;
    my $conf = slurp("$world->{dir}/top/conf/fluentmeet.conf");

    return $case->{index} ? $conf =~ s/^UserProfileTokenStore .*\K$/ index=$case->{index}/mr : $conf;
}

sub _redis {
    my ($socket, $db, @command) = @_;

    return run_quietly('redis-cli', '-s', $socket, '-n', $db, @command);
}

# In pieces, so that no script runs for long.
sub _fill {
    my ($socket, $case) = @_;
    my $step = 50_000;

    for (my $from = 0; $from < $case->{keys}; $from += $step) {
        my $to = $from + $step < $case->{keys} ? $from + $step : $case->{keys};

        _redis($socket, $case->{db}, 'EVAL', "for i = $from + 1, $to do redis.call('SET', 'refresh_token:other' .. i .. "
            . "'\@bench.example.com:' .. i, '1', 'EX', 86400) end", 0);
    }
    return;
}

# Deletes one more account. Returns after how many milliseconds that was answered.
sub _delete {
    my ($world, $node, $socket, $case) = @_;
    my $user = $next++;
    my $seconds;

    _redis($socket, $case->{db}, 'MSET', map { ('refresh_token:' . email($user) . ":$_", 1) } 1 .. 3);
    _redis($socket, $case->{db}, 'SADD', $case->{index} . email($user), 1 .. 3) if $case->{index};
    $seconds = run_quietly('curl', '-sS', '--fail', '--max-time', 30, '-o', '/dev/null', '-w', '%{time_total}',
        '-X', 'DELETE', '-H', 'Authorization: Bearer ' . $world->token_of($user), "http://127.0.0.1:$node->{port}$ME");
    die "A token of a deleted account is left.\n"
        if $case->{index} && _redis($socket, $case->{db}, 'EXISTS', 'refresh_token:' . email($user) . ':1') =~ /1/;
    return 1000 * $seconds;
}

1;
