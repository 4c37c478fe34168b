# SPDX-License-Identifier: Apache-2.0
package UserProfile::RedisServers;

=head1 NAME

UserProfile::RedisServers - Redis servers and sentinels of a test's own

=head1 SYNOPSIS

    my $redis = redis_server(requirepass => 'sesame');
    $redis->ask('SET', 'key', 'value');
    $redis->stop('KILL');
    $redis->start;                         # what was in it is gone, without appendonly

    my $watched = watched_redis(replicas => 1, sentinels => 3);
    $watched->master->stop('KILL');
    $watched->await_master($watched->{servers}[1]);

=head1 DESCRIPTION

Each listens on a claimed port of 127.0.0.1 and on a Unix socket, has a folder below the run's, logs
to the run's logs, and ends with the test.

=cut

use strict;
use warnings;
use Exporter qw(import);
use File::Basename qw(basename);
use POSIX ();
use Redis ();
use UserProfile::Process qw(free_port pid_of stop_process wait_for run_quietly spew slurp);
use UserProfile::Test qw(scratch);

our @EXPORT = qw(redis_server watched_redis);

my @servers;
my $owner = $$;

END {
    local $?;
    if ($$ == $owner) { $_->stop('KILL') for @servers }
}

# --- One server -----------------------------------------------------------------------------------

