#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
#
# A stand-in for Cloudinary's upload API, for tests: the same requests, the same
# answers, signatures checked by the service's own documentation, and faults on
# demand. One process, any number of connections at once, core Perl only.
#
#   t/cloudinary.pl [--port 0] --key KEY --secret SECRET --cloud CLOUD
#                   [--algorithm sha1|sha256] [--dir STATE] [--delivery URL]
#
# It listens on 127.0.0.1, prints "port N" when it is ready, and ends on SIGTERM
# or when its standard input is closed and --until-eof is given. With --dir the
# pictures outlive the process. --delivery is what secure_url begins with
# (https://res.cloudinary.com).
#
#   t/cloudinary.pl --check VECTORS
#
# checks its own signing against t/unit/data/cloudinary_signatures.txt and ends.
#
# The service: POST /v1_1/CLOUD/image/upload and …/image/destroy, and
#              GET /CLOUD/image/upload/[vN/]ID[.ext] for what was stored.
# The tests:   GET  /_test/assets    {"count":N,"assets":[{"public_id","md5","bytes",…}]}
#              GET  /_test/requests  {"count":N,"requests":[{"action","public_id","status",…}]}
#              POST /_test/fault?kind=KIND&count=N&on=upload|destroy&done=0|1&…
#              POST /_test/reset     forgets pictures, requests and faults
#
# A fault strikes the next count requests (1; those on the action named by on,
# or on any). done says whether the service does its work first. KIND is
#   status    answers with status=500 and message=…
#   hang      answers nothing for seconds=T, then closes
#   slow      answers rightly after seconds=T
#   trickle   a right answer with padding=B, bytes=B at a time, every seconds=T
#   truncate  half of a right answer, then closes
#   reset     resets the connection when the request has been read
#   early     resets it after the request's first 1000 bytes
#   deaf      reads no more than the request's first bytes=B, and closes after seconds=T
#   stale     as reset, but only where the connection has served a request before
#   garbage   200 with something that is no JSON
#   answer    200 with body=…
#   wrong_id  a right answer but for its public_id
#   url       a right answer but for its secure_url, url=…
#   big       a right answer with bytes=B of padding
#   redirect  307 to location=…
use strict;
use warnings;

