# SPDX-License-Identifier: Apache-2.0
package UserProfile::Bench::Peers;

=head1 NAME

UserProfile::Bench::Peers - what a team would run instead, on the same servers

=head1 DESCRIPTION

They are what t/bench/build-peers has made ready in build/bench/peers. Each listens on a port of
127.0.0.1, and has the module's Postgres, role, Redis and key.

=cut

use strict;
use warnings;
use POSIX ();
use UserProfile::Process qw(alive children_of free_port last_lines slurp wait_for);

# How each starts in its folder. clients: at most so many at once. With more requests under way than the 26
# database sessions that a worker of FastAPI's may have (with 12 clients there are those of the round before, too)
# it can lock itself up: they wait for one in its loop, and so keep others from giving theirs back.
my @PEERS = (
    {name => 'go', title => 'Go, net/http and pgx', command => ['./peer']},
    {name => 'node', title => 'Fastify', command => ['node', 'app.js']},
    {name => 'fastapi', title => 'FastAPI (12 clients)', clients => 12,
        command => ['/usr/bin/python3', '-m', 'uvicorn', 'app:app', '--port', 'PORT', '--workers', 2, '--no-access-log']},
);

# Starts those that are ready. missing: why others are not, name => sentence.
sub start {
    my ($class, $world) = @_;
    my $self = bless {peers => [], missing => {}}, $class;

    for my $peer (@PEERS) {
        my $dir = "$world->{dir}/top/build/bench/peers/$peer->{name}";

        if (-d $dir) {
            push @{$self->{peers}}, _start($world, {%$peer, dir => $dir});
        } else {
            $self->{missing}{$peer->{title}} = -e "$dir.missing" ? slurp("$dir.missing") =~ s/\n\z//r : 'not there';
        }
    }
    return $self;
}

sub DESTROY {
    my ($self) = @_;
    local ($?, $@);

    $self->stop;
    return;
}

sub _start {
    my ($world, $peer) = @_;
    my $servers = $world->{servers};
    my $log = "$world->{dir}/logs/peer-$peer->{name}.log";
    my $port = $peer->{port} = free_port();
    my @command = map { s/^PORT$/$port/r } @{$peer->{command}};
    my $pid = $peer->{pid} = fork // die "fork: $!\n";

    if (!$pid) {
        @ENV{qw(PEER_PORT PEER_PGHOST PEER_PGPORT PEER_PGUSER PEER_PGDATABASE PEER_REDIS PEER_KEY)} = ($port,
            $servers->{postgres}, 5432, $servers->{role}, 'fluentmeet', $servers->{redis_socket}, $world->key);
        POSIX::setsid();
        chdir $peer->{dir};
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', $log;
        open STDERR, '>&', \*STDOUT;
        exec {$command[0]} @command or POSIX::_exit(1);
    }
    # Who listens need not be the one who answers.
    wait_for(60, sub { !alive($pid) || eval { $world->get($port); 1 } }) && alive($pid)
        or die "$peer->{title} does not start:\n" . last_lines($log);
    return $peer;
}

sub all {
    return @{$_[0]{peers}};
}

# With what they have started: each is a session of its own, as the other servers are.
sub stop {
    my ($self) = @_;

    _end($_) for splice @{$self->{peers}};
    return;
}

sub _end {
    my ($peer) = @_;

    kill TERM => -$peer->{pid};
    wait_for(3, sub { waitpid($peer->{pid}, POSIX::WNOHANG()) }) or kill KILL => -$peer->{pid};
    waitpid $peer->{pid}, 0;
    return;
}

1;
