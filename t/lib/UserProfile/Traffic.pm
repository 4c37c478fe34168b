# SPDX-License-Identifier: Apache-2.0
package UserProfile::Traffic;

=head1 NAME

UserProfile::Traffic - many requests at once, made by one process

=head1 SYNOPSIS

    my $traffic = UserProfile::Traffic->new(port => $node->{port}, clients => 8,
        next => sub { return {method => 'GET', path => $ME, token => $token} });
    $traffic->answers(200);                # goes on until 200 more answers are there
    $node->signal('USR1');
    $traffic->until(30, sub { ... });      # or until something holds
    $traffic->finish;                      # what was begun is answered
    is_deeply($traffic->{status}, {200 => 200}) and is_deeply($traffic->{failed}, []);

=head1 DESCRIPTION

Sockets do not block, and each client makes one request after the other: on a fresh connection each
(the default), or with keep_alive on one that it keeps for as long as the server does. A request that
a kept connection was closed under, with no byte of an answer, is made once more on a fresh one and
counted in C<< $traffic->{closed} >>: so HTTP has it (RFC 9112, 9.3.1).

A request is a hash: method, path, token, type, body, headers (a hash), and

    expect => 404 or [200, 304]     another status is a failure; any by default
    leave => N                      sends N bytes of it, or all but -N, and leaves; the first is always
                                    sent, and the last never
    chunks => $bytes                the body as it is, for Transfer-Encoding: chunked
    done => sub { ($status, $answer, $request) }    called with its answer

What is counted: {status} a hash, {made}, {left}, {closed}, {longest} seconds; {failed} is a list of
hashes {why, path, at}: no connection, half an answer, none, another than was expected.

=cut

use strict;
use warnings;
use Errno qw(EAGAIN EINPROGRESS EINTR);
use Socket qw(AF_INET SOCK_STREAM SOL_SOCKET SO_ERROR pack_sockaddr_in inet_aton);
use Time::HiRes qw(time);

# A client gives up on an answer after so many seconds.
my $PATIENCE = 30;

sub new {
    my ($class, %self) = @_;
    my $self = bless {clients => 8, keep_alive => 0, status => {}, failed => [], made => 0, left => 0,
        closed => 0, longest => 0, answered => 0, idle => [], busy => {}, %self}, $class;

    $self->{address} = pack_sockaddr_in($self->{port}, inet_aton('127.0.0.1'));
    push @{$self->{idle}}, {number => $_} for 1 .. $self->{clients};
    return $self;
}

# Until so many more requests have ended, whichever way.
sub answers {
    my ($self, $count) = @_;
    my $goal = $self->{answered} + $count;

    return $self->until(600, sub { $self->{answered} >= $goal });
}

# Until the sub is true or the seconds are over; returns what the sub did. It is asked between
# answers, and every now and then.
sub until {
    my ($self, $seconds, $sub) = @_;
    my $end = time + $seconds;

    while (1) {
        my $result = $sub->();
        return $result if $result || time > $end;
        $self->_begin($_, $self->{next}->()) for splice @{$self->{idle}};
        $self->_turn;
    }
}

# No request more, and an end to those under way.
sub finish {
    my ($self) = @_;

    $self->_turn while keys %{$self->{busy}};
    close $_->{socket} for grep { $_->{socket} } @{$self->{idle}};
    delete $_->{socket} for @{$self->{idle}};
    return $self;
}

# --- One client -----------------------------------------------------------------------------------

sub _begin {
    my ($self, $client, $request) = @_;

    $self->{made}++;
    $client->{request} = $request;
    $client->{reused} = $client->{socket} ? 1 : 0;
    return $self->_send($client);
}

sub _send {
    my ($self, $client) = @_;
    my $request = $client->{request};

    $client->{out} = $request->{bytes} //= $self->_bytes($request);
    if (defined $request->{leave}) {
        my $all = length $client->{out};
        my $most = $request->{leave} < 0 ? $all + $request->{leave} : $request->{leave};
        $most = $all - 1 if $most >= $all;
        substr($client->{out}, $most > 1 ? $most : 1) = '';
    }
    $client->{in} = '';
    $client->{begun} = time;
    if (!$client->{socket}) {
        socket $client->{socket}, AF_INET, SOCK_STREAM, 0 or die "socket: $!\n";
        $client->{socket}->blocking(0);
        connect $client->{socket}, $self->{address} or $!{EINPROGRESS}
            or return $self->_fail($client, "connect: $!");
    }
    $self->{busy}{fileno $client->{socket}} = $client;
    return;
}

