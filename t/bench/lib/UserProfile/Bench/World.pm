# SPDX-License-Identifier: Apache-2.0
package UserProfile::Bench::World;

=head1 NAME

UserProfile::Bench::World - the servers, users and tokens that all is measured with

=head1 SYNOPSIS

    my $world = UserProfile::Bench::World->new($dir, redis_port => $port);
    my $event = $world->httpd('event');
    ... http://127.0.0.1:$event->{port}$ME, with a token of the file $world->{tokens} ...
    $world->stop;

=head1 DESCRIPTION

Postgres, Redis and httpd are private ones, as those of the tests (L<UserProfile::Servers>,
L<UserProfile::Httpd>), in the folder $dir. There are $USERS users, and tokens of $TOKENS of them.

    servers    UserProfile::Servers
    tokens     a file: a token a line, of different users, good for a day
    token      a file: one of them
    storage    where httpd's avatars go; nobody is asked for it, unless it is set

=cut

use strict;
use warnings;
use Exporter qw(import);
use UserProfile::Httpd ();
use UserProfile::Process qw(run_quietly slurp spew);
use UserProfile::Servers ();
use UserProfile::Token qw(sign_claims);

our @EXPORT_OK = qw($ME $TOKENS email);
our $ME = '/api/v1/users/me';

my $USERS = 100_000;
our $TOKENS = 1000;

# Two children, each with threads for all clients, in case all come to it: event closes kept connections
# where it has no thread left. Always two, as one that comes or goes would be measured too, but where
# a reload starts two more. A connection may serve any number of requests, and there is neither an access
# log nor a count of each for mod_status, as with those of others.
sub _common {
    my ($threads) = @_;

    return <<"CONF";
ErrorLogFormat "[%{u}t] [%-m:%l] [pid %P] [%L] %E: [client\\ %a] %M"
LogLevel warn
TypesConfig /dev/null
ExtendedStatus Off
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 5
<IfModule !mpm_prefork_module>
    StartServers 2
    ThreadLimit $threads
    ThreadsPerChild $threads
    MaxRequestWorkers @{[4 * $threads]}
    MinSpareThreads 1
    MaxSpareThreads @{[2 * $threads]}
</IfModule>
<Directory />
    Options None
    AllowOverride None
    Require all denied
</Directory>
CONF
}

sub new {
    my ($class, $dir, %set) = @_;
    my $self = bless {dir => $dir, nodes => [], storage => 'cloudinary://4711:none@demo',
        servers => UserProfile::Servers->new($dir, %set)}, $class;

    return $self;
}

# Makes all that does not depend on what is measured.
sub start {
    my ($self) = @_;
    my $servers = $self->{servers};

    $servers->start(qw(postgres redis));
    $servers->query('postgres', "ALTER SYSTEM SET shared_buffers = '256MB'");
    $servers->query('postgres', "ALTER SYSTEM SET max_wal_size = '4GB'");
    $servers->stop_postgres;
    $servers->start_postgres;
    $servers->query('fluentmeet', <<"SQL");
INSERT INTO users (email, hashed_password, full_name, avatar_url, speaking_language, listening_language, is_verified)
SELECT format('user%s\@bench.example.com', n), repeat('x', 60), format('User Number %s', n),
       'https://res.cloudinary.com/demo/image/upload/v1700000000/avatars/' || md5(n::text) || '.jpg', 'en', 'fr', true
  FROM generate_series(1, $USERS) n
SQL
    $servers->query('fluentmeet', 'VACUUM ANALYZE');
    $self->{tokens} = "$self->{dir}/tokens";
    $self->{token} = "$self->{dir}/token";
    my @tokens = map { $self->token_of($_) . "\n" } 1 .. $TOKENS;
    spew($self->{tokens}, join '', @tokens);
    spew($self->{token}, $tokens[0]);
    return $self;
}

sub email {
    my ($n) = @_;

    return "user$n\@bench.example.com";
}

sub key {
    my ($self) = @_;

    return slurp("$self->{servers}{keys}/hs256.key") =~ s/\n\z//r;
}

# A token of the user with this number.
sub token_of {
    my ($self, $n) = @_;

    return sign_claims({sub => email($n), type => 'access', jti => sprintf('%032x', $n), exp => time + 86_400},
        key => $self->key);
}

# An httpd that has started, by default with the first contract as shipped. Options: conf, module and
# defines as of UserProfile::Httpd, threads (of each child: 64), name, and start => 0: it is not started.
sub httpd {
    my ($self, $mpm, %option) = @_;
    my $threads = delete $option{threads} // 64;
    my $name = delete $option{name} // $mpm;
    my $start = delete $option{start} // 1;
    my $top = "$self->{dir}/top";
    my $node = UserProfile::Httpd->new(dir => "$self->{dir}/httpd-$name-" . @{$self->{nodes}}, mpm => $mpm,
        common => _common($threads), defines => {$self->{servers}->defines, USERPROFILE_AVATARS => $self->{storage}},
        conf => qq(Include "$top/conf/fluentmeet.conf"\n), %option);

    push @{$self->{nodes}}, $node;
    return $start ? $node->start : $node;
}

# One with the bench's own handlers, and without the module.
sub bare_httpd {
    my ($self, $mpm, $conf, %option) = @_;

    return $self->httpd($mpm, name => "bare-$mpm", module => '', defines => {}, %option,
        conf => qq(LoadModule bench_module "$self->{dir}/top/build/bench/mod_bench.so"\n$conf));
}

# The profile of user 1, from the server at this port.
sub get {
    my ($self, $port) = @_;

    return run_quietly('curl', '-sS', '--fail', '--max-time', 10, '-H', 'Authorization: Bearer ' . $self->token_of(1),
        "http://127.0.0.1:$port$ME");
}

sub stop {
    my ($self) = @_;

    $_->stop for @{$self->{nodes}};
    $self->{servers}->stop;
    return;
}

1;
