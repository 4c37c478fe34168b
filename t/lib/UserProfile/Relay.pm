# SPDX-License-Identifier: Apache-2.0
package UserProfile::Relay;

=head1 NAME

UserProfile::Relay - a network between httpd and a server that a test can break

=head1 SYNOPSIS

    my $relay = UserProfile::Relay->start("$dir/.s.PGSQL.5432");
    ... 127.0.0.1:$relay->{port} ...
    $relay->mode('mute');
    $relay->stop;

=head1 DESCRIPTION

It listens on a port of 127.0.0.1 and passes what it is sent to the server's Unix socket, and back.
C<mode> changes that, and returns when it is so:

    pass    passes everything
    mute    takes connections, and passes nothing, neither on these nor on the others
    cut     closes all connections, and is then mute
    full    takes no connections, and its queue is full: who connects gets no answer at all

=cut

use strict;
use warnings;
use IO::Select ();
use IO::Socket::INET ();
use IO::Socket::UNIX ();
use POSIX ();
use UserProfile::Process qw(slurp);

my $BACKLOG = 8;

sub start {
    my ($class, $server) = @_;
    my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => $BACKLOG)
        or die "listen: $!\n";

    pipe my $orders, my $order or die "pipe: $!\n";
    pipe my $done, my $say or die "pipe: $!\n";
    my $pid = fork // die "fork: $!\n";
    if (!$pid) {
        close $_ for $order, $done;
        local $SIG{PIPE} = 'IGNORE';
        eval { _relay($server, $listener, $orders, $say); 1 } or warn $@;
        POSIX::_exit(0);
    }
    return bless {pid => $pid, port => $listener->sockport, order => $order, done => $done,
        waiting => []}, $class;
}

# Until the test has closed its end of the pipe, or is gone.
sub _relay {
    my ($server, $listener, $orders, $say) = @_;
    my ($mode, %peer) = ('pass');

    while (1) {
        my $select = IO::Select->new($orders);
        $select->add($listener) if $mode ne 'full';
        $select->add(values %peer) if $mode eq 'pass';
        for my $ready ($select->can_read) {
            if ($ready == $orders) {
                sysread $orders, my $order, 1 or return;
                $mode = {p => 'pass', m => 'mute', c => 'cut', f => 'full'}->{$order};
                %peer = () if $mode eq 'cut';
                syswrite $say, $order;
            }
            elsif ($ready == $listener) {
                my $client = $listener->accept or next;
                my $behind = IO::Socket::UNIX->new(Peer => $server) or next;
                @peer{$client, $behind} = ($behind, $client);
            }
            elsif ($peer{$ready}) {
                _pass($ready, \%peer);
            }
        }
    }
    return;
}

# The other end of each is found by its name.
sub _pass {
    my ($from, $peer) = @_;
    my $to = $peer->{$from};
    my $bytes = '';

    return if sysread($from, $bytes, 65_536) && syswrite($to, $bytes);
    delete @{$peer}{$from, $to};
    return;
}

sub mode {
    my ($self, $mode) = @_;

    $self->{waiting} = [];
    syswrite $self->{order}, substr $mode, 0, 1;
    sysread $self->{done}, my $done, 1 or die "The relay has ended.\n";
    return if $mode ne 'full';
    # Until one gets no answer.
    for (1 .. 10 * $BACKLOG) {
        my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port},
            Blocking => 0) or die "connect: $!\n";
        push @{$self->{waiting}}, $socket;
        return if !IO::Select->new($socket)->can_write(0.5);
    }
    die "The queue of the relay does not become full.\n";
}

# How many connections it has, taken or not yet. The system does not list them all in one moment: one
# that was given up meanwhile is there beside the one that came for it, but not when it is asked again.
sub connections {
    my ($self) = @_;
    my %before = map { $_ => 1 } $self->_peers;

    return scalar grep { $before{$_} } $self->_peers;
}

# The other ends of its connections.
sub _peers {
    my ($self) = @_;
    my $port = sprintf '%04X', $self->{port};

    # Other tests leave thousands of lines: what is searched for begins with fixed text.
    return slurp('/proc/net/tcp') =~ / 0100007F:$port ([0-9A-F:]{13}) 01 /g;
}

sub stop {
    my ($self) = @_;

    close $self->{order} or return;
    waitpid $self->{pid}, 0;
    return;
}

1;
