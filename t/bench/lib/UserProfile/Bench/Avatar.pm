# SPDX-License-Identifier: Apache-2.0
package UserProfile::Bench::Avatar;

=head1 NAME

UserProfile::Bench::Avatar - uploads of 5 MB: how fast, and with how much memory

=head1 DESCRIPTION

Eight clients send the same form again and again: to the module, which checks and strips the picture, journals what it
does and sends it to Cloudinary; and to a handler of httpd that writes the body to a file and PUTs that by libcurl.
Both send to t/bench/sink.c, which throws away what it gets as fast as the kernel can.

=cut

use strict;
use warnings;
use IO::Select ();
use IO::Socket::INET ();
use IPC::Open2 qw(open2);
use List::Util qw(max sum);
use UserProfile::Bench::Load qw(wrk);
use UserProfile::Bench::Rounds ();
use UserProfile::Bench::World qw($ME);
use UserProfile::Picture qw(png);
use UserProfile::Process qw(slurp spew);

# Of the handler's rate, in MiB of a child, and in KiB of a request.
my ($GOAL, $LIMIT, $EACH) = (0.8, 32, 256);
my $CLIENTS = 8;
my $AT_ONCE = 100;
my $BOUNDARY = '------------------------d74496d66958873e';

# Returns rows of the table.
sub run {
    my ($bench) = @_;
    my $world = $bench->{world};
    my ($port, $stop) = _sink();
    my ($avatars, $place) = ('cloudinary://4711:none@demo?upload_prefix=http://127.0.0.1:' . $port,
        "<Location \"/spool\">\nBenchSpool \"http://127.0.0.1:$port/put\"\nRequire all granted\n</Location>\n");
    my %files = map { $_ => "$world->{dir}/avatar.$_" } qw(type body tokens);

    local $world->{storage} = $avatars;
    spew($files{type}, "multipart/form-data; boundary=$BOUNDARY");
    spew($files{body}, _form());
    spew($files{tokens}, join '', map { $world->token_of($_) . "\n" } 1 .. $CLIENTS);
    my $node = $world->httpd('event', threads => $AT_ONCE);
    my $bare = $world->bare_httpd('event', $place);
    my %all = (clients => $CLIENTS, method => 'PUT', tokens => $files{tokens}, body => [@files{qw(type body)}],
        seconds => $bench->{seconds});
    my $rounds = UserProfile::Bench::Rounds->new(progress => $bench->{progress}, sides => [
        module => sub { wrk(%all, port => $node->{port}, path => "$ME/avatar")->{rate} },
        handler => sub { wrk(%all, port => $bare->{port}, path => '/spool')->{rate} }]);

    $rounds->warm;
    $rounds->run($bench->{rounds});
    $bench->{progress}->("$AT_ONCE uploads at once");
    my ($served, @grown) = _memory($world, $node);
    $_->stop for $node, $bare;
    $stop->();
    return (
        {name => 'Upload, 5 MB: spooled and PUT by libcurl', goal => $GOAL,
            ratios => [$rounds->ratios(sub { $_[0]{module} / $_[0]{handler} })],
            figures => sprintf '%.0f / %.0f /s', map { $rounds->figure($_) } qw(module handler)},
        {name => "Upload: MiB that $AT_ONCE at once add to a child", limit => $LIMIT, ratios => [max(@grown) / 2**20],
            figures => "the peak of the larger of two; $served were answered by 200, the others by 503"},
        {name => 'Upload: KiB that each of these adds', limit => $EACH, ratios => [sum(@grown) / $AT_ONCE / 1024],
            figures => 'of both children, for each upload'},
    );
}

# Starts the sink. Returns its port, and a sub that ends it.
sub _sink {
    my $pid = open2(my $out, my $in, 'build/bench/sink', 'demo');
    my ($port) = (<$out> // '') =~ /^port (\d+)/ or die "The sink does not start.\n";

    return ($port, sub { close $in; waitpid $pid, 0 });
}

sub _form {
    return "--$BOUNDARY\r\nContent-Disposition: form-data; name=\"avatar\"; filename=\"me.png\"\r\n"
        . "Content-Type: image/png\r\n\r\n" . png(5 * 1024 * 1024) . "\r\n--$BOUNDARY--\r\n";
}

# How many were answered by 200 (where the database's connections are waited for too long, others are by 503), and by
# how many bytes each child's peak is above what it had before, when all uploads are half done at the same time.
sub _memory {
    my ($world, $node) = @_;
    my $form = _form();
    my $half = length($form) / 2;
    my %before = map { $_ => _resident($_, 'VmRSS') } $node->children;
    my ($served, @sockets) = (0);

    spew("/proc/$_/clear_refs", 5) for keys %before;
    for my $n (1 .. $AT_ONCE) {
        my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $node->{port}) or die "connect: $!\n";

        print {$socket} "PUT $ME/avatar HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " . $world->token_of($n)
            . "\r\nContent-Type: multipart/form-data; boundary=$BOUNDARY\r\nContent-Length: " . length($form)
            . "\r\n\r\n", substr $form, 0, $half;
        $socket->flush;
        push @sockets, $socket;
    }
    for my $socket (@sockets) {
        print {$socket} substr $form, $half;
        $socket->flush;
    }
    for my $socket (@sockets) {
        my $answer = '';

        IO::Select->new($socket)->can_read(60) && sysread $socket, $answer, 65_536;
        my ($status) = $answer =~ m{\AHTTP/1.1 (200|503) } or die "An upload is answered by: $answer\n";
        $served++ if $status == 200;
    }
    return $served, map { _resident($_, 'VmHWM') - $before{$_} } keys %before;
}

sub _resident {
    my ($pid, $which) = @_;
    my ($kilobytes) = slurp("/proc/$pid/status") =~ /^$which:\s+(\d+) kB/m or die "no $which of $pid\n";

    return 1024 * $kilobytes;
}

1;