# With these lines of its redis.conf, name => value, started. It is asked with the password that is
# its requirepass.
sub redis_server {
    my (%conf) = @_;
    my @conf = map { [$_ => '"' . $conf{$_} =~ s/(["\\])/\\$1/gr . '"'] } sort keys %conf;

    return _new(conf => \@conf, password => $conf{requirepass})->start;
}

sub _new {
    my (%self) = @_;
    my $name = 'redis-' . basename($0, '.t') . '-' . @servers;
    my $self = bless {port => free_port(), kind => 'redis-server', %self}, __PACKAGE__;

    $self->{dir} = scratch() . "/$name";
    $self->{log} = scratch() . "/logs/$name.log";
    $self->{socket} = "$self->{dir}/sock";
    mkdir $self->{dir} or die "$self->{dir}: $!\n";
    spew("$self->{dir}/redis.conf", join '', map { qq($_->[0] $_->[1]\n) }
        [port => $self->{port}], [bind => '127.0.0.1'], [daemonize => 'yes'], [dir => $self->{dir}],
        [unixsocket => $self->{socket}], [pidfile => "$self->{dir}/pid"], [logfile => $self->{log}],
        @{$self->{conf}});
    push @servers, $self;
    return $self;
}

sub pid {
    return pid_of("$_[0]{dir}/pid");
}

# Returns when it answers. A sentinel reads its own configuration, which it writes itself.
sub start {
    my ($self) = @_;

    run_quietly('redis-server', "$self->{dir}/redis.conf",
        $self->{kind} eq 'sentinel' ? '--sentinel' : ());
    wait_for(20, sub { $self->pid && eval { $self->ask('PING') } })
        or die "$self->{kind} does not answer:\n" . slurp($self->{log});
    return $self;
}

# By TERM, or by KILL as in a crash.
sub stop {
    my ($self, $signal) = @_;

    delete $self->{connection};
    stop_process($self->pid, $signal // 'TERM');
    unlink "$self->{dir}/pid";
    return;
}

# What it answers to a command; dies on an error. A SELECT counts for the next command, unless the
# connection between them ends: sentinels end those to a master that they make a replica.
sub ask {
    my ($self, $command, @arguments) = @_;
    my ($error, @answer);

    $command = lc $command;
    for (1 .. 3) {
        return wantarray ? @answer : $answer[0]
            if eval { @answer = $self->_connection->$command(@arguments); 1 };
        $error = $@;
        delete $self->{connection};
        # What the server itself says begins with the command, and a code.
        last if $error =~ /\A\[\w+\] [A-Z]+ /;
    }
    die $error;
}

# A process that was forked has connections of its own.
sub _connection {
    my ($self) = @_;
    my $password = $self->{password};

    delete $self->{connection} unless ($self->{connected} // 0) == $$;
    $self->{connected} = $$;
    return $self->{connection} //= Redis->new(server => "127.0.0.1:$self->{port}", cnx_timeout => 5,
        read_timeout => 10, write_timeout => 10, defined $password ? (password => $password) : ());
}

# A section of INFO, as a hash.
sub info {
    my ($self, $section) = @_;

    return $self->ask('INFO', $section);
}

# How often it has run this command (in lower case), and refused it.
sub count {
    my ($self, $command) = @_;
    my $stats = $self->info('commandstats')->{"cmdstat_$command"} // '';
    my ($calls) = $stats =~ /\bcalls=(\d+)/;
    my ($rejected) = $stats =~ /\brejected_calls=(\d+)/;

    return ($calls // 0) + ($rejected // 0);
}

# --- A master, its replicas, and sentinels --------------------------------------------------------

# What docs/directives.md says that a user of httpd's needs.
my $RIGHTS = '~blacklisted_access_token:* ~refresh_token:* +exists +set +scan +unlink +select +role +wait '
    . '+client|id +client|tracking +subscribe +ping &__redis__:invalidate';

# As docs/recipes.md has it, with short times. replicas, sentinels: how many. {servers}[0] is the master
# at first. Each has a password: {password} of the servers, {user_password} of httpd's user there,
# {sentinel_password}.
sub watched_redis {
    my (%how) = @_;
    my $self = bless {password => 'sesame-43c1', user_password => 's3cret-77e0',
        sentinel_password => 'watchword-9b2e'}, 'UserProfile::RedisServers::Watched';
    my @conf = ([requirepass => $self->{password}], [masterauth => $self->{password}],
        [user => "httpd on >$self->{user_password} $RIGHTS"],
        [appendonly => 'yes'], [save => '""'], ['min-replicas-to-write' => 1],
        ['min-replicas-max-lag' => 10], ['repl-diskless-sync-delay' => 0]);

    for my $i (0 .. $how{replicas}) {
        my $master = $i ? [replicaof => "127.0.0.1 $self->{servers}[0]{port}"] : ();
        push @{$self->{servers}}, _new(conf => [@conf, $master // ()], password => $self->{password})
            ->start;
    }
    for (1 .. $how{sentinels}) {
        push @{$self->{sentinels}}, _new(kind => 'sentinel', password => $self->{sentinel_password},
            conf => [[requirepass => $self->{sentinel_password}],
                ['sentinel sentinel-pass' => $self->{sentinel_password}],
                ['sentinel monitor' => "mymaster 127.0.0.1 $self->{servers}[0]{port} 2"],
                ['sentinel auth-pass' => "mymaster $self->{password}"],
                ['sentinel down-after-milliseconds' => 'mymaster 2000'],
                ['sentinel failover-timeout' => 'mymaster 5000']])->start;
    }
    # So that a master that was one is made a replica after 4 s, not 8. (Redis 7.)
    eval { $_->ask(qw(SENTINEL debug publish-period 1000 info-period 2000)) } for @{$self->{sentinels}};
    $self->await_whole($how{replicas});
    return $self;
}

package UserProfile::RedisServers::Watched;

use strict;
use warnings;
use UserProfile::Process qw(wait_for);

# More than the longest of sentinels' own times, on a busy machine.
my $PATIENCE = 90;

# The URL, with this database.
sub url {
    my ($self, $db) = @_;
    my $hosts = join ',', map { "127.0.0.1:$_->{port}" } @{$self->{sentinels}};

    return "redis+sentinel://httpd:$self->{user_password}\@$hosts/mymaster/$db"
        . "?sentinel_password=$self->{sentinel_password}";
}

# The server with this port.
sub _server {
    my ($self, $port) = @_;
    my ($server) = grep { $_->{port} == $port } @{$self->{servers}};

    return $server;
}

# The one that most sentinels call the master.
sub master {
    my ($self) = @_;
    my %votes;

    for my $sentinel (@{$self->{sentinels}}) {
        my ($address) = eval { [$sentinel->ask('SENTINEL', 'get-master-addr-by-name', 'mymaster')] };
        $address = $address->[0] if $address && ref $address->[0];
        $votes{$address->[1]}++ if $address;
    }
    for my $port (keys %votes) {
        return $self->_server($port) if $votes{$port} > @{$self->{sentinels}} / 2;
    }
    return;
}

# Waits until all sentinels call this server the master, and it says so itself.
sub await_master {
    my ($self, $server) = @_;

    wait_for($PATIENCE, sub {
        my $master = $self->master;
        $master && $master == $server && eval { $server->info('replication')->{role} eq 'master' };
    }) or die "no failover to $server->{port}\n";
    return;
}

# Waits until the master has so many replicas that are up to date, and the sentinels know them and one
# another.
sub await_whole {
    my ($self, $replicas) = @_;
    my $others = @{$self->{sentinels}};

    wait_for($PATIENCE, sub {
        my $master = $self->master or return;
        my $state = eval { $master->info('replication') } or return;
        my @online = grep { /^slave\d+$/ && $state->{$_} =~ /state=online/ } keys %$state;
        $state->{role} eq 'master' && @online == $replicas
            && !grep { !_is_whole($_, $replicas, $others) } @{$self->{sentinels}};
    }) or die "the sentinels do not find $replicas replicas and $others sentinels\n";
    return;
}

sub _is_whole {
    my ($sentinel, $replicas, $others) = @_;
    my $line = eval { $sentinel->info('sentinel')->{master0} } // '';

    return $line =~ /status=ok/ && $line =~ /slaves=(\d+)/ && $1 >= $replicas
        && $line =~ /sentinels=(\d+)/ && $1 == $others;
}

1;
