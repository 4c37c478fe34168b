# SPDX-License-Identifier: Apache-2.0
package UserProfile::Process;

=head1 NAME

UserProfile::Process - what the private servers have in common: pid files, signals, ports

=cut

use strict;
use warnings;
use Exporter qw(import);
use IO::Socket::INET ();
use Time::HiRes qw(sleep time);

our @EXPORT_OK = qw(alive children_of pid_of stop_process wait_for run_quietly free_port port_from
    claim_ports slurp last_lines spew);

# Ports in a row that are claimed together.
my $BLOCK = 60;

# Does this process run? A zombie, which nobody has waited for yet, does not; but as long as another of
# its threads ends, what it has open is open.
sub alive {
    my ($pid) = @_;

    open my $in, '<', "/proc/$pid/stat" or return 0;
    return 1 if (<$in> // '') =~ /^\d+ \(.*\) [^ZX]/s;
    my @threads = glob "/proc/$pid/task/[0-9]*";
    return @threads > 1 ? 1 : 0;
}

# The processes that this one has started and that it has not waited for yet.
sub children_of {
    my ($parent) = @_;
    my @children;

    for my $file (glob '/proc/[0-9]*/stat') {
        open my $in, '<', $file or next;
        my ($pid, $of) = (<$in> // '') =~ /^(\d+) \(.*\) \S (\d+)/s or next;
        push @children, $pid if $of == $parent;
    }
    return @children;
}

# The process that a pid file names, or undef where none runs. (Postgres writes more lines.)
sub pid_of {
    my ($file) = @_;

    open my $in, '<', $file or return;
    my ($pid) = (<$in> // '') =~ /^(\d+)/ or return;
    return alive($pid) ? $pid : undef;
}

# Waits until the sub returns something true, and returns that; or undef after so many seconds.
sub wait_for {
    my ($seconds, $sub) = @_;
    my $deadline = time + $seconds;

    while (1) {
        my $result = $sub->();
        return $result if $result;
        return if time > $deadline;
        sleep 0.02;
    }
}

# Sends the signal and waits for the end; after 10 s it sends SIGKILL.
sub stop_process {
    my ($pid, $signal) = @_;

    return unless $pid && alive($pid);
    # One that was stopped by SIGSTOP hears of nothing else before SIGCONT.
    kill $signal, $pid;
    kill CONT => $pid;
    wait_for(10, sub { !alive($pid) }) or kill KILL => $pid;
    wait_for(5, sub { !alive($pid) }) or warn "process $pid does not end\n";
    return;
}

# Runs a command without a word; dies with all that it said where it fails.
sub run_quietly {
    my (@command) = @_;
    my $pid = open(my $out, '-|') // die "fork: $!\n";

    if (!$pid) {
        open STDERR, '>&', \*STDOUT;
        open STDIN, '<', '/dev/null';
        exec {$command[0]} @command or die "$command[0]: $!\n";
    }
    my $said = do { local $/; <$out> } // '';
    close $out or die "@command failed:\n$said";
    return $said;
}

# Can this port of 127.0.0.1 be listened on? Returns the listening socket.
sub _listen {
    my ($port, %how) = @_;

    return IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 1, %how);
}

# The first free port of 127.0.0.1 from this one on.
sub port_from {
    my ($port) = @_;

    $port++ until $port > 65_535 || _listen($port, ReuseAddr => 1);
    return $port;
}

# Claims $BLOCK ports of 127.0.0.1 in a row, so that runs at the same time get different ones. Returns
# the first, and a socket: the claim lasts as long as that is open, which listens on the port before
# them. They are below the range that the kernel gives to others.
sub claim_ports {
    my $blocks = int(12_000 / ($BLOCK + 1));
    my $start = int rand $blocks;

    for my $i (0 .. $blocks - 1) {
        my $anchor = 20_000 + ($start + $i) % $blocks * ($BLOCK + 1);
        my $claim = _listen($anchor) or next;
        my @free = grep { _listen($anchor + $_, ReuseAddr => 1) } 1 .. $BLOCK;
        return ($anchor + 1, $claim) if @free == $BLOCK;
    }
    die "No $BLOCK free ports in a row on 127.0.0.1\n";
}

# A port of 127.0.0.1 that this process gives once, and no other process at the same time.
{
    my ($owner, $next, $end, @claims) = (0);

    sub free_port {
        if ($owner != $$ || $next == $end) {
            ($next, my $claim) = claim_ports();
            ($owner, $end) = ($$, $next + $BLOCK);
            push @claims, $claim;
        }
        return $next++;
    }
}

sub slurp {
    my ($file) = @_;

    open my $in, '<:raw', $file or die "$file: $!\n";
    return do { local $/; <$in> } // '';
}

# The last lines of a log, or nothing where it is not there.
sub last_lines {
    my ($file) = @_;
    my @lines = -e $file ? split /^/, slurp($file) : ();

    return join '', @lines > 40 ? @lines[-40 .. -1] : @lines;
}

sub spew {
    my ($file, $bytes) = @_;

    open my $out, '>:raw', $file or die "$file: $!\n";
    print {$out} $bytes;
    close $out or die "$file: $!\n";
    return;
}

1;
