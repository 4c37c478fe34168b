# SPDX-License-Identifier: Apache-2.0
package UserProfile::Resources;

=head1 NAME

UserProfile::Resources - what an httpd of the tests holds: processes, memory, descriptors, connections

=head1 SYNOPSIS

    my ($child) = children($node);
    my $before = descriptors($child);           # {files, sockets, all}
    is_deeply([temporary_files()], []);
    is(backends('some application_name'), 0);

=cut

use strict;
use warnings;
use Exporter qw(import);
use UserProfile::Test;

our @EXPORT = qw(children memory threads reads descriptors temporary_files backends redis_clients
    storage_connections is_sanitized);

# The process numbers of its children.
sub children {
    my ($node) = @_;

    return $node->children;
}

# In bytes: {rss, pss}. PSS shares out what several processes have in common.
sub memory {
    my ($pid) = @_;
    my %of = slurp("/proc/$pid/smaps_rollup") =~ /^(Rss|Pss):\s+(\d+) kB/mg;

    return {rss => $of{Rss} * 1024, pss => $of{Pss} * 1024};
}

sub threads {
    my ($pid) = @_;
    my @threads = glob "/proc/$pid/task/*";

    return scalar @threads;
}

# How often it has read, from whatever there is.
sub reads {
    my ($pid) = @_;

    return (slurp("/proc/$pid/io") =~ /^syscr: (\d+)/m)[0];
}

# How many descriptors it has open, by kind; files are the pictures on their way.
sub descriptors {
    my ($pid) = @_;
    my @links = map { readlink($_) // () } glob "/proc/$pid/fd/*";

    return {files => scalar(grep { m{/(?:userprofile\.\w{6}|#\d+)(?: |\z)} } @links), sockets => scalar(grep { /^socket:/ } @links),
        all => scalar @links};
}

# Pictures that have a name; each should have lost it as it was opened.
sub temporary_files {
    my ($folder) = @_;

    return glob +($folder // scratch() . '/tmp') . '/userprofile.??????';
}

# How many sessions Postgres has with this application_name; also only those in a state.
sub backends {
    my ($application, $state) = @_;

    return scalar db()->selectrow_array('SELECT count(*) FROM pg_stat_activity WHERE application_name = ?'
            . (defined $state ? ' AND state = ?' : ''), undef, $application, $state // ());
}

# How many clients Redis has in this one of its databases, but for the test itself.
sub redis_clients {
    my ($database) = @_;

    return scalar grep { /\bdb=$database\b/ && !/\bcmd=client/ } split /\n/, redis('CLIENT', 'LIST');
}

# How many connections a process has to the storage's stand-in.
sub storage_connections {
    my ($pid) = @_;
    my ($port) = servers->{storage_url} =~ /:(\d+)$/;
    my %of = map { (readlink($_) // '') =~ /^socket:\[(\d+)\]/ ? ($1 => 1) : () } glob "/proc/$pid/fd/*";
    my $there = sprintf '0100007F:%04X', $port;

    return scalar grep { my @field = split ' '; $field[2] eq $there && $of{$field[9]} }
        split /\n/, slurp("/proc/$pid/net/tcp");
}

# Is this a run of make sanitize, valgrind or coverage? Memory is not what it is otherwise, then: the
# address sanitizer keeps what was freed for a while.
sub is_sanitized {
    return -d scratch() . '/sanitizer' || $ENV{GCOV_PREFIX};
}

1;