use Digest::MD5 qw(md5_hex);
use Digest::SHA qw(sha1_hex sha256_hex);
use Getopt::Long qw(GetOptions);
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use POSIX qw(strftime);
use Socket qw(SOL_SOCKET SO_LINGER SO_RCVBUF IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

my $MAX_REQUEST = 32 * 1024 * 1024;

my %opt = (port => 0, algorithm => 'sha1', delivery => 'https://res.cloudinary.com');
GetOptions(\%opt, 'port=i', 'key=s', 'secret=s', 'cloud=s', 'algorithm=s', 'dir=s', 'delivery=s',
    'until-eof', 'check=s')
    or die "usage: see the head of $0\n";
exit check_signing($opt{check}) if defined $opt{check};
defined $opt{$_} or die "$0: --$_ is missing\n" for qw(key secret cloud);
$opt{algorithm} =~ /\Asha(?:1|256)\z/ or die "$0: --algorithm is sha1 or sha256\n";

my $json = JSON::PP->new->utf8->canonical;
my (%asset, @request, @fault, %connection);
my $version = int time;
my $connections = 0;

$SIG{PIPE} = 'IGNORE';
$SIG{TERM} = $SIG{INT} = sub { exit 0 };
load_assets();

my $listener = IO::Socket::INET->new(
    LocalAddr => '127.0.0.1', LocalPort => $opt{port}, Listen => 128, ReuseAddr => 1
) or die "$0: cannot listen: $!\n";
$listener->blocking(0);
# So that little is on its way to one that reads no more.
setsockopt $listener, SOL_SOCKET, SO_RCVBUF, 131_072;
my $readable = IO::Select->new($listener);
$readable->add(\*STDIN) if $opt{'until-eof'};
my $writable = IO::Select->new;
$| = 1;
print 'port ', $listener->sockport, "\n";
serve() while 1;

# --- connections: each has what came in, what is to go out, and when ---

sub serve {
    my ($due) = sort { $a <=> $b } map { $_->{due} // () } values %connection;
    my $wait = defined $due ? $due - time : 10;
    my ($in, $out) = IO::Select->select($readable, $writable, undef, $wait > 0 ? $wait : 0);

    for my $handle (@{$in || []}) {
        if ($handle == $listener) { accept_one() }
        elsif (fileno $handle == 0) { exit 0 unless sysread STDIN, my $ignored, 4096 }
        elsif (my $c = $connection{$handle}) { receive($c) }
    }
    for my $handle (@{$out || []}) {
        send_some($connection{$handle}) if $connection{$handle};
    }
    my @all = values %connection;
    for my $c (@all) {
        fall_due($c) if defined $c->{due} && $c->{due} <= time;
    }
}

sub accept_one {
    my $handle = $listener->accept or return;
    $handle->blocking(0);
    setsockopt $handle, IPPROTO_TCP, TCP_NODELAY, 1;
    $readable->add($handle);
    $connection{$handle} =
        {handle => $handle, number => ++$connections, served => 0, in => '', out => ''};
}

sub hang_up {
    my ($c, $reset) = @_;
    setsockopt $c->{handle}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0) if $reset;
    $readable->remove($c->{handle});
    $writable->remove($c->{handle});
    delete $connection{$c->{handle}};
    close $c->{handle};
}

sub receive {
    my ($c) = @_;
    my $n = sysread $c->{handle}, $c->{in}, 65536, length $c->{in};
    return if !defined $n && ($!{EAGAIN} || $!{EINTR});
    return hang_up($c) if !$n || length $c->{in} > $MAX_REQUEST;
    next_request($c);
}

# Handles the next request, if it is whole and the one before it is answered.
sub next_request {
    my ($c) = @_;
    return if length $c->{out} || defined $c->{due};
    $c->{request} //= parse_head($c) or return;
    my $r = $c->{request};
    return hang_up($c, 1) if $r->{fault} && $r->{fault}{kind} eq 'early' && length $c->{in} > 1000;
    return go_deaf($c, $r->{fault})
        if $r->{fault} && $r->{fault}{kind} eq 'deaf' && length $c->{in} > $r->{fault}{bytes};
    return unless $r->{chunked} ? take_chunks($c, $r) : length $c->{in} >= $r->{length};
    $r->{body} //= substr $c->{in}, 0, $r->{length}, '';
    delete $c->{request};
    $c->{close} = 1 if lc($r->{header}{connection} // '') eq 'close';
    answer($c, $r);
    $c->{served}++;
}

sub go_deaf {
    my ($c, $fault) = @_;
    push @request, {action => $c->{request}{action}, public_id => '', fault => 'deaf',
        connection => $c->{number}, earlier => $c->{served}, time => time};
    $readable->remove($c->{handle});
    $c->{due} = time + $fault->{seconds};
    return;
}

sub parse_head {
    my ($c) = @_;
    $c->{in} =~ s/\A(.*?)\r\n\r\n//s or return;
    my ($first, @lines) = split /\r\n/, $1;
    my ($method, $target) = ($first // '') =~ m{\A([A-Z]+) (\S+) HTTP/1\.[01]\z};
    my %header = map { /\A([^:]+):\s*(.*?)\s*\z/ ? (lc $1, $2) : () } @lines;
    my $chunked = exists $header{'transfer-encoding'};
    if (!defined $method || ($chunked && lc $header{'transfer-encoding'} ne 'chunked')) {
        $c->{close} = 1;
        respond($c, 400, failure('Bad request'));
        return;
    }
    my $r = {method => $method, header => \%header, length => $header{'content-length'} || 0,
        chunked => $chunked};
    ($r->{path}, my $query) = split /\?/, $target, 2;
    $r->{query} = parse_query($query);
    ($r->{action}) = $r->{path} =~ m{\A/v1_1/[^/]+/image/(upload|destroy)\z};
    $r->{fault} = take_fault($c, $r->{action}) if $r->{action};
    send_now($c, "HTTP/1.1 100 Continue\r\n\r\n") if lc($header{expect} // '') eq '100-continue';
    return $r;
}

# Moves whole chunks from what came in to the body; true when the last is there.
sub take_chunks {
    my ($c, $r) = @_;
    while ($c->{in} =~ /\A([0-9A-Fa-f]{1,7})[^\r\n]*\r\n/) {
        my ($head, $size) = ($+[0], hex $1);
        return if length $c->{in} < $head + $size + 2;
        $r->{chunks} .= substr $c->{in}, $head, $size;
        substr $c->{in}, 0, $head + $size + 2, '';
        next if $size;
        $r->{body} = $r->{chunks};
        $r->{length} = length $r->{body};
        return 1;
    }
    return;
}

sub parse_query {
    my ($text) = @_;
    my %value;
    for (split /&/, $text // '') {
        my ($name, $value) = map { tr/+/ /; s/%([0-9A-Fa-f]{2})/chr hex $1/ger } split /=/, $_, 2;
        $value{$name} = $value // '';
    }
    return \%value;
}

sub send_now {
    my ($c, $data) = @_;
    $c->{out} .= $data;
    $writable->add($c->{handle});
}

sub send_some {
    my ($c) = @_;
    my $n = syswrite $c->{handle}, $c->{out}, $c->{slowly} ? $c->{slowly}{bytes} : length $c->{out};
    return if !defined $n && ($!{EAGAIN} || $!{EINTR});
    return hang_up($c) unless defined $n;
    substr $c->{out}, 0, $n, '';
    if (length $c->{out}) {
        return unless $c->{slowly};
        $writable->remove($c->{handle});
        $c->{due} = time + $c->{slowly}{seconds};
        return;
    }
    $writable->remove($c->{handle});
    delete $c->{slowly};
    return hang_up($c) if $c->{close};
    next_request($c);
}

# A delay is over: close, or go on sending.
sub fall_due {
    my ($c) = @_;
    delete $c->{due};
    return hang_up($c) unless length $c->{out};
    $writable->add($c->{handle});
}

# Answers; the fault, if any, says how.
sub respond {
    my ($c, $status, $body, $fault, $headers) = @_;
    my $kind = $fault ? $fault->{kind} : '';
    my $data = ref $body ? $json->encode($body) : $body;
    my $close = $c->{close} ? "Connection: close\r\n" : '';
    my $type = ref $body ? "Content-Type: application/json; charset=utf-8\r\n" : '';
    my $head = "HTTP/1.1 $status Status\r\n$type$close" . ($headers // '');
    my $answer = "${head}Content-Length: " . length($data) . "\r\n\r\n$data";

    if ($kind eq 'hang') { $c->{due} = time + $fault->{seconds}; return }
    return hang_up($c, 1) if $kind =~ /\A(?:reset|stale|early)\z/;
    if ($kind eq 'truncate') {
        $answer = substr $answer, 0, length($answer) - int(length($data) / 2);
        $c->{close} = 1;
    }
    if ($kind eq 'slow') {
        $c->{out} = $answer;
        $c->{due} = time + $fault->{seconds};
        return;
    }
    $c->{slowly} = $fault if $kind eq 'trickle';
    send_now($c, $answer);
}

sub failure { return {error => {message => $_[0]}} }

# --- requests ---

sub answer {
    my ($c, $r) = @_;
    return control($c, $r) if $r->{path} =~ m{\A/_test/};
    return deliver($c, $r) if $r->{method} eq 'GET';
    return respond($c, 404, failure('Not found')) if !$r->{action} || $r->{method} ne 'POST';

    my $fault = $r->{fault};
    my $kind = $fault ? $fault->{kind} : '';
    my $params = parse_form($r);
    my ($status, $body) = authorise($r, $params);
    my $refuse = $fault && !$fault->{done};
    ($status, $body) = $r->{action} eq 'upload' ? upload($params) : destroy($params)
        if !$status && !$refuse;
    ($status, $body) = (200, {}) unless $status;
    ($status, $body) = spoil($fault, $status, $body) if $fault;
    push @request, {
        action => $r->{action}, public_id => $params->{public_id}, status => $status,
        fault => $kind, connection => $c->{number}, earlier => $c->{served},
        params => join(',', sort keys %$params), agent => $r->{header}{'user-agent'},
        bytes => $r->{length}, time => time,
        invalidate => $params->{invalidate}, file_type => $r->{file_type},
    };
    respond($c, $status, $body, $fault, $kind eq 'redirect' ? "Location: $fault->{location}\r\n" : '');
}

# The faults that are answers.
sub spoil {
    my ($fault, $status, $body) = @_;
    my $kind = $fault->{kind};
    return ($fault->{status}, failure($fault->{message})) if $kind eq 'status';
    return (307, failure('Moved')) if $kind eq 'redirect';
    return (200, '<html>not JSON') if $kind eq 'garbage';
    return (200, $fault->{body}) if $kind eq 'answer';
    $body->{public_id} .= 'x' if $kind eq 'wrong_id';
    $body->{secure_url} = $fault->{url} if $kind eq 'url';
    $body->{padding} = 'x' x ($kind eq 'big' ? $fault->{bytes} : $fault->{padding});
    return ($status, $body);
}

# The parameters of a form: multipart/form-data, or urlencoded.
sub parse_form {
    my ($r) = @_;
    my $type = $r->{header}{'content-type'} // '';
    return parse_query($r->{body}) if $type =~ m{\Aapplication/x-www-form-urlencoded}i;
    my ($boundary) = $type =~ m{\Amultipart/form-data;.*?boundary="?([^";]+)"?}i or return {};
    my %param;
    my $from = index $r->{body}, "--$boundary\r\n";
    return {} if $from < 0;
    $from += length("--$boundary\r\n");
    while ((my $end = index $r->{body}, "\r\n--$boundary", $from) >= 0) {
        my $head = index $r->{body}, "\r\n\r\n", $from;
        last if $head < 0 || $head > $end;
        my $headers = substr $r->{body}, $from, $head - $from;
        my $value = $head + 4 > $end ? '' : substr $r->{body}, $head + 4, $end - $head - 4;
        my ($name) = $headers =~ /^content-disposition:\s*form-data;.*?\bname="([^"]*)"/im;
        my ($part_type) = $headers =~ /^content-type:\s*(\S+)/im;
        $param{$name} = $value if defined $name;
        $r->{file_type} = $part_type if defined $name && $name eq 'file';
        $from = $end + length("\r\n--$boundary");
        last if substr($r->{body}, $from, 2) eq '--';
        $from += 2;
    }
    return \%param;
}

# Is the request's signature that of its parameters? Returns nothing, or a refusal.
sub authorise {
    my ($r, $params) = @_;
    my ($cloud) = $r->{path} =~ m{\A/v1_1/([^/]+)/};
    return (401, failure("Invalid cloud_name $cloud")) if $cloud ne $opt{cloud};
    return (401, failure('Must supply api_key')) unless length($params->{api_key} // '');
    return (401, failure("Unknown API key $params->{api_key}")) if $params->{api_key} ne $opt{key};
    my $time = $params->{timestamp} // '';
    return (400, failure('Missing required parameter - timestamp')) if $time !~ /\A[0-9]+\z/;
    return (400, failure('Stale request - reported time is '
        . strftime('%Y-%m-%d %H:%M:%S +0000', gmtime $time) . ' which is more than 1 hour ago'))
        if abs($time - time) > 3600;
    my $text = string_to_sign($params);
    my $got = $params->{signature} // '';
    return (401, failure("Invalid Signature $got. String to sign - '$text'."))
        if $got ne digest($opt{algorithm}, $text . $opt{secret});
    return;
}

sub digest { return $_[0] eq 'sha256' ? sha256_hex($_[1]) : sha1_hex($_[1]) }

sub check_signing {
    my ($file) = @_;
    my ($right, $wrong) = (0, 0);
    open my $in, '<:raw', $file or die "$0: $file: $!\n";
    while (my $line = <$in>) {
        next if $line =~ /\A#/;
        chomp $line;
        my ($sha1, $sha256, $secret, @pairs) = split /\t/, $line;
        my $text = string_to_sign({map { split /=/, $_, 2 } @pairs}) . $secret;
        my $same = digest('sha1', $text) eq $sha1 && digest('sha256', $text) eq $sha256;
        $same ? $right++ : $wrong++;
        print "differs: $line\n" unless $same;
    }
    print "$right right, $wrong wrong\n";
    return $wrong || !$right ? 1 : 0;
}

# All parameters but a few, sorted, with a & in one of them escaped (signature version 2).
sub string_to_sign {
    my ($params) = @_;
    my %unsigned = map { $_ => 1 } qw(file cloud_name resource_type api_key signature);
    return join '&', map { "$_=$params->{$_}" =~ s/&/%26/gr }
        grep { !$unsigned{$_} && length $params->{$_} } sort keys %$params;
}

sub sniff {
    my ($data) = @_;
    return 'jpg' if $data =~ /\A\xff\xd8\xff/;
    return 'png' if $data =~ /\A\x89PNG\r\n\x1a\n/;
    return 'webp' if $data =~ /\ARIFF....WEBP/s;
    return;
}

sub upload {
    my ($params) = @_;
    my $file = $params->{file};
    return (400, failure('Missing required parameter - file')) unless length($file // '');
    my $format = sniff($file) or return (400, failure('Invalid image file'));
    my $id = $params->{public_id};
    $id = md5_hex($version . rand) unless length($id // '');
    $id = "$params->{folder}/$id" if length($params->{folder} // '');
    my $uploads = ($asset{$id} ? $asset{$id}{uploads} : 0) + 1;
    $asset{$id} = {public_id => $id, version => ++$version, format => $format, data => $file,
        md5 => md5_hex($file), bytes => length $file, uploads => $uploads};
    save_asset($asset{$id});
    my $path = "$opt{cloud}/image/upload/v$version/$id.$format";
    return (200, {
        asset_id => md5_hex($id), public_id => $id, version => $version, format => $format,
        resource_type => 'image', type => 'upload', bytes => length $file,
        etag => $asset{$id}{md5}, created_at => strftime('%Y-%m-%dT%H:%M:%SZ', gmtime),
        signature => sha1_hex("public_id=$id&version=$version$opt{secret}"),
        url => "http://res.cloudinary.com/$path", secure_url => "$opt{delivery}/$path",
        $uploads > 1 ? (overwritten => JSON::PP::true) : (),
    });
}

sub destroy {
    my ($params) = @_;
    my $id = $params->{public_id} // '';
    return (400, failure('Missing required parameter - public_id')) unless length $id;
    my $gone = delete $asset{$id} or return (200, {result => 'not found'});
    unlink file_of($gone->{public_id}) if $opt{dir};
    return (200, {result => 'ok'});
}

sub deliver {
    my ($c, $r) = @_;
    my ($id) = $r->{path} =~ m{\A/\Q$opt{cloud}\E/image/upload/(?:v[0-9]+/)?(.+?)(?:\.\w+)?\z};
    my $found = defined $id && $asset{$id} or return respond($c, 404, 'not found');
    my %type = (jpg => 'jpeg', png => 'png', webp => 'webp');
    respond($c, 200, $found->{data}, undef, "Content-Type: image/$type{$found->{format}}\r\n");
}

# --- what the tests ask ---

sub take_fault {
    my ($c, $action) = @_;
    for my $i (0 .. $#fault) {
        my $fault = $fault[$i];
        next if $fault->{on} && $fault->{on} ne $action;
        next if $fault->{kind} eq 'stale' && !$c->{served};
        splice @fault, $i, 1 if --$fault->{count} <= 0;
        return $fault;
    }
    return;
}

sub control {
    my ($c, $r) = @_;
    my ($what) = $r->{path} =~ m{\A/_test/(\w+)\z};
    my $post = $r->{method} eq 'POST';
    $what //= '';
    if (!$post && $what eq 'assets') {
        my @list = map { my %a = %{$asset{$_}}; delete $a{data}; \%a } sort keys %asset;
        return respond($c, 200, {count => scalar @list, assets => \@list});
    }
    return respond($c, 200, {count => scalar @request, requests => \@request})
        if !$post && $what eq 'requests';
    if ($post && $what eq 'fault' && $r->{query}{kind}) {
        my %answers = map { $_ => 1 } qw(trickle truncate wrong_id url big slow);
        push @fault, {count => 1, status => 500, message => 'Fault', seconds => 1, bytes => 100000, padding => 0,
            body => '{}', url => '', location => '/', done => $answers{$r->{query}{kind}},
            %{$r->{query}}};
        return respond($c, 200, {faults => scalar @fault});
    }
    return respond($c, 404, failure('Not found')) unless $post && $what eq 'reset';
    if ($opt{dir}) { unlink file_of($_) for keys %asset }
    (%asset, @request, @fault) = ();
    respond($c, 200, {});
}

# --- pictures that outlive the process: a file each, named by its public ID ---

sub file_of { return "$opt{dir}/" . unpack 'H*', $_[0] }

sub save_asset {
    my ($a) = @_;
    return unless $opt{dir};
    my $file = file_of($a->{public_id});
    open my $out, '>:raw', "$file.part" or die "$0: $file: $!\n";
    print $out $a->{data};
    close $out or die "$0: $file: $!\n";
    rename "$file.part", $file or die "$0: $file: $!\n";
}

sub load_assets {
    return unless $opt{dir};
    -d $opt{dir} or mkdir $opt{dir} or die "$0: $opt{dir}: $!\n";
    for my $file (glob "$opt{dir}/*") {
        next unless $file =~ m{/([0-9a-f]+)\z};
        my $id = pack 'H*', $1;
        open my $in, '<:raw', $file or next;
        my $data = do { local $/; <$in> };
        $asset{$id} = {public_id => $id, version => $version, format => sniff($data) // 'bin',
            data => $data, md5 => md5_hex($data), bytes => length $data, uploads => 1};
    }
}
