# SPDX-License-Identifier: Apache-2.0
package UserProfile::Load;

=head1 NAME

UserProfile::Load - clients that ask again and again while a test breaks something

=head1 SYNOPSIS

    my $load = UserProfile::Load->start(
        (sub { me('GET', token => $token) }) x 4,
        sub { my ($i) = @_; me('PATCH', token => $token, json => {full_name => "Name $i"}) },
    );
    $load->warm;                       # each client has been answered a few times by 200
    ... break something, and mend it ...
    $load->served_since($time);        # each client has been answered by 200 since
    my @answers = $load->stop;
    is_bounded(\@answers, 10, 'Postgres restarted');

=head1 DESCRIPTION

Each client is a process that calls its sub with 1, 2, 3, ... and writes down what came of it, until
C<stop>, until the sub returns nothing, or for C<$LONGEST> seconds. An answer is a hash:

    client    the number of the client, from 0
    i         what its sub was called with
    began     when, and after how many seconds it was there
    seconds
    status    200, 503, ..., or "none" where there was no answer
    retry     its Retry-After, or ""
    note      what else the sub has returned, or ""

=cut

use strict;
use warnings;
use Exporter qw(import);
use IO::Select ();
use IO::Socket::INET ();
use POSIX ();
use Test::More ();
use Time::HiRes qw(sleep time);
use UserProfile::Process qw(wait_for slurp spew);

our @EXPORT = qw(at_once statuses slowest is_bounded);

# Between two requests of a client: so that the load is the same on a fast machine.
my $PAUSE = 0.02;
our $LONGEST = 120;

sub start {
    my ($class, @clients) = @_;
    my $self = bless {files => [], pids => []}, $class;

    our $count //= 0;
    pipe my $go_on, my $stop or die "pipe: $!\n";
    for my $client (@clients) {
        my $file = "$ENV{UP_SCRATCH}/load-$$-" . $count++;
        spew($file, '');
        my $pid = fork // die "fork: $!\n";
        if (!$pid) {
            close $stop;
            eval { _ask($client, $file, IO::Select->new($go_on)); 1 } or warn $@;
            POSIX::_exit(0);
        }
        push @{$self->{pids}}, $pid;
        push @{$self->{files}}, $file;
    }
    $self->{stop} = $stop;
    return $self;
}

# The pipe is at its end when the test has closed it, or is gone.
sub _ask {
    my ($client, $file, $stopped) = @_;
    my $end = time + $LONGEST;

    open my $out, '>>', $file or die "$file: $!\n";
    for (my $i = 1; time < $end && !$stopped->can_read($i > 1 ? $PAUSE : 0); $i++) {
        my $began = time;
        my ($response, $note) = eval { $client->($i) };
        last if !$response && !$@;
        my ($status, $retry) = $response
            ? ($response->code, $response->header('Retry-After') // '') : ('none', '');
        syswrite $out, join("\t", $i, $began, time - $began, $status, $retry, $note // '') . "\n";
    }
    return;
}

# What has been answered so far, in the order of the clients.
sub answers {
    my ($self) = @_;
    my @answers;

    for my $client (0 .. $#{$self->{files}}) {
        for (slurp($self->{files}[$client]) =~ /(.*)\n/g) {
            my %answer = (client => $client);
            @answer{qw(i began seconds status retry note)} = split /\t/, $_, 6;
            push @answers, \%answer;
        }
    }
    return @answers;
}

# Has each client been answered so by a request that began after this time?
sub _each {
    my ($self, $status, $since, $times) = @_;
    my @count = (0) x @{$self->{files}};

    $count[$_->{client}]++ for grep { $_->{status} eq $status && $_->{began} > $since } $self->answers;
    return !grep { $_ < $times } @count;
}

# Waits until each client has been answered by 200 a few times.
sub warm {
    my ($self) = @_;

    return wait_for(30, sub { sleep 0.1; $self->_each(200, 0, 5) });
}

# Waits until each client has met this status since then.
sub met {
    my ($self, $status, $since) = @_;

    return wait_for(30, sub { sleep 0.1; $self->_each($status, $since, 1) });
}

sub served_since {
    my ($self, $since) = @_;

    return $self->met(200, $since);
}

# Ends the clients when their requests under way are answered, and returns all answers.
sub stop {
    my ($self) = @_;

    close $self->{stop};
    waitpid $_, 0 for splice @{$self->{pids}};
    my @answers = $self->answers;
    unlink @{$self->{files}};
    return @answers;
}

# So many requests, all at once, from this process: at_once(20, 'GET', $ME, token => $token, ...).
# Options:
#   token, port or vhost       as of UserProfile::Test's request()
#   body => $json              one body for all, or a sub that makes the body of number 1, 2, ...
#   meanwhile => sub           called again and again until all are answered
# An answer has its text too, and no client.
sub at_once {
    my ($count, $method, $path, %option) = @_;
    my $select = IO::Select->new;
    my ($port) = UserProfile::Test::url('/', %option) =~ /:(\d+)/;
    my (%answer, @answers);

    for my $i (1 .. $count) {
        my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port)
            or die "connect: $!\n";
        my $body = ref $option{body} ? $option{body}->($i) : $option{body} // '';
        print {$socket} "$method $path HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer $option{token}\r\n"
            . "Content-Type: application/json\r\nConnection: close\r\n"
            . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
        $socket->flush;
        $answer{$socket} = {i => $i, began => time, text => ''};
        push @answers, $answer{$socket};
        $select->add($socket);
    }
    while ($select->count && time < $answers[0]{began} + $LONGEST) {
        $option{meanwhile}->() if $option{meanwhile};
        for my $socket ($select->can_read(0.1)) {
            my $answer = $answer{$socket};
            next if sysread $socket, $answer->{text}, 65_536, length $answer->{text};
            $answer->{seconds} = time - $answer->{began};
            $select->remove($socket);
        }
    }
    for my $answer (@answers) {
        ($answer->{status}) = ($answer->{text} =~ m{\AHTTP/1\.1 (\d+)}, 'none');
        ($answer->{retry}) = ($answer->{text} =~ /^Retry-After: (.*?)\r$/m, '');
        $answer->{seconds} //= $LONGEST;
    }
    return @answers;
}

# How often there was which status: "200: 18, 503: 2".
sub statuses {
    my %count;

    $count{$_->{status}}++ for @_;
    return join ', ', map { "$_: $count{$_}" } sort keys %count;
}

sub slowest {
    return (sort { $b <=> $a } 0, map { $_->{seconds} } @_)[0];
}

# Three checks: only 200 and 503, each 503 with Retry-After, and none later than that.
sub is_bounded {
    my ($answers, $limit, $name) = @_;
    my @other = grep { $_->{status} !~ /^(?:200|503)$/ } @$answers;
    my @silent = grep { $_->{status} eq '503' && $_->{retry} !~ /^\d+$/ } @$answers;
    my $slowest = slowest(@$answers);
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    Test::More::note(sprintf '%s: %s; the longest took %.2f s', $name, statuses(@$answers), $slowest);
    Test::More::is(statuses(@other), '', "$name: only 200 and 503");
    Test::More::is(scalar @silent, 0, "$name: each 503 says when to try again");
    return Test::More::cmp_ok($slowest, '<', $limit, "$name: each within the limits");
}

1;
