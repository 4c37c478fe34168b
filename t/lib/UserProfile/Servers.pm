# SPDX-License-Identifier: Apache-2.0
package UserProfile::Servers;

=head1 NAME

UserProfile::Servers - private Postgres, Redis and Cloudinary's stand-in

=head1 SYNOPSIS

    my $servers = UserProfile::Servers->new($dir, redis_port => 20001);
    $servers->start(qw(postgres redis storage));
    my %defines = $servers->defines;
    $servers->stop;

    # In another process: the same servers.
    my $servers = UserProfile::Servers->open_existing($dir);
    $servers->stop_postgres('immediate');
    $servers->start_postgres;

=head1 DESCRIPTION

All live in one folder, listen on Unix sockets and 127.0.0.1 only, and log to C<$dir/logs>. What
they are reached by is in C<< $servers->{...} >>, and in C<$dir/servers.json> for other processes:

    postgres       folder of the socket, for host=
    role           the role httpd comes as, which has the rights that docs/recipes.md gives it and no
                   others; "postgres" is the superuser and owns the tables; no password
    redis_socket   redis_port (0: the socket only)
    storage_url    http://127.0.0.1:port of the stand-in
    storage_key    storage_secret  storage_cloud
    storage_dir    where the stand-in keeps its state
    keys           folder of keys for tokens: hs256.key, hs384.key, hs512.key (secrets, each with
                   a newline at its end), and rsa, es256, es384, es512 as .pem and .pub.pem
    embedded       folder of the SQLite database userprofile.db, for conf/embedded.conf
    httpd          the command that starts httpd

=cut

use strict;
use warnings;
use IO::Socket::UNIX ();
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use POSIX ();
use UserProfile::Markdown qw(blocks);
use UserProfile::Postgres ();
use UserProfile::Process
    qw(alive pid_of stop_process wait_for run_quietly free_port slurp spew);

# The databases: each is made ready by sql/NAME.sql.
my @DATABASES = qw(fluentmeet killrvideo);

sub new {
    my ($class, $dir, %set) = @_;
    my $self = bless {
        dir => $dir,
        postgres => "$dir/postgres",
        role => 'userprofile',
        redis_socket => "$dir/redis/redis.sock",
        redis_port => 0,
        storage_key => '8' . join('', map { int rand 10 } 1 .. 14),
        storage_secret => _random_text(20),
        storage_cloud => 'demo',
        storage_dir => "$dir/storage",
        keys => "$dir/keys",
        embedded => "$dir/embedded",
        httpd => '/usr/sbin/apache2',
        %set,
    }, $class;

    -d "$dir/$_" or mkdir "$dir/$_" or die "$dir/$_: $!\n"
        for qw(logs postgres redis storage keys embedded);
    $self->save;
    return $self;
}

sub open_existing {
    my ($class, $dir) = @_;

    return bless JSON::PP->new->decode(slurp("$dir/servers.json")), $class;
}

# Writes down what other processes have to know.
sub save {
    my ($self) = @_;

    spew("$self->{dir}/servers.json", JSON::PP->new->canonical->pretty->encode({%$self}));
    return;
}

# Makes and starts these servers: postgres, redis, storage.
sub start {
    my ($self, @names) = @_;

    $self->_make_keys;
    for my $name (@names) {
        my ($make, $start) = map { $self->can("${_}_$name") } qw(_make start);
        $self->$make if $make;
        $self->$start;
    }
    $self->_make_embedded;
    $self->save;
    return $self;
}

# Stops all that run; says nothing of those that do not.
sub stop {
    my ($self) = @_;

    $self->stop_storage;
    $self->stop_redis;
    $self->stop_postgres;
    return;
}

# The names that the shipped configurations take their surroundings from.
sub defines {
    my ($self) = @_;
    my $storage = $self->{storage_url} // '';

    return (
        USERPROFILE_DB => $self->dsn('fluentmeet'),
        USERPROFILE_TOKENS => "redis+unix://$self->{redis_socket}",
        USERPROFILE_AVATARS => "cloudinary://$self->{storage_key}:$self->{storage_secret}"
            . "\@$self->{storage_cloud}?upload_prefix=$storage",
        USERPROFILE_KEY => "$self->{keys}/hs256.key",
        USERPROFILE_EMBEDDED_DIR => $self->{embedded},
        USERPROFILE_SWEEP => 3600,
    );
}

# How libpq connects to a database, as the module does.
sub dsn {
    my ($self, $database) = @_;

    return "host=$self->{postgres} dbname=$database user=$self->{role}";
}

# --- Postgres -------------------------------------------------------------------------------------

# The one that is there: see UserProfile::Postgres.
sub cluster {
    my ($self) = @_;

    return UserProfile::Postgres->new($self->{postgres}, "$self->{dir}/logs/postgres.log");
}

sub _make_postgres {
    my ($self) = @_;

    $self->cluster->make->start;
    $self->query('postgres', "CREATE ROLE $self->{role} LOGIN");
    for my $name (@DATABASES) {
        $self->add_database($name, "sql/$name.sql", 'postgres');
        $self->query($name, $self->grants($name));
    }
    return;
}

# One more database, made ready by a file of SQL; who owns it (the role).
sub add_database {
    my ($self, $name, $file, $owner) = @_;

    $owner //= $self->{role};
    $self->query('postgres', "CREATE DATABASE $name OWNER $owner");
    $self->cluster->psql($owner, $name, '-f', $file);
    return;
}

