# SPDX-License-Identifier: Apache-2.0
package UserProfile::Postgres;

=head1 NAME

UserProfile::Postgres - a private Postgres, and a standby of it

=head1 SYNOPSIS

    my $primary = UserProfile::Postgres->new("$dir/a", "$dir/logs/a.log");
    $primary->make(max_connections => 50)->start;
    $primary->query('postgres', 'CREATE ROLE somebody LOGIN');

    my $standby = UserProfile::Postgres->new("$dir/b", "$dir/logs/b.log");
    $standby->make_standby($primary)->start;
    $primary->stop('immediate');
    $standby->promote;

=head1 DESCRIPTION

It listens on a Unix socket in its folder only; its superuser is "postgres", and no password is asked.

=cut

use strict;
use warnings;
use UserProfile::Process qw(children_of pid_of run_quietly spew stop_process);

# A time zone with an odd offset, so that a time which is not in UTC is seen.
my $TIMEZONE = 'Asia/Kathmandu';

# The folder is also what host= names.
sub new {
    my ($class, $dir, $log) = @_;

    -d $dir or mkdir $dir or die "$dir: $!\n";
    return bless {dir => $dir, data => "$dir/data", log => $log}, $class;
}

# Debian keeps the server's programs of each version in a folder that is not in PATH.
sub _program {
    my ($name) = @_;
    my @versions = sort { ($b =~ m{/(\d+)/bin})[0] <=> ($a =~ m{/(\d+)/bin})[0] }
        glob "/usr/lib/postgresql/*/bin/$name";

    return $versions[0] // $name;
}

# Makes an empty cluster with these settings beside those that all have.
sub make {
    my ($self, %setting) = @_;

    run_quietly(_program('initdb'), '--pgdata', $self->{data}, '--username=postgres',
        '--auth=trust', '--encoding=UTF8', '--locale=C.UTF-8', '--no-sync');
    return $self->set(
        listen_addresses => '',
        max_connections => 300,
        shared_buffers => '32MB',
        timezone => $TIMEZONE,
        log_line_prefix => '%m [%p] %u@%d ',
        %setting,
        unix_socket_directories => $self->{dir});
}

# Makes a standby of one that runs, which waits for its word on each commit from now on.
sub make_standby {
    my ($self, $primary) = @_;

    run_quietly('rm', '-rf', '--', $self->{data});
    run_quietly(_program('pg_basebackup'), '--pgdata', $self->{data}, '--host', $primary->{dir},
        '--username', 'postgres', '--checkpoint=fast', '--no-sync', '--write-recovery-conf');
    # When it is the primary it has no standby to wait for.
    $self->set(unix_socket_directories => $self->{dir}, synchronous_standby_names => '');
    return $self;
}

# Writes settings that hold from the next start; set again, the last one does.
sub set {
    my ($self, %setting) = @_;

    open my $out, '>>', "$self->{data}/postgresql.auto.conf" or die "$self->{data}: $!\n";
    print {$out} map { my $value = $setting{$_} =~ s/'/''/gr; "$_ = '$value'\n" } sort keys %setting;
    close $out or die "$self->{data}: $!\n";
    return $self;
}

sub pid {
    return pid_of("$_[0]{data}/postmaster.pid");
}

sub start {
    my ($self) = @_;

    run_quietly(_program('pg_ctl'), 'start', '-w', '-t', 60, '-D', $self->{data}, '-l', $self->{log})
        unless $self->pid;
    return $self;
}

# mode: fast (the default), immediate (a crash), smart, kill (SIGKILL to the first process).
sub stop {
    my ($self, $mode) = @_;
    my $signal = {fast => 'INT', immediate => 'QUIT', smart => 'TERM', kill => 'KILL'}->{$mode // 'fast'};

    $self->thaw;
    stop_process($self->pid, $signal);
    return $self;
}

# As a host that has frozen: all processes are there and do nothing.
sub freeze {
    my ($self) = @_;
    my $pid = $self->pid or return;

    # The first, so that it starts no others.
    kill STOP => $pid;
    kill STOP => children_of($pid);
    return;
}

sub thaw {
    my ($self) = @_;
    my $pid = $self->pid or return;

    kill CONT => children_of($pid), $pid;
    return;
}

# Makes the standby a primary, and returns when it is.
sub promote {
    my ($self) = @_;

    run_quietly(_program('pg_ctl'), 'promote', '-w', '-t', 60, '-D', $self->{data});
    return;
}

# What psql says: the arguments are psql's.
sub psql {
    my ($self, $user, $database, @arguments) = @_;

    return run_quietly('psql', '-h', $self->{dir}, '-U', $user, '-d', $database, '-X', '-q',
        '-v', 'ON_ERROR_STOP=1', @arguments);
}

# Runs SQL as the superuser.
sub query {
    my ($self, $database, $sql) = @_;

    return $self->psql('postgres', $database, '-c', $sql);
}

1;