sub _bytes {
    my ($self, $request) = @_;
    my $body = $request->{body};
    my $head = "$request->{method} $request->{path} HTTP/1.1\r\nHost: localhost\r\n";

    $head .= "Connection: close\r\n" unless $self->{keep_alive};
    $head .= "Authorization: Bearer $request->{token}\r\n" if defined $request->{token};
    $head .= "Content-Type: $request->{type}\r\n" if defined $request->{type};
    $head .= "$_: $request->{headers}{$_}\r\n" for sort keys %{$request->{headers} // {}};
    $head .= 'Content-Length: ' . length($body) . "\r\n" if defined $body;
    return "$head\r\n" . ($body // $request->{chunks} // '');
}

# Waits for any of them, and goes on with it.
sub _turn {
    my ($self) = @_;
    my ($read, $write) = ('', '');

    for my $number (keys %{$self->{busy}}) {
        vec($read, $number, 1) = 1;
        vec($write, $number, 1) = 1 if length $self->{busy}{$number}{out};
    }
    my $ready = select $read, $write, undef, 0.05;
    my @busy = map { [$_, $self->{busy}{$_}] } keys %{$self->{busy}};
    for (@busy) {
        my ($number, $client) = @$_;
        if ($ready > 0 && vec $write, $number, 1) { $self->_write($client) }
        if ($ready > 0 && vec $read, $number, 1) { $self->_read($client) if $self->{busy}{$number} }
        elsif (time - $client->{begun} > $PATIENCE && $self->{busy}{$number}) {
            $self->_fail($client, "no answer after $PATIENCE s");
        }
    }
    return;
}

sub _write {
    my ($self, $client) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $sent = syswrite $client->{socket}, $client->{out}, 65_536;

    if (!defined $sent) {
        return if $!{EAGAIN} || $!{EINTR};
        # The answer may be there all the same: to a body that the server did not want.
        $client->{lost} = "send: $!";
        $client->{out} = '';
        return;
    }
    substr $client->{out}, 0, $sent, '';
    return if length $client->{out} || !defined $client->{request}{leave};
    $self->{left}++;
    return $self->_end($client, 1);
}

sub _read {
    my ($self, $client) = @_;
    my $got = sysread $client->{socket}, $client->{in}, 65_536, length $client->{in};

    return if !defined $got && ($!{EAGAIN} || $!{EINTR});
    my $why = defined $got ? 'the connection was closed' : "read: $!";
    return $self->_answered($client) if $got && _is_whole($client);
    return if $got;
    return $self->_answered($client) if length $client->{in} && _is_whole($client, 1);
    if ($client->{reused} && !length $client->{in}) {
        $self->{closed}++;
        $self->_drop($client);
        $client->{reused} = 0;
        return $self->_send($client);
    }
    return $self->_fail($client, ($client->{lost} // $why) . (length $client->{in} ? ' in mid-answer' : ''));
}

# Is the answer there? All that httpd sends to these requests has a length, or no body.
sub _is_whole {
    my ($client, $closed) = @_;
    my $end = index $client->{in}, "\r\n\r\n";

    return 0 if $end < 0;
    my $head = substr $client->{in}, 0, $end + 2;
    my ($status) = $head =~ m{\AHTTP/1\.1 (\d\d\d)};
    return 0 unless $status;
    my $length = $client->{request}{method} eq 'HEAD' || $status == 204 || $status == 304 ? 0
        : $head =~ /^Content-Length: (\d+)\r$/im ? $1 : undef;
    $client->{status} = $status;
    $client->{keeps} = $head !~ /^Connection: close\r$/im;
    return $closed unless defined $length;
    return length $client->{in} >= $end + 4 + $length;
}

sub _answered {
    my ($self, $client) = @_;
    my ($status, $request) = @$client{qw(status request)};
    my @expected = ref $request->{expect} ? @{$request->{expect}} : $request->{expect} // $status;

    $self->{status}{$status}++;
    $self->_note($client, "the status is $status, not @expected: "
        . ($client->{in} =~ s/\A.*?\r\n\r\n//sr)) unless grep { $_ == $status } @expected;
    $request->{done}->($status, $client->{in}, $request) if $request->{done};
    return $self->_end($client, !$client->{keeps} || length $client->{out});
}

sub _fail {
    my ($self, $client, $why) = @_;

    $self->_note($client, $why);
    return $self->_end($client, 1);
}

sub _note {
    my ($self, $client, $why) = @_;
    my $request = $client->{request};

    push @{$self->{failed}}, {why => $why, path => "$request->{method} $request->{path}", at => time};
    return;
}

sub _end {
    my ($self, $client, $close) = @_;
    my $took = time - $client->{begun};

    $self->{longest} = $took if $took > $self->{longest};
    $self->{answered}++;
    delete $self->{busy}{fileno $client->{socket}};
    $self->_drop($client) if $close || !$self->{keep_alive};
    delete @$client{qw(request lost status keeps)};
    push @{$self->{idle}}, $client;
    return;
}

sub _drop {
    my ($self, $client) = @_;

    delete $self->{busy}{fileno $client->{socket}};
    close delete $client->{socket};
    return;
}

1;