# The SQL that gives the role its rights to the tables of sql/NAME.sql, as the recipe has it.
sub grants {
    my ($self, $name) = @_;
    my ($block) = grep { ($_->{says}{sql} // '') eq $name } blocks(slurp('docs/recipes.md'))
        or die "docs/recipes.md has no rights for $name\n";

    return $block->{text} =~ s/^CREATE ROLE .*\n//mr =~ s/\b\Q$block->{says}{role}\E\b/$self->{role}/gr;
}

# Runs SQL as the superuser.
sub query {
    my ($self, $database, $sql) = @_;

    return $self->cluster->query($database, $sql);
}

sub postgres_pid {
    return $_[0]->cluster->pid;
}

sub start_postgres {
    my ($self) = @_;

    $self->cluster->start;
    return;
}

# mode: fast (the default), immediate (a crash), smart.
sub stop_postgres {
    my ($self, $mode) = @_;

    $self->cluster->stop($mode);
    return;
}

# --- Redis ----------------------------------------------------------------------------------------

sub redis_pid {
    return pid_of("$_[0]{dir}/redis/redis.pid");
}

# What was in it is gone when it starts again.
sub start_redis {
    my ($self) = @_;

    return if $self->redis_pid;
    run_quietly('redis-server', '--port', $self->{redis_port}, '--bind', '127.0.0.1',
        '--unixsocket', $self->{redis_socket}, '--unixsocketperm', '700', '--save', '',
        '--appendonly', 'no', '--dir', "$self->{dir}/redis", '--daemonize', 'yes',
        '--pidfile', "$self->{dir}/redis/redis.pid", '--logfile', "$self->{dir}/logs/redis.log");
    wait_for(10, sub { IO::Socket::UNIX->new(Peer => $self->{redis_socket}) && $self->redis_pid })
        or die "redis-server does not answer:\n" . slurp("$self->{dir}/logs/redis.log");
    return;
}

sub stop_redis {
    my ($self) = @_;

    stop_process($self->redis_pid, 'TERM');
    return;
}

# --- Cloudinary's stand-in ------------------------------------------------------------------------

sub storage_pid {
    return pid_of("$_[0]{dir}/storage.pid");
}

# Started again, it has the same port and the assets that it had.
sub start_storage {
    my ($self) = @_;
    my $log = "$self->{dir}/logs/storage.log";
    my $port = ($self->{storage_url} // '') =~ /:(\d+)$/ ? $1 : free_port();

    return if $self->storage_pid;
    _daemon("$self->{dir}/storage.pid", $log, $^X, 't/cloudinary.pl', '--port', $port,
        '--key', $self->{storage_key}, '--secret', $self->{storage_secret},
        '--cloud', $self->{storage_cloud}, '--dir', $self->{storage_dir}, '--algorithm', 'sha1');
    $port = wait_for(10, sub { slurp($log) =~ /^port (\d+)$/m ? $1 : undef })
        or die "t/cloudinary.pl does not start:\n" . slurp($log);
    $self->{storage_url} = "http://127.0.0.1:$port";
    return;
}

sub stop_storage {
    my ($self) = @_;

    stop_process($self->storage_pid, 'TERM');
    return;
}

# Starts a program in a session of its own, so that Ctrl-C does not reach it.
sub _daemon {
    my ($pid_file, $log, @command) = @_;
    spew($log, '');
    my $pid = fork // die "fork: $!\n";

    if (!$pid) {
        POSIX::setsid();
        my $daemon = fork // POSIX::_exit(1);
        POSIX::_exit(0) if $daemon;
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', $log;
        open STDERR, '>&', \*STDOUT;
        spew($pid_file, "$$\n");
        exec {$command[0]} @command or POSIX::_exit(1);
    }
    waitpid $pid, 0;
    wait_for(5, sub { -s $log || pid_of($pid_file) });
    return;
}

# --- Keys and SQLite ------------------------------------------------------------------------------

sub _random_text {
    my ($bytes) = @_;
    my $data;

    open my $random, '<:raw', '/dev/urandom' or die "/dev/urandom: $!\n";
    read $random, $data, $bytes;
    return encode_base64($data, '') =~ tr{+/=}{-_}dr;
}

# A secret at least as long as its hash (RFC 7518, 3.2), and with a newline, as editors leave it.
sub _make_keys {
    my ($self) = @_;
    my $keys = $self->{keys};
    my %curve = (es256 => 'P-256', es384 => 'P-384', es512 => 'P-521');
    my %asymmetric = (
        rsa => ['RSA', 'rsa_keygen_bits:2048'],
        map { $_ => ['EC', "ec_paramgen_curve:$curve{$_}"] } keys %curve
    );

    chmod 0700, $keys;
    spew("$keys/$_.key", _random_text(66) . "\n") for qw(hs256 hs384 hs512);
    chmod 0600, glob "$keys/*.key";
    for my $name (sort keys %asymmetric) {
        my ($algorithm, $option) = @{$asymmetric{$name}};
        run_quietly('openssl', 'genpkey', '-algorithm', $algorithm, '-pkeyopt', $option,
            '-out', "$keys/$name.pem");
        run_quietly('openssl', 'pkey', '-in', "$keys/$name.pem", '-pubout',
            '-out', "$keys/$name.pub.pem");
    }
    return;
}

# Runs SQL on the SQLite database.
sub query_embedded {
    my ($self, $sql) = @_;

    return run_quietly('sqlite3', '-bail', "$self->{embedded}/userprofile.db", $sql);
}

sub _make_embedded {
    my ($self) = @_;

    $self->query_embedded('.read sql/embedded.sql');
    return;
}

1;
